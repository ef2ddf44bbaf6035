#include "ca/x509/crl.h"

#include <stdlib.h>
#include <string.h>

#include "ca/x509/der.h"
#include "ca/x509/extension.h"

AUTO_POINTER(ASN1_ENUMERATED, ASN1_ENUMERATED_free)
AUTO_POINTER(ASN1_INTEGER, ASN1_INTEGER_free)

/* ---- reasons ---- */

const char *const crl_reason_words[] = {
    "unspecified", "keyCompromise",        "cACompromise",       "affiliationChanged",
    "superseded",  "cessationOfOperation", "privilegeWithdrawn", NULL};
static const uint8_t reason_codes[] = {0, 1, 2, 3, 4, 5, 9};

const char *crl_reason_word(unsigned code)
{
    for (size_t i = 0; i < ARRAY_SIZE(reason_codes); i++)
        if (reason_codes[i] == code)
            return crl_reason_words[i];
    return NULL;
}

bool crl_reason_by_word(const char *word, uint8_t *ret_code)
{
    for (size_t i = 0; i < ARRAY_SIZE(reason_codes); i++)
        if (strcmp(crl_reason_words[i], word) == 0) {
            *ret_code = reason_codes[i];
            return true;
        }
    return false;
}

/* ---- TBSCertList ---- */

typedef struct {
    ASN1_INTEGER *serial;
    ASN1_TIME *revoked_at;
    extension_list *extensions;
} REVOKED;

ASN1_SEQUENCE(REVOKED) = {
    ASN1_SIMPLE(REVOKED, serial, ASN1_INTEGER),
    ASN1_SIMPLE(REVOKED, revoked_at, ASN1_TIME),
    ASN1_SEQUENCE_OF_OPT(REVOKED, extensions, X509_EXTENSION),
} DER_SEQUENCE_END(REVOKED);

DEFINE_STACK_OF(REVOKED)

typedef struct {
    ASN1_INTEGER *version;
    ASN1_STRING *algorithm, *issuer;
    ASN1_TIME *this_update, *next_update;
    STACK_OF(REVOKED) * revoked;
    extension_list *extensions;
} LIST;

ASN1_SEQUENCE(LIST) = {
    ASN1_SIMPLE(LIST, version, ASN1_INTEGER),
    ASN1_SIMPLE(LIST, algorithm, ASN1_SEQUENCE), /* raw DER, as is issuer */
    ASN1_SIMPLE(LIST, issuer, ASN1_SEQUENCE),
    ASN1_SIMPLE(LIST, this_update, ASN1_TIME),
    ASN1_SIMPLE(LIST, next_update, ASN1_TIME),
    ASN1_SEQUENCE_OF_OPT(LIST, revoked, REVOKED),
    ASN1_EXP_SEQUENCE_OF(LIST, extensions, X509_EXTENSION, 0),
} DER_SEQUENCE_END(LIST);

/* ---- what it may say ---- */

static bool entry_possible(const struct crl_entry *entry, const struct crl_entry *before)
{
    return entry->serial[0] > 0 && entry->serial[0] < 0x80 && crl_reason_word(entry->reason) &&
           (!before || memcmp(before->serial, entry->serial, SERIAL_SIZE) < 0);
}

/* NULL when nothing is wrong. */
static const char *crl_problem(const struct crl *crl)
{
    if (crl->number == 0)
        return "a cRLNumber that is not positive (RFC 5280 §5.2.3)";
    if (crl->this_update < 0 || crl->next_update <= crl->this_update)
        return "a nextUpdate that is not after thisUpdate (RFC 5280 §5.1.2.5)";
    for (size_t i = 0; i < crl->entries_count; i++)
        if (!entry_possible(&crl->entries[i], i ? &crl->entries[i - 1] : NULL))
            return "entries out of order, twice, or with a serial or reason that Ensign does not write";
    return NULL;
}

static enum err entries_limit(size_t count, struct fault *f)
{
    return count <= CRL_ENTRIES_MAX
               ? OK
               : fault_set(f, CODE_TOO_LARGE,
                           "a CRL lists at most %d certificates: what has expired leaves it by itself; a CA of which "
                           "more are revoked is to be replaced",
                           CRL_ENTRIES_MAX);
}

/* ---- writing ---- */

static ASN1_ENUMERATED *reason_make(uint8_t code)
{
    CLEANUP(ASN1_ENUMERATED_auto) ASN1_ENUMERATED *value = ASN1_ENUMERATED_new();
    return value && ASN1_ENUMERATED_set(value, code) ? TAKE(value) : NULL;
}

static ASN1_INTEGER *number_make(uint64_t number)
{
    CLEANUP(ASN1_INTEGER_auto) ASN1_INTEGER *value = ASN1_INTEGER_new();
    return value && ASN1_INTEGER_set_uint64(value, number) ? TAKE(value) : NULL;
}

static bool entry_add(STACK_OF(REVOKED) * list, const struct crl_entry *entry)
{
    CLEANUP(REVOKED_auto) REVOKED *revoked = der_new(ASN1_ITEM_rptr(REVOKED));
    if (!revoked || !der_string_set(revoked->serial, SPAN_OF(entry->serial)) ||
        !ASN1_TIME_set(revoked->revoked_at, entry->revoked_at) ||
        (entry->reason > 0 &&
         !extension_add(&revoked->extensions, NID_crl_reason, false, reason_make(entry->reason))) ||
        !sk_REVOKED_push(list, revoked))
        return false;
    TAKE(revoked);
    return true;
}

static bool entries_make(const struct crl *crl, LIST *list)
{
    if (crl->entries_count > 0 && !(list->revoked = sk_REVOKED_new_reserve(NULL, (int)crl->entries_count)))
        return false;
    for (size_t i = 0; i < crl->entries_count; i++)
        if (!entry_add(list->revoked, &crl->entries[i]))
            return false;
    return true;
}

static enum err crl_encode(const struct crl *crl, struct bytes *ret_der, struct fault *f)
{
    AUTO(bytes) der = {0};
    CLEANUP(LIST_auto) LIST *list = der_new(ASN1_ITEM_rptr(LIST));
    if (!list || !ASN1_INTEGER_set(list->version, X509_CRL_VERSION_2) ||
        !der_string_set(list->algorithm, crl->signature_algorithm) || !der_string_set(list->issuer, crl->issuer_name) ||
        !ASN1_TIME_set(list->this_update, crl->this_update) || !ASN1_TIME_set(list->next_update, crl->next_update) ||
        !entries_make(crl, list) ||
        !extension_add(&list->extensions, NID_authority_key_identifier, false,
                       authority_key_identifier_make(crl->authority_key_identifier)) ||
        !extension_add(&list->extensions, NID_crl_number, false, number_make(crl->number)))
        return fault_openssl(f, "cannot build a CRL");
    der_append(&der, list, ASN1_ITEM_rptr(LIST));
    return bytes_give(&der, ret_der, f);
}

enum err crl_build(const struct crl *crl, struct bytes *ret_draft, struct fault *f)
{
    TRY(entries_limit(crl->entries_count, f));
    const char *problem = crl_problem(crl);
    if (problem)
        return fault_set(f, CODE_INTERNAL, "a CRL that cannot be: %s", problem);
    return crl_encode(crl, ret_draft, f);
}

/* ---- reading: what is passed over here is not in the copy that is encoded again ---- */

void crl_cleanup(struct crl *crl)
{
    free(crl->entries);
}

static bool entry_read(const REVOKED *revoked, struct crl_entry *entry)
{
    struct span serial = der_string(revoked->serial);
    if (ASN1_STRING_type(revoked->serial) != V_ASN1_INTEGER || serial.size != SERIAL_SIZE ||
        !der_time(revoked->revoked_at, &entry->revoked_at))
        return false;
    memcpy(entry->serial, serial.data, SERIAL_SIZE);
    CLEANUP(ASN1_ENUMERATED_auto)
    ASN1_ENUMERATED *reason = X509V3_get_d2i(revoked->extensions, NID_crl_reason, NULL, NULL);
    long code = reason ? ASN1_ENUMERATED_get(reason) : 0;
    entry->reason = code >= 0 && code <= UINT8_MAX ? (uint8_t)code : UINT8_MAX;
    return true;
}

static enum err entries_read(const LIST *list, struct crl *crl, struct fault *f)
{
    size_t count = list->revoked ? (size_t)sk_REVOKED_num(list->revoked) : 0;
    TRY(entries_limit(count, f));
    crl->entries = calloc(count + 1, sizeof *crl->entries);
    if (!crl->entries)
        return fault_no_memory(f);
    for (; crl->entries_count < count; crl->entries_count++)
        if (!entry_read(sk_REVOKED_value(list->revoked, (int)crl->entries_count), &crl->entries[crl->entries_count]))
            return fault_set(f, CODE_MALFORMED, "an entry without a serial of %d bytes and a time (RFC 5280 §5.1.2.6)",
                             SERIAL_SIZE);
    return OK;
}

static enum err crl_read(struct span der, struct crl *crl, struct fault *f)
{
    CLEANUP(LIST_auto) LIST *list = der_decode(der, ASN1_ITEM_rptr(LIST));
    if (!list)
        return fault_set(f, CODE_MALFORMED, "not a TBSCertList of version 2 in DER (RFC 5280 §5.1)");
    CLEANUP(ASN1_INTEGER_auto) ASN1_INTEGER *number = X509V3_get_d2i(list->extensions, NID_crl_number, NULL, NULL);
    if (!number || ASN1_INTEGER_get_uint64(&crl->number, number) != 1)
        return fault_set(f, CODE_INVALID, "no cRLNumber below 2^64 (RFC 5280 §5.2.3)");
    if (!authority_key_identifier_read(list->extensions, crl->authority_key_identifier))
        return fault_set(f, CODE_INVALID, "no authorityKeyIdentifier (RFC 5280 §5.2.1)");
    if (!der_time(list->this_update, &crl->this_update) || !der_time(list->next_update, &crl->next_update))
        return fault_set(f, CODE_MALFORMED, "thisUpdate and nextUpdate are not two times (RFC 5280 §5.1.2.4)");
    crl->signature_algorithm = der_locate(der, list->algorithm);
    crl->issuer_name = der_locate(der, list->issuer);
    return entries_read(list, crl, f);
}

enum err crl_parse(struct span der, struct crl *ret_crl, struct fault *f)
{
    AUTO(crl) crl = {0};
    AUTO(bytes) again = {0};
    TRY(crl_read(der, &crl, f));
    const char *problem = crl_problem(&crl);
    if (problem)
        return fault_set(f, CODE_INVALID, "not a CRL that Ensign signs: %s", problem);
    TRY(crl_encode(&crl, &again, f));
    if (!span_equal(bytes_span(&again), der))
        return fault_set(f, CODE_INVALID, "a field, an extension or an encoding that Ensign does not write in CRLs");
    *ret_crl = crl;
    crl = (struct crl){0};
    return OK;
}

enum err crl_parse_signed(struct span der, struct crl *ret_crl, struct fault *f)
{
    struct signed_object object;
    if (!signed_object_decode(der, &object))
        return fault_set(f, CODE_MALFORMED, "not a CertificateList in DER (RFC 5280 §5.1)");
    return crl_parse(object.body, ret_crl, f);
}

static int entry_compare(const void *serial, const void *entry)
{
    return memcmp(serial, ((const struct crl_entry *)entry)->serial, SERIAL_SIZE);
}

const struct crl_entry *crl_find(const struct crl *crl, const uint8_t serial[SERIAL_SIZE])
{
    return crl->entries_count ? bsearch(serial, crl->entries, crl->entries_count, sizeof *crl->entries, entry_compare)
                              : NULL;
}
