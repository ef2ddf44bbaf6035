#include "client/issued.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "ca/base/encode.h"
#include "client/api.h"
#include "policies/cluster.h"

void issued_cleanup(struct issued *issued)
{
    bytes_free(&issued->certificate);
    bytes_free(&issued->chain);
    bytes_free(&issued->bundle);
}

static void member_copy(const struct node *root, const char *key, struct bytes *out)
{
    struct node node = node_get(root, key);
    const char *text = NULL;
    if (node_string(&node, NODE_REQUIRED, &text))
        bytes_append_text(out, text);
}

enum err issued_read(const struct document *answer, struct issued *ret_issued, struct fault *f)
{
    struct node root = document_root(answer, f);
    AUTO(issued) issued = {0};
    member_copy(&root, "certificate", &issued.certificate);
    member_copy(&root, "chain", &issued.chain);
    member_copy(&root, "bundle", &issued.bundle);
    TRY(answer_finish("a certificate", f));
    TRY(bytes_check(&issued.certificate, f));
    TRY(bytes_check(&issued.chain, f));
    TRY(bytes_check(&issued.bundle, f));
    *ret_issued = issued;
    issued = (struct issued){0};
    return OK;
}

typedef enum err certificate_reader(struct span der, struct certificate *ret_certificate, struct fault *f);

/* The next CERTIFICATE block of text, which is moved behind it; ERR_ABSENT when there is none. */
static enum err certificate_next(struct span *text, certificate_reader *read, struct certificate *ret_certificate,
                                 struct fault *f)
{
    char label[PEM_LABEL_SIZE];
    AUTO(bytes) der = {0};
    TRY(pem_next(text, label, &der, f));
    if (strcmp(label, "CERTIFICATE") != 0)
        return fault_set(f, CODE_UNTRUSTED, "a %s stands where only certificates may", label);
    return read(bytes_span(&der), ret_certificate, f);
}

/* ---- the checks: each adds its reasons ---- */

/* Whether some version of Kubernetes has this subject: which one the cluster has, only the service knows. A version's
 * facts are those of its first release or of its last. */
static bool subject_known(const struct distinguished_name *subject, const struct expectation *expectation,
                          struct distinguished_name *ret_expected)
{
    static const int patches[] = {KUBERNETES_PATCH_UNKNOWN, INT_MAX};
    for (unsigned minor = KUBERNETES_MINOR_MIN; minor <= KUBERNETES_MINOR_MAX; minor++)
        for (size_t i = 0; i < ARRAY_SIZE(patches); i++)
            if (profile_subject(expectation->profile, expectation->name, kubernetes_facts(minor, patches[i]),
                                ret_expected) &&
                distinguished_name_equal(subject, ret_expected))
                return true;
    return false;
}

static void check_subject(const struct distinguished_name *subject, const struct expectation *expectation,
                          struct fault *f)
{
    struct distinguished_name expected = {0};
    const struct profile *profile = expectation->profile;
    if (profile->common_name_from != COMMON_NAME_LITERAL && strlen(expectation->name) > profile_name_max(profile))
        fault_reason(f, "subject", "the name \"%s\" is too long for a common name", expectation->name);
    if (subject_known(subject, expectation, &expected))
        return;
    char given[160], wanted[160];
    distinguished_name_text(subject, given, sizeof given);
    distinguished_name_text(&expected, wanted, sizeof wanted);
    fault_reason(f, "subject", "\"%s\", where the profile has \"%s\"", given, wanted);
}

static void check_content(const struct certificate *leaf, const struct expectation *expectation, struct fault *f)
{
    const struct certificate_content *content = &leaf->body.content;
    check_subject(&content->subject, expectation, f);
    if (content->extended_key_usage != expectation->profile->extended_key_usage) {
        char given[64], wanted[64];
        extended_usage_text(content->extended_key_usage, given, sizeof given);
        extended_usage_text(expectation->profile->extended_key_usage, wanted, sizeof wanted);
        fault_reason(f, "extendedKeyUsage", "%s, where the profile has %s", given, wanted);
    }
    if (content->authority)
        fault_reason(f, "basicConstraints", "this is a CA");
    if (!span_equal(leaf->public_key.spki, expectation->spki))
        fault_reason(f, "subjectPublicKeyInfo", "this is not the key that was asked for");
}

bool issued_by_service(const struct profile *profile)
{
    return strcmp(profile->issuer, AUTHORITY_SERVICE) == 0;
}

void profile_with_groups(const struct profile *profile, const char *const *groups, size_t groups_count,
                         struct profile *ret_profile)
{
    struct distinguished_name *subject = &ret_profile->subject;
    *ret_profile = *profile;
    for (size_t i = 0; i < groups_count && subject->organizations_count < ORGANIZATIONS_MAX; i++)
        snprintf(subject->organizations[subject->organizations_count++], ATTRIBUTE_MAX + 1, "%s", groups[i]);
}

static void check_issuer(const struct certificate *leaf, const struct certificate *issuer,
                         const struct expectation *expectation, struct fault *f)
{
    struct fault why = {0};
    if (certificate_check_issuer(leaf, issuer, expectation->now, &why) != OK) {
        char line[300];
        fault_line(&why, line, sizeof line);
        fault_reason(f, "issuer", "%s", line);
    }
    if (issued_by_service(expectation->profile) &&
        CRYPTO_memcmp(issuer->public_key.spki_sha256, expectation->pin, SHA256_SIZE) != 0)
        fault_reason(f, "issuer", "this is not the pinned CA of the service");
}

/* The chain is the leaf and its issuer, and nothing behind them. */
static enum err chain_read(const struct issued *issued, const struct certificate *leaf, struct certificate *ret_issuer,
                           struct fault *f)
{
    struct span rest = bytes_span(&issued->chain);
    AUTO(certificate) first = {0};
    TRY(certificate_next(&rest, certificate_parse, &first, f));
    if (!span_equal(bytes_span(&first.der), bytes_span(&leaf->der)))
        fault_reason(f, "chain", "does not begin with the certificate");
    TRY(certificate_next(&rest, certificate_parse_authority, ret_issuer, f));
    AUTO(certificate) more = {0};
    struct fault end = {0};
    if (certificate_next(&rest, certificate_parse_authority, &more, &end) != ERR_ABSENT)
        fault_reason(f, "chain", "is longer than the certificate and its CA");
    return OK;
}

enum err bundle_next(struct span *bundle, struct certificate *ret_ca, struct fault *f)
{
    return certificate_next(bundle, certificate_parse_authority, ret_ca, f);
}

static void check_bundle(const struct issued *issued, const struct certificate *issuer, struct fault *f)
{
    struct span rest = bytes_span(&issued->bundle);
    bool found = false;
    for (;;) {
        AUTO(certificate) ca = {0};
        struct fault why = {0};
        enum err err = bundle_next(&rest, &ca, &why);
        if (err == ERR_ABSENT)
            break;
        if (err != OK) {
            fault_reason(f, "bundle", "%s", why.text);
            break;
        }
        if (!ca.body.content.authority)
            fault_reason(f, "bundle", "holds a certificate that is no CA");
        found = found || span_equal(bytes_span(&ca.der), bytes_span(&issuer->der));
    }
    if (!found)
        fault_reason(f, "bundle", "does not hold the CA that issued the certificate");
}

enum err issued_check(const struct issued *issued, const struct expectation *expectation,
                      struct issued_facts *ret_facts, struct fault *f)
{
    AUTO(certificate) leaf = {0};
    AUTO(certificate) issuer = {0};
    TRY(certificate_parse_pem(bytes_span(&issued->certificate), &leaf, f));
    TRY(chain_read(issued, &leaf, &issuer, f));
    check_content(&leaf, expectation, f);
    check_issuer(&leaf, &issuer, expectation, f);
    check_bundle(issued, &issuer, f);
    TRY(fault_if_reasons(f, CODE_UNTRUSTED, "this is not the certificate that was asked for"));
    hex_text(SPAN_OF(leaf.body.serial), ret_facts->serial, sizeof ret_facts->serial);
    ret_facts->not_after = leaf.body.content.not_after;
    return OK;
}
