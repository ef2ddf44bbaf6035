#include "tests/fuzz/x509.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/x509/fixture.h"

bool names_same(const struct alternative_names *a, const struct alternative_names *b)
{
    AUTO(bytes) a_packed = {0}, b_packed = {0};
    alternative_names_pack(a, &a_packed);
    alternative_names_pack(b, &b_packed);
    return span_equal(bytes_span(&a_packed), bytes_span(&b_packed));
}

bool subject_same(const struct distinguished_name *a, const struct distinguished_name *b)
{
    if (strcmp(a->common_name, b->common_name) != 0 || a->organizations_count != b->organizations_count)
        return false;
    for (size_t i = 0; i < a->organizations_count; i++)
        if (strcmp(a->organizations[i], b->organizations[i]) != 0)
            return false;
    return true;
}

/* RSA keys of all sizes sign with the same algorithm: the first will do. */
static enum key_algorithm algorithm_of(struct span algorithm)
{
    for (enum key_algorithm i = KEY_NONE + 1; i < KEY_ALGORITHM_COUNT; i++)
        if (span_equal(algorithm, signature_algorithm(i)))
            return i;
    return KEY_NONE;
}

void draft_rebuild(const struct draft *draft, struct span der)
{
    struct fault *f = fuzz_fault();
    struct public_key key;
    AUTO(bytes) again = {0};
    struct issuer issuer = {.name = draft->issuer_name, .algorithm = algorithm_of(draft->signature_algorithm)};
    memcpy(issuer.key_identifier, draft->authority_key_identifier, KEY_IDENTIFIER_SIZE);
    fuzz_must(public_key_read(draft->spki, &key, f), f);
    fuzz_must(draft_build(&draft->content, &issuer, &key, draft->serial, &again, f), f);
    HOLDS(span_equal(bytes_span(&again), der));
}

static void leaf_visit(const struct certificate_content *content, const struct ca *ca,
                       void (*visit)(struct span certificate))
{
    AUTO(certificate) certificate = {0};
    content_sign(content, ca, &ca->key, &certificate);
    visit(bytes_span(&certificate.der));
}

void certificates_each(void (*visit)(struct span certificate))
{
    static const enum key_algorithm algorithms[] = {KEY_ECDSA_P256, KEY_ECDSA_P384, KEY_RSA_2048};
    for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
        CLEANUP(ca_cleanup) struct ca ca;
        AUTO(certificate_content) content;
        ca_make(algorithms[i], "etcd-ca", i != 0, &ca);
        leaf_content(&content);
        visit(bytes_span(&ca.certificate.der));
        leaf_visit(&content, &ca, visit);
        content.subject = (struct distinguished_name){0}; /* then subjectAltName is critical */
        content.not_after = INT64_C(2600000000);          /* a GeneralizedTime */
        leaf_visit(&content, &ca, visit);
        content.subject = (struct distinguished_name){"Jürgen", {"system:masters", "b", "c"}, 3};
        content.key_usage = USAGE_DIGITAL_SIGNATURE | USAGE_DECIPHER_ONLY;
        alternative_names_cleanup(&content.names);
        leaf_visit(&content, &ca, visit);
    }
}

static void (*draft_visit)(struct span draft);

static void certificate_body_visit(struct span der)
{
    AUTO(certificate) certificate = {0};
    fuzz_must(certificate_parse(der, &certificate, fuzz_fault()), fuzz_fault());
    draft_visit(certificate.body_der);
}

void drafts_each(void (*visit)(struct span draft))
{
    draft_visit = visit;
    certificates_each(certificate_body_visit);
}
