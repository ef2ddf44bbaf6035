#include "ca/x509/draft.h"

#include <sodium.h>
#include <string.h>

#include "ca/x509/der.h"
#include "ca/x509/extension.h"

AUTO_POINTER(ASN1_OCTET_STRING, ASN1_OCTET_STRING_free)
AUTO_POINTER(X509_NAME, X509_NAME_free)

enum { AUTHORITY_USAGE = USAGE_DIGITAL_SIGNATURE | USAGE_KEY_CERT_SIGN | USAGE_CRL_SIGN };
static const int64_t year_2020 = 1577836800, year_10000 = 253402300800;

void serial_make(int64_t now_seconds, uint32_t now_nanoseconds, uint8_t ret_serial[SERIAL_SIZE])
{
    uint32_t seconds = (uint32_t)(now_seconds - year_2020);
    uint32_t fraction = (uint32_t)(((uint64_t)now_nanoseconds << 16) / 1000000000U);
    uint8_t time[6] = {(uint8_t)(seconds >> 24), (uint8_t)(seconds >> 16), (uint8_t)(seconds >> 8),
                       (uint8_t)seconds,         (uint8_t)(fraction >> 8), (uint8_t)fraction};
    memcpy(ret_serial, time, sizeof time);
    randombytes_buf(ret_serial + sizeof time, SERIAL_SIZE - sizeof time);
}

void certificate_content_cleanup(struct certificate_content *content)
{
    alternative_names_cleanup(&content->names);
}

void draft_cleanup(struct draft *draft)
{
    certificate_content_cleanup(&draft->content);
}

/* ---- TBSCertificate ---- */

typedef struct {
    ASN1_TIME *not_before, *not_after;
} VALIDITY;

ASN1_SEQUENCE(VALIDITY) = {
    ASN1_SIMPLE(VALIDITY, not_before, ASN1_TIME),
    ASN1_SIMPLE(VALIDITY, not_after, ASN1_TIME),
} DER_SEQUENCE_END(VALIDITY);

typedef struct {
    ASN1_INTEGER *version, *serial;
    ASN1_STRING *algorithm, *issuer;
    VALIDITY *validity;
    ASN1_STRING *subject, *spki;
    extension_list *extensions;
} TBS;

ASN1_SEQUENCE(TBS) = {
    ASN1_EXP_OPT(TBS, version, ASN1_INTEGER, 0),
    ASN1_SIMPLE(TBS, serial, ASN1_INTEGER),
    ASN1_SIMPLE(TBS, algorithm, ASN1_SEQUENCE), /* raw DER, as are issuer, subject and spki */
    ASN1_SIMPLE(TBS, issuer, ASN1_SEQUENCE),
    ASN1_SIMPLE(TBS, validity, VALIDITY),
    ASN1_SIMPLE(TBS, subject, ASN1_SEQUENCE),
    ASN1_SIMPLE(TBS, spki, ASN1_SEQUENCE),
    ASN1_EXP_SEQUENCE_OF_OPT(TBS, extensions, X509_EXTENSION, 3),
} DER_SEQUENCE_END(TBS);

/* ---- what a draft may say ---- */

static bool names_are_common_name(const struct certificate_content *content)
{
    return content->names.dns_count == 1 && content->names.addresses_count == 0 &&
           strcmp(content->names.dns[0], content->subject.common_name) == 0;
}

static const char *authority_problem(const struct certificate_content *content)
{
    if (content->subject.common_name[0] == '\0')
        return "a CA without a name (RFC 5280 §4.1.2.6)";
    if (content->key_usage != AUTHORITY_USAGE || content->extended_key_usage)
        return "a CA with other usages than digitalSignature, keyCertSign, cRLSign";
    if (!alternative_names_empty(&content->names) && !names_are_common_name(content))
        return "a CA with other alternative names than its common name";
    return NULL;
}

static const char *leaf_problem(const struct certificate_content *content)
{
    const unsigned forbidden = USAGE_KEY_CERT_SIGN | USAGE_CRL_SIGN | ~(2U * USAGE_DECIPHER_ONLY - 1);
    if (distinguished_name_empty(&content->subject) && alternative_names_empty(&content->names))
        return "neither a subject nor alternative names (RFC 5280 §4.1.2.6)";
    if (content->key_usage == 0 || content->key_usage & forbidden)
        return "a leaf without key usages, or with those of a CA (RFC 5280 §4.2.1.3)";
    if (content->extended_key_usage == 0 ||
        content->extended_key_usage & ~((unsigned)EXTENDED_SERVER_AUTH | EXTENDED_CLIENT_AUTH))
        return "a leaf without extended key usages, or with unknown ones";
    return NULL;
}

/* Why no decision makes this content; NULL when one may. */
static const char *content_problem(const struct certificate_content *content)
{
    return content->authority ? authority_problem(content) : leaf_problem(content);
}

static bool validity_possible(const struct certificate_content *content)
{
    return content->not_before >= 0 && content->not_before <= content->not_after && content->not_after < year_10000;
}

static bool serial_positive(const uint8_t serial[SERIAL_SIZE])
{
    return serial[0] < 0x80 && !sodium_is_zero(serial, SERIAL_SIZE);
}

/* ---- writing ---- */

static BASIC_CONSTRAINTS *basic_constraints_make(bool authority)
{
    BASIC_CONSTRAINTS *value = BASIC_CONSTRAINTS_new();
    if (value)
        value->ca = authority ? 0xff : 0;
    return value;
}

/* In the order that the header gives. */
static bool extensions_make(const struct draft *draft, extension_list **list)
{
    const struct certificate_content *content = &draft->content;
    bool names_critical = distinguished_name_empty(&content->subject);
    return extension_add(list, NID_basic_constraints, true, basic_constraints_make(content->authority)) &&
           extension_add(list, NID_key_usage, true, key_usage_make(content->key_usage)) &&
           (content->authority ||
            extension_add(list, NID_ext_key_usage, false, extended_key_usage_make(content->extended_key_usage))) &&
           extension_add(list, NID_subject_key_identifier, false, key_identifier_make(draft->subject_key_identifier)) &&
           (content->authority || extension_add(list, NID_authority_key_identifier, false,
                                                authority_key_identifier_make(draft->authority_key_identifier))) &&
           (alternative_names_empty(&content->names) ||
            extension_add(list, NID_subject_alt_name, names_critical, general_names_make(&content->names)));
}

/* An INTEGER has no leading zero bytes (X.690 §8.3.2). */
static bool serial_set(ASN1_INTEGER *integer, const uint8_t serial[SERIAL_SIZE])
{
    size_t zeros = 0;
    while (zeros < SERIAL_SIZE - 1 && serial[zeros] == 0)
        zeros++;
    return der_string_set(integer, span(serial + zeros, SERIAL_SIZE - zeros));
}

static enum err draft_encode(const struct draft *draft, struct bytes *ret_der, struct fault *f)
{
    AUTO(bytes) der = {0};
    CLEANUP(TBS_auto) TBS *tbs = der_new(ASN1_ITEM_rptr(TBS));
    if (!tbs || !(tbs->version = ASN1_INTEGER_new()) || !ASN1_INTEGER_set(tbs->version, X509_VERSION_3) ||
        !serial_set(tbs->serial, draft->serial) || !der_string_set(tbs->algorithm, draft->signature_algorithm) ||
        !der_string_set(tbs->issuer, draft->issuer_name) ||
        !ASN1_TIME_set(tbs->validity->not_before, draft->content.not_before) ||
        !ASN1_TIME_set(tbs->validity->not_after, draft->content.not_after) ||
        !der_string_set(tbs->subject, draft->subject_name) || !der_string_set(tbs->spki, draft->spki) ||
        !extensions_make(draft, &tbs->extensions))
        return fault_openssl(f, "cannot build a certificate");
    der_append(&der, tbs, ASN1_ITEM_rptr(TBS));
    TRY(bytes_check(&der, f));
    *ret_der = der;
    der = (struct bytes){0};
    return OK;
}

/* The draft of what draft_build() and draft_build_again() have looked at. */
static enum err draft_write(struct draft *draft, const struct issuer *issuer, const struct public_key *key,
                            const uint8_t serial[SERIAL_SIZE], struct bytes *ret_draft, struct fault *f)
{
    if (!serial_positive(serial) || issuer->algorithm == KEY_NONE)
        return fault_set(f, CODE_INTERNAL, "a certificate needs a positive serial number and an issuer that signs");
    if (!validity_possible(&draft->content))
        return fault_set(f, CODE_INVALID, "a validity that ends before it begins, or is not within 1970 to 9999");
    draft->signature_algorithm = signature_algorithm(issuer->algorithm);
    draft->issuer_name = issuer->name;
    draft->spki = key->spki;
    memcpy(draft->serial, serial, SERIAL_SIZE);
    memcpy(draft->authority_key_identifier, issuer->key_identifier, KEY_IDENTIFIER_SIZE);
    return draft_encode(draft, ret_draft, f);
}

enum err draft_build(const struct certificate_content *content, const struct issuer *issuer,
                     const struct public_key *key, const uint8_t serial[SERIAL_SIZE], struct bytes *ret_draft,
                     struct fault *f)
{
    const char *problem = content_problem(content);
    if (problem)
        return fault_set(f, CODE_INTERNAL, "a decision for a certificate that cannot be: %s", problem);
    AUTO(bytes) subject = {0};
    TRY(distinguished_name_encode(&content->subject, &subject, f));
    struct draft draft = {.subject_name = bytes_span(&subject), .content = *content};
    memcpy(draft.subject_key_identifier, key->key_identifier, KEY_IDENTIFIER_SIZE);
    return draft_write(&draft, issuer, key, serial, ret_draft, f);
}

enum err draft_build_again(const struct issuer *issuer, const struct public_key *key, const uint8_t serial[SERIAL_SIZE],
                           int64_t not_before, int64_t not_after, struct bytes *ret_draft, struct fault *f)
{
    struct draft draft = {
        .subject_name = issuer->name,
        .content = {.authority = true, .key_usage = AUTHORITY_USAGE, .not_before = not_before, .not_after = not_after}};
    memcpy(draft.subject_key_identifier, issuer->key_identifier, KEY_IDENTIFIER_SIZE);
    return draft_write(&draft, issuer, key, serial, ret_draft, f);
}

/* ---- reading ----
 *
 * What is read is encoded again and must give the same bytes. So these functions only collect: whatever they pass over
 * (an unknown extension, another order, a critical flag) is not in the copy, and the draft is refused. */

static bool serial_read(const ASN1_INTEGER *integer, uint8_t ret_serial[SERIAL_SIZE])
{
    struct span value = der_string(integer);
    if (ASN1_STRING_type(integer) != V_ASN1_INTEGER || value.size > SERIAL_SIZE)
        return false;
    memcpy(ret_serial + SERIAL_SIZE - value.size, value.data, value.size);
    return ret_serial[0] < 0x80;
}

static void usages_read(const extension_list *list, struct certificate_content *content)
{
    CLEANUP(BASIC_CONSTRAINTS_auto)
    BASIC_CONSTRAINTS *constraints = X509V3_get_d2i(list, NID_basic_constraints, NULL, NULL);
    content->authority = constraints && constraints->ca;
    CLEANUP(ASN1_BIT_STRING_auto) ASN1_BIT_STRING *usage = X509V3_get_d2i(list, NID_key_usage, NULL, NULL);
    content->key_usage = usage ? key_usage_bits(usage) : 0;
    CLEANUP(EXTENDED_KEY_USAGE_auto)
    EXTENDED_KEY_USAGE *extended = X509V3_get_d2i(list, NID_ext_key_usage, NULL, NULL);
    for (int i = 0; i < sk_ASN1_OBJECT_num(extended); i++)
        content->extended_key_usage |= extended_key_usage_bit(sk_ASN1_OBJECT_value(extended, i));
}

static void key_identifiers_read(const extension_list *list, struct draft *draft)
{
    CLEANUP(ASN1_OCTET_STRING_auto)
    ASN1_OCTET_STRING *subject = X509V3_get_d2i(list, NID_subject_key_identifier, NULL, NULL);
    draft->has_subject_key_identifier = key_identifier_read(subject, draft->subject_key_identifier);
    draft->has_authority_key_identifier = authority_key_identifier_read(list, draft->authority_key_identifier);
}

static enum err names_read(const extension_list *list, struct alternative_names *names, struct fault *f)
{
    CLEANUP(GENERAL_NAMES_auto) GENERAL_NAMES *values = X509V3_get_d2i(list, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(values); i++)
        TRY(general_name_read(sk_GENERAL_NAME_value(values, i), names, f));
    return OK;
}

/* What is read alike of every certificate. */
static enum err body_read(struct span der, const TBS *tbs, struct draft *draft, struct fault *f)
{
    if (!serial_read(tbs->serial, draft->serial))
        return fault_set(f, CODE_MALFORMED, "a serial number that is not 1 to 20 positive bytes (RFC 5280 §4.1.2.2)");
    if (!der_time(tbs->validity->not_before, &draft->content.not_before) ||
        !der_time(tbs->validity->not_after, &draft->content.not_after))
        return fault_set(f, CODE_MALFORMED, "a validity that is not two times (RFC 5280 §4.1.2.5)");
    draft->signature_algorithm = der_locate(der, tbs->algorithm);
    draft->issuer_name = der_locate(der, tbs->issuer);
    draft->subject_name = der_locate(der, tbs->subject);
    draft->spki = der_locate(der, tbs->spki);
    usages_read(tbs->extensions, &draft->content);
    key_identifiers_read(tbs->extensions, draft);
    return OK;
}

static enum err draft_read(struct span der, struct draft *draft, struct fault *f)
{
    CLEANUP(TBS_auto) TBS *tbs = der_decode(der, ASN1_ITEM_rptr(TBS));
    if (!tbs)
        return fault_set(f, CODE_MALFORMED, "not a TBSCertificate in DER (RFC 5280 §4.1)");
    TRY(body_read(der, tbs, draft, f));
    if (!serial_positive(draft->serial))
        return fault_set(f, CODE_MALFORMED, "a serial number that is not 1 to 20 positive bytes (RFC 5280 §4.1.2.2)");
    TRY(distinguished_name_decode(draft->subject_name, &draft->content.subject, f));
    return names_read(tbs->extensions, &draft->content.names, f);
}

static bool signature_algorithm_known(struct span algorithm)
{
    for (enum key_algorithm i = KEY_NONE + 1; i < KEY_ALGORITHM_COUNT; i++)
        if (span_equal(algorithm, signature_algorithm(i)))
            return true;
    return false;
}

/* The name of a CA may have any attributes: it may have been made elsewhere. */
static bool name_present(struct span name)
{
    CLEANUP(X509_NAME_auto) X509_NAME *decoded = der_decode(name, ASN1_ITEM_rptr(X509_NAME));
    return decoded && X509_NAME_entry_count(decoded) > 0;
}

/* What draft_encode() copies without looking: names, key and algorithm. */
static enum err draft_check(const struct draft *draft, struct fault *f)
{
    const char *problem = content_problem(&draft->content);
    if (problem)
        return fault_set(f, CODE_INVALID, "not a certificate that Ensign issues: %s", problem);
    if (!validity_possible(&draft->content))
        return fault_set(f, CODE_INVALID, "a validity that ends before it begins (RFC 5280 §4.1.2.5)");
    if (!signature_algorithm_known(draft->signature_algorithm))
        return fault_set(f, CODE_INVALID, "a signature algorithm that Ensign does not sign with");
    if (!name_present(draft->issuer_name))
        return fault_set(f, CODE_INVALID, "an issuer without a name (RFC 5280 §4.1.2.4)");
    struct public_key key;
    TRY(public_key_read(draft->spki, &key, f));
    if (!draft->has_subject_key_identifier ||
        memcmp(key.key_identifier, draft->subject_key_identifier, KEY_IDENTIFIER_SIZE) != 0)
        return fault_set(f, CODE_INVALID, "a subjectKeyIdentifier that is not that of the key (RFC 7093 §2)");
    return OK;
}

enum err draft_parse(struct span der, struct draft *ret_draft, struct fault *f)
{
    AUTO(draft) draft = {0};
    AUTO(bytes) again = {0}, subject = {0};
    TRY(draft_read(der, &draft, f));
    TRY(draft_check(&draft, f));
    TRY(distinguished_name_encode(&draft.content.subject, &subject, f));
    TRY(draft_encode(&draft, &again, f));
    if (!span_equal(bytes_span(&again), der) || !span_equal(bytes_span(&subject), draft.subject_name))
        return fault_set(f, CODE_INVALID,
                         "a field, an extension or an encoding that Ensign does not write in certificates");
    *ret_draft = draft;
    draft = (struct draft){0};
    return OK;
}

/* ---- reading CA certificates of others ---- */

/* A CA with a critical extension that is not understood here must not be trusted (RFC 5280 §4.2). */
static enum err critical_check(const extension_list *list, struct fault *f)
{
    for (int i = 0; i < sk_X509_EXTENSION_num(list); i++) {
        const X509_EXTENSION *extension = sk_X509_EXTENSION_value(list, i);
        const ASN1_OBJECT *type = X509_EXTENSION_get_object((X509_EXTENSION *)extension);
        int nid = OBJ_obj2nid(type);
        char name[64];
        if (!X509_EXTENSION_get_critical(extension) || nid == NID_basic_constraints || nid == NID_key_usage ||
            nid == NID_ext_key_usage || nid == NID_subject_alt_name || nid == NID_name_constraints)
            continue;
        OBJ_obj2txt(name, sizeof name, type, 0);
        return fault_set(f, CODE_UNSUPPORTED, "a CA certificate with the critical extension %s (RFC 5280 §4.2)", name);
    }
    return OK;
}

static bool extension_present(const extension_list *list, int nid)
{
    return X509v3_get_ext_by_NID(list, nid, -1) >= 0;
}

static enum err authority_read(const extension_list *list, struct draft *draft, struct fault *f)
{
    struct public_key key;
    TRY(critical_check(list, f));
    if (!extension_present(list, NID_key_usage))
        draft->content.key_usage = AUTHORITY_USAGE;
    if (extension_present(list, NID_ext_key_usage) && !draft->content.extended_key_usage)
        return fault_set(f, CODE_UNSUPPORTED, "a CA certificate for other usages than serverAuth and clientAuth");
    if (extension_present(list, NID_subject_key_identifier) && !draft->has_subject_key_identifier)
        return fault_set(f, CODE_UNSUPPORTED, "a CA certificate with a key identifier that is not of %d bytes",
                         KEY_IDENTIFIER_SIZE);
    TRY(public_key_read(draft->spki, &key, f));
    if (!draft->has_subject_key_identifier)
        memcpy(draft->subject_key_identifier, key.key_identifier, KEY_IDENTIFIER_SIZE);
    return OK;
}

enum err draft_parse_authority(struct span der, struct draft *ret_draft, struct fault *f)
{
    AUTO(draft) draft = {0};
    CLEANUP(TBS_auto) TBS *tbs = der_decode(der, ASN1_ITEM_rptr(TBS));
    if (!tbs)
        return fault_set(f, CODE_MALFORMED, "not a TBSCertificate in DER (RFC 5280 §4.1)");
    TRY(body_read(der, tbs, &draft, f));
    if (!name_present(draft.issuer_name) || !name_present(draft.subject_name))
        return fault_set(f, CODE_INVALID, "a CA certificate without a name (RFC 5280 §4.1.2.6)");
    TRY(authority_read(tbs->extensions, &draft, f));
    *ret_draft = draft;
    draft = (struct draft){0};
    return OK;
}

/* ---- certificates ---- */

enum err certificate_assemble(struct span draft, enum key_algorithm issuer_algorithm, struct span signature,
                              struct bytes *ret_certificate, struct fault *f)
{
    struct signed_object object = {draft, signature_algorithm(issuer_algorithm), signature};
    AUTO(bytes) der = {0};
    signed_object_append(&der, &object);
    TRY(bytes_check(&der, f));
    *ret_certificate = der;
    der = (struct bytes){0};
    return OK;
}

enum err draft_sign(struct span draft, EVP_PKEY *key, enum key_algorithm algorithm, struct bytes *ret_certificate,
                    struct fault *f)
{
    AUTO(bytes) signature = {0};
    TRY(key_sign(key, algorithm, draft, &signature, f));
    return certificate_assemble(draft, algorithm, bytes_span(&signature), ret_certificate, f);
}
