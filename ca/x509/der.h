/* der.h: strict DER, read and written with OpenSSL's ASN.1 templates (openssl/asn1t.h).
 *
 * OpenSSL's decoder accepts BER; here a value is accepted only when encoding it again gives the same bytes.
 * The template macros paste type names, so the types that they describe are typedefs.  Threads: pure. */
#ifndef ENSIGN_CA_X509_DER_H
#define ENSIGN_CA_X509_DER_H

#include <openssl/asn1t.h>

#include "ca/base/span.h"

/* NULL when der is not exactly one value of that type in DER. The caller frees it with ASN1_item_free(). */
MUST_USE void *der_decode(struct span der, const ASN1_ITEM *item);

/* An empty value of that type; NULL when memory runs out. */
MUST_USE void *der_new(const ASN1_ITEM *item);

/* Ends ASN1_SEQUENCE(type) = { … and defines type_auto() for CLEANUP(). Ends ASN1_ITEM_TEMPLATE(type) = …
 * OpenSSL's macros end with a function; the declaration behind it takes the semicolon of their user. */
#define DER_SEQUENCE_END(type)                                                                                         \
    static_ASN1_SEQUENCE_END(type) __attribute__((unused)) static void type##_auto(type **value)                       \
    {                                                                                                                  \
        ASN1_item_free((ASN1_VALUE *)*value, ASN1_ITEM_rptr(type));                                                    \
    }                                                                                                                  \
    static const ASN1_ITEM *type##_it(void)
#define DER_TEMPLATE_END(type) static_ASN1_ITEM_TEMPLATE_END(type) static const ASN1_ITEM *type##_it(void)

/* Appends; a value that cannot be encoded marks out as failed. */
void der_append(struct bytes *out, const void *value, const ASN1_ITEM *item);

/* The decoder copies; this is where the same bytes stand in the input of der_decode(), to borrow from there. */
struct span der_locate(struct span der, const ASN1_STRING *part);

/* The content of a string: borrowed; and set: false when memory runs out. */
struct span der_string(const ASN1_STRING *string);
MUST_USE bool der_string_set(ASN1_STRING *string, struct span content);

/* UTC seconds of a UTCTime or GeneralizedTime; false when it is none. */
MUST_USE bool der_time(const ASN1_TIME *time, int64_t *ret_seconds);

/* A BIT STRING field as its raw content: one byte that counts the unused bits, then the bits. So no bit is masked or
 * cut by OpenSSL, and whoever reads it checks the count. */
#define DER_RAW_BITS(type, field)                                                                                      \
    ASN1_EX_TYPE(ASN1_TFLG_IMPTAG | ASN1_TFLG_UNIVERSAL, V_ASN1_BIT_STRING, type, field, ASN1_OCTET_STRING)

/* The bits of such a field; false when they are not whole bytes or none at all. */
MUST_USE bool der_raw_bits(struct span content, struct span *ret_bits);

/* The outer form of requests and certificates (RFC 2986 §4.2, RFC 5280 §4.1): body, AlgorithmIdentifier, signature. */
struct signed_object {
    struct span body, algorithm; /* DER */
    struct span signature;       /* the bits */
};
MUST_USE bool signed_object_decode(struct span der, struct signed_object *ret_object); /* spans borrow from der */
void signed_object_append(struct bytes *out, const struct signed_object *object);

#endif
