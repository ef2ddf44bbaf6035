#include "ca/x509/grant.h"

#include <string.h>

#include "ca/base/encode.h"

void grant_pack(const struct grant *grant, struct bytes *out)
{
    pack_u8(out, (uint8_t)grant->kind);
    pack_span(out, bytes_span(&grant->issuer_name));
    pack_fixed(out, SPAN_OF(grant->key_identifier));
    pack_u8(out, (uint8_t)grant->algorithm);
    pack_u32(out, grant->extended_key_usage);
    pack_i64(out, grant->lifetime_max_seconds);
    pack_i64(out, grant->not_after);
    pack_text(out, grant->origin);
}

enum err grant_unpack(struct unpack *in, struct grant *ret_grant, struct fault *f)
{
    AUTO(grant) grant = {.kind = unpack_u8(in)};
    struct span issuer_name = unpack_span(in);
    unpack_fixed(in, grant.key_identifier, sizeof grant.key_identifier);
    grant.algorithm = unpack_u8(in);
    grant.extended_key_usage = unpack_u32(in);
    grant.lifetime_max_seconds = unpack_i64(in);
    grant.not_after = unpack_i64(in);
    unpack_text(in, grant.origin, sizeof grant.origin);
    if (in->failed || (grant.kind != GRANT_AUTHORITY && grant.kind != GRANT_LOG) ||
        grant.algorithm >= KEY_ALGORITHM_COUNT)
        return fault_set(f, CODE_DAMAGED, "the grant of a key is damaged");
    TRY(bytes_copy(issuer_name, &grant.issuer_name, f));
    *ret_grant = grant;
    grant = (struct grant){0};
    return OK;
}

void grant_cleanup(struct grant *grant)
{
    bytes_free(&grant->issuer_name);
}

/* identifier: NULL when there is none */
static void issuer_judge(const struct grant *grant, struct span name, struct span algorithm, const uint8_t *identifier,
                         struct fault *f)
{
    if (!span_equal(name, bytes_span(&grant->issuer_name)))
        fault_reason(f, "/issuer", "not the name of the CA that this key belongs to");
    if (!span_equal(algorithm, signature_algorithm(grant->algorithm)))
        fault_reason(f, "/signature", "the key signs as %s does", key_algorithm_name(grant->algorithm));
    if (!identifier || memcmp(identifier, grant->key_identifier, KEY_IDENTIFIER_SIZE) != 0)
        fault_reason(f, "/authorityKeyIdentifier", "not the identifier of this key");
}

static void subject_judge(const struct draft *draft, struct fault *f)
{
    if (!draft->has_subject_key_identifier)
        fault_reason(f, "/subjectKeyIdentifier", "missing");
    if (draft->serial[0] == 0 || draft->serial[0] >= 0x80)
        fault_reason(f, "/serialNumber", "not positive and of %d bytes", SERIAL_SIZE);
}

static void usage_judge(const struct grant *grant, const struct certificate_content *content, struct fault *f)
{
    if (content->authority || content->key_usage & (USAGE_KEY_CERT_SIGN | USAGE_CRL_SIGN))
        fault_reason(f, "/basicConstraints", "the key signs leaf certificates only");
    char text[64];
    if (content->extended_key_usage == 0 || content->extended_key_usage & ~grant->extended_key_usage) {
        extended_usage_text(grant->extended_key_usage, text, sizeof text);
        fault_reason(f, "/extendedKeyUsage", "more than the key may grant: %s", text);
    }
}

static void validity_judge(const struct grant *grant, const struct certificate_content *content, struct fault *f)
{
    char text[TIME_TEXT_SIZE];
    if (content->not_after < content->not_before)
        fault_reason(f, "/validity", "ends before it begins");
    if (content->not_after - content->not_before > grant->lifetime_max_seconds)
        fault_reason(f, "/validity", "longer than the %lld seconds that the key may grant",
                     (long long)grant->lifetime_max_seconds);
    if (content->not_after > grant->not_after) {
        time_text(grant->not_after, text);
        fault_reason(f, "/validity/notAfter", "later than the end of the CA, %s", text);
    }
}

enum err grant_check(const struct grant *grant, const struct draft *draft, struct fault *f)
{
    if (grant->kind != GRANT_AUTHORITY)
        return fault_set(f, CODE_POLICY_DENIED, "the key signs no certificates");
    issuer_judge(grant, draft->issuer_name, draft->signature_algorithm,
                 draft->has_authority_key_identifier ? draft->authority_key_identifier : NULL, f);
    subject_judge(draft, f);
    usage_judge(grant, &draft->content, f);
    validity_judge(grant, &draft->content, f);
    return fault_if_reasons(f, CODE_POLICY_DENIED, "the certificate is not one that the key may sign");
}

enum err grant_check_crl(const struct grant *grant, const struct crl *crl, struct fault *f)
{
    if (grant->kind != GRANT_AUTHORITY)
        return fault_set(f, CODE_POLICY_DENIED, "the key signs no CRLs");
    issuer_judge(grant, crl->issuer_name, crl->signature_algorithm, crl->authority_key_identifier, f);
    if (crl->next_update - crl->this_update > CRL_LIFE_MAX_SECONDS)
        fault_reason(f, "/nextUpdate", "more than %d days after thisUpdate", CRL_LIFE_MAX_SECONDS / 86400);
    return fault_if_reasons(f, CODE_POLICY_DENIED, "the CRL is not one that the key may sign");
}
