/* Join tokens: what is read is written again as it stood there, but for white space around it; and no text of an error
 * repeats it. */
#include "client/token.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"

static bool repeats(const struct fault *f, struct span text)
{
    enum { SECRET_PART = 24 };
    for (size_t i = 0; i + SECRET_PART <= text.size; i++)
        if (memmem(f->text, strlen(f->text), text.data + i, SECRET_PART))
            return memmem("this is not a join token: \"ensign1.\" and 107 characters of base64url are expected", 81,
                          text.data + i, SECRET_PART) == NULL;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct token token;
    struct fault *f = fuzz_fault();
    AUTO(bytes) again = {0};
    fuzz_fresh(&token, sizeof token);
    if (!fuzz_kept(token_parse(span(data, size), &token, f), f, &token, sizeof token)) {
        HOLDS(!repeats(f, span(data, size)));
        return 0;
    }
    token_text(&token, &again);
    const uint8_t *at = memmem(data, size, again.data, again.size);
    HOLDS(at);
    for (size_t i = 0; i < size; i++)
        HOLDS((data + i >= at && data + i < at + again.size) || strchr(" \t\r\n", data[i]));
    token_cleanup(&token);
    return 0;
}

void fuzz_seeds(void)
{
    static const uint8_t pin[SHA256_SIZE] = {1, 2, 3};
    struct token token;
    AUTO(bytes) text = {0};
    fuzz_must(token_make(pin, &token, fuzz_fault()), fuzz_fault());
    bytes_append_text(&text, " ");
    token_text(&token, &text);
    bytes_append_text(&text, "\r\n");
    fuzz_seed(bytes_span(&text));
    fuzz_seed(span(text.data + 1, text.size - 4));
}
