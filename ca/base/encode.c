#include "ca/base/encode.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PEM_LINE = 64 }; /* characters: RFC 7468 §2 */

void hex_append(struct bytes *out, struct span data)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < data.size; i++) {
        char pair[2] = {digits[data.data[i] >> 4], digits[data.data[i] & 15]};
        bytes_append(out, pair, 2);
    }
}

void hex_text(struct span data, char *ret_text, size_t size)
{
    sodium_bin2hex(ret_text, size, data.data, data.size);
}

void sha256_text(struct span data, char ret_text[SHA256_TEXT_SIZE])
{
    uint8_t digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(digest, data.data, data.size);
    hex_text(SPAN_OF(digest), ret_text, SHA256_TEXT_SIZE);
}

enum err hex_decode(const char *text, uint8_t *ret_data, size_t size, struct fault *f)
{
    if (strlen(text) != 2 * size || strspn(text, "0123456789abcdefABCDEF") != 2 * size ||
        sodium_hex2bin(ret_data, size, text, 2 * size, NULL, NULL, NULL) != 0)
        return fault_set(f, CODE_MALFORMED, "expected %zu hexadecimal digits", 2 * size);
    return OK;
}

static void base64_variant_append(struct bytes *out, struct span data, int variant)
{
    size_t room = sodium_base64_encoded_len(data.size, variant);
    char *text = malloc(room);
    if (!text) {
        out->failed = true;
        return;
    }
    sodium_bin2base64(text, room, data.data, data.size, variant);
    bytes_append_text(out, text);
    free(text);
}

void base64_append(struct bytes *out, struct span data)
{
    base64_variant_append(out, data, sodium_base64_VARIANT_ORIGINAL);
}

void base64url_append(struct bytes *out, struct span data)
{
    base64_variant_append(out, data, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

/* libsodium 1.0.18 takes every byte from 0x80 on for the digit 63. */
static bool is_ascii(struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] >= 0x80)
            return false;
    return true;
}

static enum err base64_variant_decode(struct span text, int variant, const char *ignore, struct bytes *ret_data,
                                      struct fault *f)
{
    AUTO(bytes) data = {.data = malloc(text.size + 1), .capacity = text.size + 1};
    if (!data.data)
        return fault_no_memory(f);
    const char *end = NULL;
    if (!is_ascii(text) ||
        sodium_base642bin(data.data, text.size, (const char *)text.data, text.size, ignore, &data.size, &end,
                          variant) != 0 ||
        end != (const char *)text.data + text.size)
        return fault_set(f, CODE_MALFORMED, "not valid base64 (RFC 4648)");
    data.data[data.size] = 0;
    *ret_data = data;
    data = (struct bytes){0};
    return OK;
}

enum err base64_decode(struct span text, struct bytes *ret_data, struct fault *f)
{
    return base64_variant_decode(text, sodium_base64_VARIANT_ORIGINAL, NULL, ret_data, f);
}

enum err base64url_decode(struct span text, struct bytes *ret_data, struct fault *f)
{
    return base64_variant_decode(text, sodium_base64_VARIANT_URLSAFE_NO_PADDING, NULL, ret_data, f);
}

void pem_append(struct bytes *out, const char *label, struct span der)
{
    AUTO(bytes) text = {0};
    base64_append(&text, der);
    out->failed |= text.failed;
    bytes_appendf(out, "-----BEGIN %s-----\n", label);
    for (size_t i = 0; i < text.size; i += PEM_LINE) {
        bytes_append(out, text.data + i, text.size - i < PEM_LINE ? text.size - i : PEM_LINE);
        bytes_append(out, "\n", 1);
    }
    bytes_appendf(out, "-----END %s-----\n", label);
}

/* Where `word` stands in text; NULL when it does not. */
static const char *text_find(struct span text, const char *word)
{
    return text.size ? memmem(text.data, text.size, word, strlen(word)) : NULL;
}

static struct span span_between(const char *begin, const char *end)
{
    return span(begin, (size_t)(end - begin));
}

/* Letters, with single spaces and hyphens between them: RFC 7468 §3. */
static bool label_valid(struct span label)
{
    bool letter = false;
    for (size_t i = 0; i < label.size; i++) {
        uint8_t byte = label.data[i];
        bool between = byte == ' ' || byte == '-';
        if (byte < 0x20 || byte > 0x7e || (between && !letter))
            return false;
        letter = !between;
    }
    return letter && label.size < PEM_LABEL_SIZE;
}

enum err pem_next(struct span *text, char *ret_label, struct bytes *ret_der, struct fault *f)
{
    static const char begin_mark[] = "-----BEGIN ";
    const char *end_of_text = (const char *)text->data + text->size;
    const char *begin = text_find(*text, begin_mark);
    if (!begin)
        return fault_set(f, CODE_NOT_FOUND, "no PEM block (RFC 7468)");
    const char *label = begin + strlen(begin_mark);
    const char *label_end = text_find(span_between(label, end_of_text), "-----");
    if (!label_end || !label_valid(span_between(label, label_end)))
        return fault_set(f, CODE_MALFORMED, "PEM block with a broken BEGIN line (RFC 7468 §3)");
    char end_line[96];
    snprintf(end_line, sizeof end_line, "-----END %.*s-----", (int)(label_end - label), label);
    const char *body = label_end + 5;
    const char *end = text_find(span_between(body, end_of_text), end_line);
    if (!end)
        return fault_set(f, CODE_MALFORMED, "PEM block \"%.*s\" has no END line (RFC 7468 §3)",
                         (int)(label_end - label), label);
    AUTO(bytes) der = {0};
    enum err err = base64_variant_decode(span_between(body, end), sodium_base64_VARIANT_ORIGINAL, " \t\r\n", &der, f);
    if (err == ERR_NOMEM)
        return err;
    if (err != OK || der.size == 0)
        return fault_set(f, CODE_MALFORMED, "PEM block \"%.*s\" is not base64 (headers are not allowed, RFC 7468 §2)",
                         (int)(label_end - label), label);
    snprintf(ret_label, PEM_LABEL_SIZE, "%.*s", (int)(label_end - label), label);
    *text = span_between(end + strlen(end_line), end_of_text);
    *ret_der = der;
    der = (struct bytes){0};
    return OK;
}

enum err pem_decode(struct span text, const char *label, struct bytes *ret_der, struct fault *f)
{
    char found[PEM_LABEL_SIZE];
    AUTO(bytes) der = {0};
    TRY(pem_next(&text, found, &der, f));
    if (strcmp(found, label) != 0)
        return fault_set(f, CODE_MALFORMED, "a PEM block \"%s\" where \"%s\" is expected", found, label);
    if (text_find(text, "-----BEGIN "))
        return fault_set(f, CODE_MALFORMED, "more than one PEM block where one \"%s\" is expected", label);
    *ret_der = der;
    der = (struct bytes){0};
    return OK;
}

void time_text(int64_t seconds, char ret_text[TIME_TEXT_SIZE])
{
    time_t when = (time_t)seconds;
    struct tm utc;
    if (gmtime_r(&when, &utc))
        strftime(ret_text, TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &utc);
    else
        snprintf(ret_text, TIME_TEXT_SIZE, "%llds", (long long)seconds);
}

enum err time_parse(const char *text, int64_t *ret_seconds, struct fault *f)
{
    struct tm utc = {0};
    char again[TIME_TEXT_SIZE] = "";
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    int64_t seconds = timegm(&utc);
    time_text(seconds, again); /* strptime() is lenient, and takes a 31st of February */
    if (!end || strcmp(again, text) != 0)
        return fault_set(f, CODE_MALFORMED, "expected a time in UTC as 2026-11-21T04:00:00Z");
    *ret_seconds = seconds;
    return OK;
}

static const struct {
    char letter;
    int64_t seconds;
} duration_units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};

void duration_text(int64_t seconds, char ret_text[DURATION_TEXT_SIZE])
{
    for (size_t i = 0; i < ARRAY_SIZE(duration_units); i++)
        if (seconds % duration_units[i].seconds == 0) {
            snprintf(ret_text, DURATION_TEXT_SIZE, "%lld%c", (long long)(seconds / duration_units[i].seconds),
                     duration_units[i].letter);
            return;
        }
}

enum err duration_parse(const char *text, int64_t *ret_seconds, struct fault *f)
{
    static const int64_t longest_seconds = 100LL * 366 * 86400;
    size_t digits = strspn(text, "0123456789");
    if (digits > 0 && digits <= 10 && strlen(text) == digits + 1)
        for (size_t i = 0; i < ARRAY_SIZE(duration_units); i++)
            if (text[digits] == duration_units[i].letter) {
                int64_t seconds = strtoll(text, NULL, 10) * duration_units[i].seconds;
                if (seconds < 1 || seconds > longest_seconds)
                    return fault_set(f, CODE_INVALID, "a duration is between 1s and 36600d");
                *ret_seconds = seconds;
                return OK;
            }
    return fault_set(f, CODE_MALFORMED, "expected a duration as 90s, 30m, 8760h or 365d");
}
