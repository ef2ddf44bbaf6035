#include "ca/x509/foreign.h"

#include <openssl/x509v3.h>

#include "ca/base/encode.h"

AUTO_POINTER(NAME_CONSTRAINTS, NAME_CONSTRAINTS_free)
AUTO_POINTER(X509, X509_free)

static void validity_judge(const struct certificate_content *content, int64_t now, struct fault *f)
{
    char time[TIME_TEXT_SIZE];
    if (now < content->not_before) {
        time_text(content->not_before, time);
        fault_reason(f, "/validity/notBefore", "not valid before %s", time);
    }
    if (now > content->not_after) {
        time_text(content->not_after, time);
        fault_reason(f, "/validity/notAfter", "expired at %s: nothing that it signs would be accepted", time);
    }
}

static void usage_judge(const struct certificate_content *content, unsigned extended_key_usage, struct fault *f)
{
    char text[64];
    if (!content->authority)
        fault_reason(f, "/basicConstraints", "not a CA: this is the certificate of a leaf (RFC 5280 §4.2.1.9)");
    if (!(content->key_usage & USAGE_KEY_CERT_SIGN))
        fault_reason(f, "/keyUsage", "without keyCertSign it signs no certificates (RFC 5280 §4.2.1.3)");
    if (content->extended_key_usage && extended_key_usage & ~content->extended_key_usage) {
        extended_usage_text(content->extended_key_usage, text, sizeof text);
        fault_reason(f, "/extendedKeyUsage", "only for certificates for %s", text);
    }
}

/* The signature is only looked at when the names say that it is its own. */
static void self_signed_judge(const struct certificate *authority, struct fault *f)
{
    struct fault why = {0};
    if (!span_equal(authority->body.issuer_name, authority->body.subject_name))
        fault_reason(f, "/issuer", "issued by another CA: only self-signed CAs can be imported");
    else if (public_key_verify(&authority->public_key, authority->body.signature_algorithm, authority->body_der,
                               authority->signature, &why) != OK)
        fault_reason(f, "/signature", "not signed by its own key with SHA-2");
}

enum err foreign_authority_check(const struct certificate *authority, unsigned extended_key_usage, int64_t now,
                                 struct fault *f)
{
    struct public_key key;
    TRY(public_key_parse(authority->body.spki, &key, f));
    usage_judge(&authority->body.content, extended_key_usage, f);
    self_signed_judge(authority, f);
    validity_judge(&authority->body.content, now, f);
    return fault_if_reasons(f, CODE_INVALID, "this is not a CA certificate to issue under");
}

/* ---- name constraints ---- */

static X509 *authority_x509(const struct certificate *authority)
{
    const uint8_t *at = authority->der.data;
    return d2i_X509(NULL, &at, (long)authority->der.size);
}

bool foreign_constrained(const struct certificate *authority)
{
    CLEANUP(X509_auto) X509 *ca = authority_x509(authority);
    return !ca || X509_get_ext_by_NID(ca, NID_name_constraints, -1) >= 0;
}

/* A leaf with these names, for OpenSSL to look at; its signature is empty. */
static enum err leaf_make(const struct certificate *authority, const struct certificate_content *content,
                          X509 **ret_leaf, struct fault *f)
{
    static const uint8_t serial[SERIAL_SIZE] = {1}, no_signature[] = {0};
    const struct issuer issuer = {.name = authority->body.subject_name, .algorithm = authority->public_key.algorithm};
    struct certificate_content leaf = *content; /* borrows */
    leaf.not_before = authority->body.content.not_before;
    leaf.not_after = authority->body.content.not_after;
    AUTO(bytes) draft = {0}, der = {0};
    TRY(draft_build(&leaf, &issuer, &authority->public_key, serial, &draft, f));
    TRY(certificate_assemble(bytes_span(&draft), issuer.algorithm, SPAN_OF(no_signature), &der, f));
    const uint8_t *at = der.data;
    CLEANUP(X509_auto) X509 *x509 = d2i_X509(NULL, &at, (long)der.size);
    if (!x509 || X509_check_purpose(x509, -1, 0) != 1) /* which reads its extensions */
        return fault_openssl(f, "cannot read a certificate");
    *ret_leaf = TAKE(x509);
    return OK;
}

enum err foreign_names_check(const struct certificate *authority, const struct certificate_content *leaf,
                             struct fault *f)
{
    CLEANUP(X509_auto) X509 *ca = authority_x509(authority);
    CLEANUP(NAME_CONSTRAINTS_auto)
    NAME_CONSTRAINTS *constraints = ca ? X509_get_ext_d2i(ca, NID_name_constraints, NULL, NULL) : NULL;
    if (!constraints)
        return fault_set(f, CODE_UNSUPPORTED, "the name constraints of the CA cannot be read (RFC 5280 §4.2.1.10)");
    CLEANUP(X509_auto) X509 *x509 = NULL;
    TRY(leaf_make(authority, leaf, &x509, f));
    int verdict = NAME_CONSTRAINTS_check(x509, constraints);
    if (verdict == X509_V_OK)
        return OK;
    if (verdict == X509_V_ERR_PERMITTED_VIOLATION || verdict == X509_V_ERR_EXCLUDED_VIOLATION)
        return fault_set(f, CODE_INVALID, "the name constraints of the CA exclude these names (RFC 5280 §4.2.1.10)");
    return fault_set(f, CODE_UNSUPPORTED, "the name constraints of the CA cannot be judged: %s",
                     X509_verify_cert_error_string(verdict));
}
