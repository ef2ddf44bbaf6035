#include "ca/x509/der.h"

#include <limits.h>
#include <openssl/x509.h>
#include <string.h>
#include <time.h>

void *der_decode(struct span der, const ASN1_ITEM *item)
{
    if (der.size == 0 || der.size > INT_MAX)
        return NULL;
    const unsigned char *end = der.data;
    ASN1_VALUE *value = ASN1_item_d2i(NULL, &end, (long)der.size, item);
    unsigned char *again = NULL;
    int size = value ? ASN1_item_i2d(value, &again, item) : -1;
    bool same = size > 0 && span_equal(span(again, (size_t)size), der);
    OPENSSL_free(again);
    if (same)
        return value;
    ASN1_item_free(value, item);
    return NULL; /* fault_set() tells from OpenSSL's queue of errors whether that was for want of memory */
}

void *der_new(const ASN1_ITEM *item)
{
    return ASN1_item_new(item);
}

void der_append(struct bytes *out, const void *value, const ASN1_ITEM *item)
{
    unsigned char *der = NULL;
    int size = ASN1_item_i2d(value, &der, item);
    if (size > 0)
        bytes_append(out, der, (size_t)size);
    else
        out->failed = true;
    OPENSSL_free(der);
}

struct span der_string(const ASN1_STRING *string)
{
    return span(ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
}

struct span der_locate(struct span der, const ASN1_STRING *part)
{
    struct span content = der_string(part);
    return span(content.size ? memmem(der.data, der.size, content.data, content.size) : der.data, content.size);
}

bool der_string_set(ASN1_STRING *string, struct span content)
{
    return content.size <= INT_MAX && ASN1_STRING_set(string, content.data, (int)content.size) == 1;
}

bool der_time(const ASN1_TIME *time, int64_t *ret_seconds)
{
    struct tm utc;
    if (!ASN1_TIME_to_tm(time, &utc))
        return false;
    *ret_seconds = timegm(&utc);
    return true;
}

bool der_raw_bits(struct span content, struct span *ret_bits)
{
    if (content.size < 2 || content.data[0] != 0)
        return false;
    *ret_bits = span(content.data + 1, content.size - 1);
    return true;
}

typedef struct {
    ASN1_STRING *body, *algorithm;
    ASN1_OCTET_STRING *signature;
} SIGNED;

ASN1_SEQUENCE(SIGNED) = {
    ASN1_SIMPLE(SIGNED, body, ASN1_SEQUENCE),
    ASN1_SIMPLE(SIGNED, algorithm, ASN1_SEQUENCE),
    DER_RAW_BITS(SIGNED, signature),
} DER_SEQUENCE_END(SIGNED);

bool signed_object_decode(struct span der, struct signed_object *ret_object)
{
    CLEANUP(SIGNED_auto) SIGNED *value = der_decode(der, ASN1_ITEM_rptr(SIGNED));
    if (!value)
        return false;
    struct signed_object object = {.body = der_locate(der, value->body),
                                   .algorithm = der_locate(der, value->algorithm)};
    if (!der_raw_bits(der_locate(der, value->signature), &object.signature))
        return false;
    *ret_object = object;
    return true;
}

void signed_object_append(struct bytes *out, const struct signed_object *object)
{
    AUTO(bytes) bits = {0};
    bytes_append(&bits, "", 1);
    bytes_append_span(&bits, object->signature);
    CLEANUP(SIGNED_auto) SIGNED *value = der_new(ASN1_ITEM_rptr(SIGNED));
    if (!value || bits.failed || !der_string_set(value->body, object->body) ||
        !der_string_set(value->algorithm, object->algorithm) || !der_string_set(value->signature, bytes_span(&bits))) {
        out->failed = true;
        return;
    }
    der_append(out, value, ASN1_ITEM_rptr(SIGNED));
}
