#include "ca/base/fault.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Exit codes: 1 error, 2 usage, 3 denied, 4 unreachable, 5 expiring, 6 conflict, 7 pending. */
static const struct {
    const char *name;
    enum err err;
    int http_status;
    int exit;
} codes[CODE_COUNT] = {
    [CODE_NONE] = {"none", OK, 500, 0},
    [CODE_MALFORMED] = {"malformed", ERR_INPUT, 400, 1},
    [CODE_INVALID] = {"invalid", ERR_INPUT, 400, 1},
    [CODE_MALFORMED_CSR] = {"malformed_csr", ERR_INPUT, 400, 1},
    [CODE_PROOF_OF_POSSESSION] = {"proof_of_possession", ERR_INPUT, 400, 1},
    [CODE_WEAK_KEY] = {"weak_key", ERR_INPUT, 400, 1},
    [CODE_UNAUTHENTICATED] = {"unauthenticated", ERR_AUTH, 401, 3},
    [CODE_FORBIDDEN] = {"forbidden", ERR_DENIED, 403, 3},
    [CODE_POLICY_DENIED] = {"policy_denied", ERR_DENIED, 403, 3},
    [CODE_NOT_FOUND] = {"not_found", ERR_ABSENT, 404, 1},
    [CODE_METHOD_NOT_ALLOWED] = {"method_not_allowed", ERR_INPUT, 405, 1},
    [CODE_CONFLICT] = {"conflict", ERR_CONFLICT, 409, 6},
    [CODE_KEY_CONFLICT] = {"key_conflict", ERR_CONFLICT, 409, 6},
    [CODE_TOO_LARGE] = {"too_large", ERR_LIMIT, 413, 1},
    [CODE_UNSUPPORTED_TYPE] = {"unsupported_media_type", ERR_INPUT, 415, 1},
    [CODE_IDEMPOTENCY_MISMATCH] = {"idempotency_mismatch", ERR_CONFLICT, 422, 6},
    [CODE_RATE_LIMITED] = {"rate_limited", ERR_LIMIT, 429, 4},
    [CODE_UNSUPPORTED] = {"unsupported", ERR_UNSUPPORTED, 400, 1},
    [CODE_SEALED] = {"sealed", ERR_IO, 503, 4},
    [CODE_READ_ONLY] = {"read_only", ERR_IO, 503, 4},
    [CODE_CLOCK_UNTRUSTED] = {"clock_untrusted", ERR_IO, 503, 4},
    [CODE_RESTORED] = {"restored", ERR_IO, 503, 4},
    [CODE_SIGNER_DOWN] = {"signer_down", ERR_IO, 503, 4},
    [CODE_UNREACHABLE] = {"unreachable", ERR_IO, 503, 4},
    [CODE_UNTRUSTED] = {"untrusted", ERR_AUTH, 502, 1},
    [CODE_USAGE] = {"usage", ERR_INPUT, 400, 2},
    [CODE_EXPIRING] = {"expiring", ERR_CONFLICT, 409, 5},
    [CODE_PENDING] = {"pending", ERR_CONFLICT, 202, 7},
    [CODE_DAMAGED] = {"damaged", ERR_IO, 500, 1},
    [CODE_IO] = {"io", ERR_IO, 500, 1},
    [CODE_CRYPTO] = {"crypto", ERR_CRYPTO, 500, 1},
    [CODE_NO_MEMORY] = {"no_memory", ERR_NOMEM, 500, 1},
    [CODE_INTERNAL] = {"internal", ERR_BUG, 500, 1},
};

const char *code_name(enum code code)
{
    return codes[code].name;
}

enum code code_by_name(const char *name)
{
    for (enum code code = CODE_NONE + 1; code < CODE_COUNT; code++)
        if (strcmp(codes[code].name, name) == 0)
            return code;
    return CODE_NONE;
}

enum err code_err(enum code code)
{
    return codes[code].err;
}

int code_http_status(enum code code)
{
    return codes[code].http_status;
}

int code_exit(enum code code)
{
    return codes[code].exit;
}

void text_clean(char *text)
{
    for (; *text; text++)
        if (strncmp(text, "§", 2) == 0)
            text++; /* our own texts cite the sections of RFCs */
        else if (*text < 0x20 || *text > 0x7e)
            *text = '?';
}

enum { WORD_SHOWN_MAX = 40 /* a serial in hexadecimal */, KEY_NAME_MAX = 24 };

#define HEXADECIMAL "0123456789abcdef"
#define WORD "ABCDEFGHIJKLMNOPQRSTUVWXYZghijklmnopqrstuvwxyz-_+" HEXADECIMAL
/* Also as it stands in a URL (RFC 3986 §2.1), in a JSON pointer (RFC 6901 §3), in a name (RFC 4514 §2.4). */
#define BASE64 WORD "/=%~\\"

static bool has_capital(const char *word, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (word[i] >= 'A' && word[i] <= 'Z')
            return true;
    return false;
}

/* "/cluster/apiServer/certSANs/0": in base64 digits stand among the letters, or these go on for longer. */
static bool is_pointer(const char *text, size_t size)
{
    size_t letters = 0, digits = 0;
    for (size_t i = 0; i < size; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9', slash = text[i] == '/';
        if (!slash && !digit && (digits > 0 || letters == KEY_NAME_MAX))
            return false;
        letters = slash ? 0 : letters + !digit;
        digits = slash ? 0 : digits + digit;
    }
    return true;
}

/* Size of what stands here and may be a secret, or 0. Base64 goes on behind a slash. */
static size_t secret_size(const char *text)
{
    size_t base64 = strspn(text, BASE64), word = strspn(text, WORD);
    if (base64 > WORD_SHOWN_MAX && has_capital(text, base64) && !is_pointer(text, base64))
        return base64;
    return word > WORD_SHOWN_MAX && strspn(text, HEXADECIMAL) >= word ? word : 0;
}

/* In PEM, also in a URL. Its lines may be short, and a text that is cut may end in one. */
static void private_key_hide(char *text)
{
    static const char label[] = "KEY-----", hidden[] = "(hidden)";
    char *key = strstr(text, label);
    if (key && strlen(key) >= sizeof label + sizeof hidden)
        strcpy(key + sizeof label - 1, hidden);
    else if (key)
        key[sizeof label - 1] = '\0';
}

void text_hide_secrets(char *text)
{
    private_key_hide(text);
    while (*(text += strcspn(text, BASE64))) {
        size_t size = secret_size(text);
        if (size > 0) {
            int used = snprintf(text, size, "(%zu characters", size); /* shorter than the word */
            text[used] = ')';
            memmove(text + used + 1, text + size, strlen(text + size) + 1);
            size = (size_t)used + 1;
        } else {
            size = strspn(text, WORD);
        }
        text += size > 0 ? size : 1;
    }
}

void fault_hide_secrets(struct fault *f)
{
    text_hide_secrets(f->text);
    for (size_t i = 0; i < f->reasons_count; i++) {
        text_hide_secrets(f->reasons[i].pointer);
        text_hide_secrets(f->reasons[i].text);
    }
}

/* A function of OpenSSL's that ran out of memory looks like one that did not like its input. Empties the queue. */
static bool openssl_out_of_memory(void)
{
    bool found = false;
    for (unsigned long error; (error = ERR_get_error()) != 0;)
        found |= ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE;
    return found;
}

static enum err fault_fill(struct fault *f, enum code code, const char *format, va_list arguments)
{
    if (code_err(code) == ERR_INPUT && openssl_out_of_memory())
        return fault_no_memory(f);
    f->code = code;
    vsnprintf(f->text, sizeof f->text, format, arguments);
    text_clean(f->text);
    return code_err(code);
}

enum err fault_set(struct fault *f, enum code code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    enum err err = fault_fill(f, code, format, arguments);
    va_end(arguments);
    return err;
}

enum err fault_if_reasons(struct fault *f, enum code code, const char *format, ...)
{
    if (f->reasons_count == 0)
        return OK;
    va_list arguments;
    va_start(arguments, format);
    enum err err = fault_fill(f, code, format, arguments);
    va_end(arguments);
    return err;
}

void fault_reason(struct fault *f, const char *pointer, const char *format, ...)
{
    if (f->reasons_count == FAULT_REASONS_MAX) {
        f->reasons_omitted++;
        return;
    }
    struct fault_reason *reason = &f->reasons[f->reasons_count++];
    snprintf(reason->pointer, sizeof reason->pointer, "%s", pointer);
    text_clean(reason->pointer);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason->text, sizeof reason->text, format, arguments);
    text_clean(reason->text);
    va_end(arguments);
}

/* Appends to the text as far as it fits. */
static void text_append(struct fault *f, const char *separator, const char *text)
{
    size_t used = strlen(f->text);
    snprintf(f->text + used, sizeof f->text - used, "%s%s", separator, text);
}

enum err fault_errno(struct fault *f, const char *format, ...)
{
    int cause = errno;
    enum code code = cause == ENOSPC || cause == EDQUOT || cause == EROFS ? CODE_READ_ONLY : CODE_IO;
    va_list arguments;
    va_start(arguments, format);
    enum err err = fault_fill(f, code, format, arguments);
    va_end(arguments);
    char text[128];
    text_append(f, ": ", strerror_r(cause, text, sizeof text));
    return err;
}

enum err fault_openssl(struct fault *f, const char *what)
{
    enum err err = fault_set(f, CODE_CRYPTO, "%s", what);
    bool out_of_memory = false;
    unsigned long error;
    while ((error = ERR_get_error()) != 0) {
        char text[160];
        ERR_error_string_n(error, text, sizeof text);
        text_append(f, ": ", text);
        out_of_memory |= ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE;
    }
    return out_of_memory ? fault_no_memory(f) : err;
}

enum err fault_no_memory(struct fault *f)
{
    return fault_set(f, CODE_NO_MEMORY, "out of memory");
}

void fault_clear(struct fault *f)
{
    f->code = CODE_NONE;
    f->text[0] = '\0';
    f->retry_after_seconds = 0;
    f->reasons_count = 0;
    f->reasons_omitted = 0;
}

void fault_line(const struct fault *f, char *ret_text, size_t size)
{
    int used = snprintf(ret_text, size, "%s", f->text);
    for (size_t i = 0; i < f->reasons_count && used >= 0 && (size_t)used < size; i++) {
        const struct fault_reason *reason = &f->reasons[i];
        used += snprintf(ret_text + used, size - (size_t)used, "%s%s%s%s", i ? "; " : " (", reason->pointer,
                         reason->pointer[0] ? ": " : "", reason->text);
    }
    if (f->reasons_count > 0 && used >= 0 && (size_t)used < size)
        snprintf(ret_text + used, size - (size_t)used, f->reasons_omitted ? "; and %zu more)" : ")",
                 f->reasons_omitted);
    size_t length = size ? strlen(ret_text) : 0;
    if (length && ret_text[length - 1] == "§"[0])
        ret_text[length - 1] = '\0';
}
