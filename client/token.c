#include "client/token.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>

#include "ca/base/encode.h"
#include "client/files.h"

static const char prefix[] = "ensign1.";

enum err token_make(const uint8_t pin[SHA256_SIZE], struct token *ret_token, struct fault *f)
{
    struct token token;
    if (RAND_bytes(token.id, sizeof token.id) != 1 || RAND_priv_bytes(token.secret, sizeof token.secret) != 1)
        return fault_openssl(f, "no random numbers for a token");
    memcpy(token.pin, pin, sizeof token.pin);
    *ret_token = token;
    token_cleanup(&token);
    return OK;
}

void token_text(const struct token *token, struct bytes *out)
{
    bytes_append_text(out, prefix);
    base64url_append(out, span(token, sizeof *token));
}

void token_secret_sha256(const struct token *token, uint8_t ret_hash[SHA256_SIZE])
{
    SHA256(token->secret, sizeof token->secret, ret_hash);
}

static struct span trimmed(struct span text)
{
    static const char white[] = " \t\r\n";
    while (text.size > 0 && memchr(white, text.data[0], sizeof white - 1))
        text = span(text.data + 1, text.size - 1);
    while (text.size > 0 && memchr(white, text.data[text.size - 1], sizeof white - 1))
        text.size--;
    return text;
}

static enum err token_malformed(struct fault *f)
{
    return fault_set(f, CODE_MALFORMED, "this is not a join token: \"%s\" and %zu characters of base64url are expected",
                     prefix, (sizeof(struct token) * 8 + 5) / 6);
}

enum err token_parse(struct span text, struct token *ret_token, struct fault *f)
{
    text = trimmed(text);
    struct span start = span_text(prefix);
    if (!span_starts(text, start))
        return token_malformed(f);
    struct fault ignored = {0}; /* its text might quote the token */
    CLEANUP(secret_cleanup) struct bytes data = {0};
    enum err err = base64url_decode(span(text.data + start.size, text.size - start.size), &data, &ignored);
    if (err != OK || data.size != sizeof *ret_token)
        return token_malformed(f);
    memcpy(ret_token, data.data, sizeof *ret_token);
    return OK;
}

void token_cleanup(struct token *token)
{
    OPENSSL_cleanse(token, sizeof *token);
}
