/* The check of an issued certificate: every way in which an answer can be something else than what was asked for. */
#include "client/issued.h"

#include <stdio.h>
#include <string.h>

#include "client/keys.h"
#include "tests/unit/client/fixture.h"
#include "tests/unit/client/pki.h"

enum { NOW = 1800000000, DAY = 86400 };

static struct pair ca_key, other_ca_key, our_key, their_key;

static int keys_make(void **state)
{
    (void)state;
    pair_make(&ca_key);
    pair_make(&other_ca_key);
    pair_make(&our_key);
    pair_make(&their_key);
    return 0;
}

static int keys_drop(void **state)
{
    (void)state;
    pair_drop(&ca_key);
    pair_drop(&other_ca_key);
    pair_drop(&our_key);
    pair_drop(&their_key);
    return 0;
}

static void ca_write(const struct pair *pair, struct bytes *out)
{
    pair_ca_write(pair, "etcd-ca", NOW, out);
}

/* What is wrong with an answer; a zero row is a good one. */
struct answer_case {
    const char *what;
    const char *common_name, *organization; /* instead of "etcdone" and none */
    unsigned extended_key_usage;            /* instead of server and client */
    int64_t not_before, not_after;          /* instead of NOW ± a day */
    const struct pair *subject, *signer;    /* instead of our_key, ca_key */
    const struct pair *chain_ca, *bundle_ca;
    bool chain_empty, chain_long, chain_of_ca_first;
    bool service_issues; /* the profile's issuer is the service's CA, pinned to ca_key */
    bool authority;
    enum organization_source organizations_from; /* of the profile */
    bool of_kubelet;                             /* the profile's common name is "system:node:etcdone" */
    const char *reason;                          /* NULL: accepted; "": an error of the parser, whatever it says */
};

static void leaf_write(const struct answer_case *row, struct bytes *out)
{
    struct fault f = {0};
    struct certificate_content content = {.key_usage = USAGE_DIGITAL_SIGNATURE,
                                          .extended_key_usage = row->extended_key_usage
                                                                    ? row->extended_key_usage
                                                                    : EXTENDED_SERVER_AUTH | EXTENDED_CLIENT_AUTH,
                                          .not_before = row->not_before ? row->not_before : NOW - DAY,
                                          .not_after = row->not_after ? row->not_after : NOW + DAY};
    snprintf(content.subject.common_name, sizeof content.subject.common_name, "%s",
             row->common_name ? row->common_name : "etcdone");
    if (row->organization) {
        snprintf(content.subject.organizations[0], sizeof content.subject.organizations[0], "%s", row->organization);
        content.subject.organizations_count = 1;
    }
    assert_int_equal(alternative_names_add_dns(&content.names, "etcdone", &f), OK);
    pair_certificate_write(&content, row->subject ? &row->subject->public_key : &our_key.public_key,
                           row->signer ? row->signer : &ca_key, "etcd-ca", NOW, out);
    certificate_content_cleanup(&content);
}

static void answer_write(const struct answer_case *row, struct issued *issued)
{
    AUTO(bytes) ca = {0};
    ca_write(row->chain_ca ? row->chain_ca : &ca_key, &ca);
    if (row->authority)
        bytes_append_span(&issued->certificate, bytes_span(&ca));
    else
        leaf_write(row, &issued->certificate);
    if (!row->chain_empty && !row->chain_of_ca_first)
        bytes_append_span(&issued->chain, bytes_span(&issued->certificate));
    if (!row->chain_empty)
        bytes_append_span(&issued->chain, bytes_span(&ca));
    if (row->chain_of_ca_first)
        bytes_append_span(&issued->chain, bytes_span(&issued->certificate));
    if (row->chain_long)
        bytes_append_span(&issued->chain, bytes_span(&ca));
    ca_write(&other_ca_key, &issued->bundle);
    if (row->bundle_ca)
        ca_write(row->bundle_ca, &issued->bundle);
    else
        bytes_append_span(&issued->bundle, bytes_span(&ca));
}

static enum err answer_check(const struct answer_case *row, const struct issued *issued, struct issued_facts *facts,
                             struct fault *f)
{
    struct profile profile = {.name = "etcd-member",
                              .common_name_from = COMMON_NAME_NODE,
                              .extended_key_usage = EXTENDED_SERVER_AUTH | EXTENDED_CLIENT_AUTH};
    profile.organizations_from = row->organizations_from;
    strcpy(profile.common_name_prefix, row->of_kubelet ? KUBELET_COMMON_NAME_PREFIX : "");
    strcpy(profile.issuer, row->service_issues ? "service-ca" : "etcd-ca");
    const struct expectation expectation = {&profile, "etcdone", bytes_span(&our_key.spki),
                                            ca_key.public_key.spki_sha256, NOW};
    return issued_check(issued, &expectation, facts, f);
}

static void test_answers(void **state)
{
    (void)state;
    const struct answer_case cases[] = {
        {"good", .reason = NULL},
        {"good, from the service", .service_issues = true, .reason = NULL},
        {"another node", .common_name = "etcdtwo", .reason = "\"CN=etcdtwo\""},
        {"an organization", .organization = "system:masters", .reason = "system:masters"},
        {"admins, from 1.29 on", .organization = "kubeadm:cluster-admins", .organizations_from = ORGANIZATIONS_ADMIN},
        {"admins, before", .organization = "system:masters", .organizations_from = ORGANIZATIONS_ADMIN},
        {"admins of nothing", .organizations_from = ORGANIZATIONS_ADMIN, .reason = "where the profile has"},
        {"admins of another kind", .organization = "x", .organizations_from = ORGANIZATIONS_ADMIN, .reason = "\"O=x"},
        {"the newest kubelet clients", .organizations_from = ORGANIZATIONS_KUBELET_CLIENT},
        {"the first kubelet clients", .organization = "system:masters",
         .organizations_from = ORGANIZATIONS_KUBELET_CLIENT},
        {"super-admins", .organization = "system:masters", .organizations_from = ORGANIZATIONS_SUPER_ADMIN},
        {"super-admins of too little", .organization = "kubeadm:cluster-admins",
         .organizations_from = ORGANIZATIONS_SUPER_ADMIN, .reason = "O=kubeadm:cluster-admins"},
        {"a kubelet", .common_name = "system:node:etcdone", .of_kubelet = true},
        {"another kubelet", .common_name = "system:node:etcdtwo", .of_kubelet = true,
         .reason = "CN=system:node:etcdtwo"},
        {"a kubelet without its prefix", .of_kubelet = true, .reason = "\"CN=etcdone\""},
        {"fewer usages", .extended_key_usage = EXTENDED_SERVER_AUTH, .reason = "serverAuth, where"},
        {"another key", .subject = &their_key, .reason = "not the key"},
        {"signed by another CA of that name", .signer = &other_ca_key, .reason = "issuer"},
        {"expired", .not_before = NOW - 2 * DAY, .not_after = NOW - 1, .reason = "issuer"},
        {"not valid yet", .not_before = NOW + 600, .not_after = NOW + DAY, .reason = "issuer"},
        {"its CA is not in the bundle", .bundle_ca = &other_ca_key, .reason = "bundle"},
        {"no chain", .chain_empty = true, .reason = ""},
        {"more behind the chain", .chain_long = true, .reason = "longer"},
        {"the CA first", .chain_of_ca_first = true, .reason = "does not begin"},
        {"a CA", .authority = true, .reason = "this is a CA"},
        {"from a service with another CA", .service_issues = true, .signer = &other_ca_key, .chain_ca = &other_ca_key,
         .reason = "not the pinned CA"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct answer_case *row = &cases[i];
        struct fault f = {0};
        AUTO(issued) issued = {0};
        struct issued_facts facts;
        answer_write(row, &issued);
        enum err err = answer_check(row, &issued, &facts, &f);
        char line[4096];
        fault_line(&f, line, sizeof line);
        if ((err == OK) != (row->reason == NULL) || (row->reason && !strstr(line, row->reason)))
            fail_msg("%s: %d %s", row->what, err, line);
        if (row->reason && row->reason[0])
            assert_int_equal(f.code, CODE_UNTRUSTED);
    }
}

static void test_facts(void **state)
{
    (void)state;
    const struct answer_case good = {.what = "good"};
    struct fault f = {0};
    AUTO(issued) issued = {0};
    struct issued_facts facts;
    answer_write(&good, &issued);
    assert_int_equal(answer_check(&good, &issued, &facts, &f), OK);
    assert_int_equal(facts.not_after, NOW + DAY);
    assert_int_equal(strlen(facts.serial), 40);
}

static void test_all_reasons_at_once(void **state)
{
    (void)state;
    const struct answer_case bad = {.what = "bad",
                                    .common_name = "etcdtwo",
                                    .subject = &their_key,
                                    .extended_key_usage = EXTENDED_CLIENT_AUTH,
                                    .bundle_ca = &other_ca_key};
    struct fault f = {0};
    AUTO(issued) issued = {0};
    struct issued_facts facts;
    answer_write(&bad, &issued);
    assert_int_equal(answer_check(&bad, &issued, &facts, &f), ERR_AUTH);
    assert_int_equal(f.reasons_count, 4);
}

static void test_keys(void **state)
{
    (void)state;
    for (enum key_algorithm algorithm = KEY_ECDSA_P256; algorithm <= KEY_RSA_2048; algorithm++) {
        struct fault f = {0};
        CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
        AUTO(bytes) pem = {0};
        AUTO(bytes) csr = {0};
        assert_int_equal(key_make_pem(algorithm, &pem, &f), OK);
        const char *label =
            key_algorithm_is_rsa(algorithm) ? "-----BEGIN RSA PRIVATE KEY" : "-----BEGIN EC PRIVATE KEY";
        assert_true(span_starts(bytes_span(&pem), span_text(label)));
        assert_int_equal(key_read_pem(bytes_span(&pem), &key, &f), OK);
        assert_int_equal(key_request_pem(key, &csr, &f), OK);
        assert_true(span_starts(bytes_span(&csr), span_text("-----BEGIN CERTIFICATE REQUEST-----\n")));
        pem.size /= 2;
        EVP_PKEY *half = NULL;
        assert_int_equal(key_read_pem(bytes_span(&pem), &half, &f), ERR_INPUT);
        assert_null(strstr(f.text, "error:")); /* OpenSSL's own words say nothing to people */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_all_reasons_at_once),
        cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, keys_make, keys_drop);
}
