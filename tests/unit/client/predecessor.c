/* What may go from where a file of Ensign's is to lie, and what would be lost with it. */
#include "client/predecessor.h"

#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "client/files.h"
#include "client/kubeconfig.h"
#include "tests/unit/client/fixture.h"
#include "tests/unit/client/pki.h"

enum { NOW = 1800000000, DAY = 86400 };
static const char server[] = "https://192.0.2.81:6443";

static struct pair ca_key, other_ca_key, leaf_key;
static struct bytes ca, other_ca;

static int pki_make(void **state)
{
    (void)state;
    pair_make(&ca_key);
    pair_make(&other_ca_key);
    pair_make(&leaf_key);
    pair_ca_write(&ca_key, "kubernetes", NOW, &ca);
    pair_ca_write(&other_ca_key, "kubernetes", NOW, &other_ca);
    return 0;
}

static int pki_drop(void **state)
{
    (void)state;
    pair_drop(&ca_key);
    pair_drop(&other_ca_key);
    pair_drop(&leaf_key);
    bytes_free(&ca);
    bytes_free(&other_ca);
    return 0;
}

/* The new one's: for masterone at 192.0.2.10. */
static void item_make(enum catalogue_kind kind, const char *authority, struct catalogue_item *item)
{
    struct fault f = {0};
    struct address address;
    *item = (struct catalogue_item){.kind = kind, .authority = authority};
    strcpy(item->content.subject.common_name, "kube-apiserver");
    strcpy(item->server, server);
    assert_int_equal(address_parse("192.0.2.10", &address, &f), OK);
    assert_int_equal(alternative_names_add_dns(&item->content.names, "masterone", &f), OK);
    assert_int_equal(alternative_names_add_dns(&item->content.names, "kubernetes", &f), OK);
    assert_int_equal(alternative_names_add_address(&item->content.names, &address, &f), OK);
}

static void leaf_write(const char *common_name, const char *dns, const char *address_word, const struct pair *signer,
                       struct bytes *out)
{
    struct fault f = {0};
    struct address address;
    struct certificate_content content = {.key_usage = USAGE_DIGITAL_SIGNATURE,
                                          .extended_key_usage = EXTENDED_SERVER_AUTH,
                                          .not_before = NOW - 2 * DAY,
                                          .not_after = NOW - DAY}; /* that it has expired does not matter */
    snprintf(content.subject.common_name, sizeof content.subject.common_name, "%s", common_name);
    assert_int_equal(alternative_names_add_dns(&content.names, dns, &f), OK);
    assert_int_equal(address_parse(address_word, &address, &f), OK);
    assert_int_equal(alternative_names_add_address(&content.names, &address, &f), OK);
    pair_certificate_write(&content, &leaf_key.public_key, signer, "kubernetes", NOW, out);
    certificate_content_cleanup(&content);
}

static void a_certificate_of_the_ca_with_no_other_name(void **state)
{
    (void)state;
    static const struct {
        const char *authority, *common_name, *dns, *address;
        bool other;      /* CA of the same name */
        const char *why; /* NULL: it may go */
    } cases[] = {
        {"kubernetes", "kube-apiserver", "masterone", "192.0.2.10", false, NULL},
        {"kubernetes", "kube-apiserver", "kubernetes", "192.0.2.10", false, NULL},
        {"kubernetes", "kube-apiserver", "lb.example.com", "192.0.2.10", false, "DNS:lb.example.com"},
        {"kubernetes", "kube-apiserver", "masteron", "192.0.2.10", false, "DNS:masteron"},
        {"kubernetes", "kube-apiserver", "masterone", "192.0.2.1", false, "192.0.2.1"},
        {"kubernetes", "kube-apiserver", "masterone", "2001:db8::1", false, "2001:DB8"},
        {"kubernetes", "sailor", "masterone", "192.0.2.10", false, "common name"},
        {"etcd-ca", "sailor", "masterone", "192.0.2.10", false, NULL},
        {"kubernetes", "kube-apiserver", "masterone", "192.0.2.10", true, "no kubernetes CA"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct catalogue_item item;
        struct fault f = {0};
        AUTO(bytes) pem = {0};
        item_make(CATALOGUE_CERTIFICATE, cases[i].authority, &item);
        leaf_write(cases[i].common_name, cases[i].dns, cases[i].address, cases[i].other ? &other_ca_key : &ca_key,
                   &pem);
        enum err err = predecessor_check(&item, bytes_span(&ca), bytes_span(&pem), &f);
        if (err != (cases[i].why ? ERR_INPUT : OK) || (cases[i].why && !strstr(f.text, cases[i].why)))
            fail_msg("case %zu: %d %s", i, err, f.text);
        certificate_content_cleanup(&item.content);
    }
}

static void key_write(EVP_PKEY *key, struct bytes *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    size_t size = (size_t)BIO_get_mem_data(bio, &text);
    bytes_append(out, text, size);
    BIO_free(bio);
}

static void the_key_of_such_a_certificate(void **state)
{
    (void)state;
    struct catalogue_item item;
    AUTO(bytes) good = {0};
    AUTO(bytes) others = {0};
    AUTO(bytes) key = {0};
    AUTO(bytes) other_key = {0};
    item_make(CATALOGUE_CERTIFICATE, "kubernetes", &item);
    leaf_write("kube-apiserver", "masterone", "192.0.2.10", &ca_key, &good);
    leaf_write("kube-apiserver", "masterone", "192.0.2.10", &other_ca_key, &others);
    key_write(leaf_key.key, &key);
    key_write(other_ca_key.key, &other_key);
    const struct {
        struct span certificate, key;
        enum err expected;
    } cases[] = {
        {bytes_span(&good), bytes_span(&key), OK},          {bytes_span(&good), bytes_span(&other_key), ERR_INPUT},
        {bytes_span(&others), bytes_span(&key), ERR_INPUT}, {bytes_span(&good), span_text("a key"), ERR_INPUT},
        {span_text(""), bytes_span(&key), ERR_INPUT},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = {0};
        if (predecessor_check_key(&item, bytes_span(&ca), cases[i].certificate, cases[i].key, &f) != cases[i].expected)
            fail_msg("case %zu: %s", i, f.text);
    }
    certificate_content_cleanup(&item.content);
}

static void a_bundle_of_which_nothing_is_lost(void **state)
{
    (void)state;
    AUTO(bytes) both = {0};
    struct catalogue_item item;
    item_make(CATALOGUE_BUNDLE, "kubernetes", &item);
    bytes_append(&both, ca.data, ca.size);
    bytes_append(&both, other_ca.data, other_ca.size);
    const struct {
        struct span now, present;
        enum err expected;
    } cases[] = {
        {bytes_span(&ca), bytes_span(&ca), OK},
        {bytes_span(&both), bytes_span(&ca), OK},
        {bytes_span(&both), bytes_span(&other_ca), OK},
        {bytes_span(&ca), bytes_span(&both), ERR_INPUT},
        {bytes_span(&other_ca), bytes_span(&ca), ERR_INPUT},
        {bytes_span(&ca), span_text(""), ERR_INPUT},
        {bytes_span(&ca), span_text("a note"), ERR_INPUT},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = {0};
        if (predecessor_check(&item, cases[i].now, cases[i].present, &f) != cases[i].expected)
            fail_msg("case %zu: %s", i, f.text);
    }
    certificate_content_cleanup(&item.content);
}

static void kubeconfig_of(const char *server_url, const struct bytes *bundle, struct bytes *ret_text)
{
    struct fault f = {0};
    AUTO(bytes) pem = {0};
    leaf_write("kube-apiserver", "masterone", "192.0.2.10", &ca_key, &pem);
    const struct kubeconfig kubeconfig = {.server = server_url,
                                          .cluster = "kubernetes",
                                          .user = "whoever",
                                          .bundle = bytes_span(bundle),
                                          .certificate = bytes_span(&pem),
                                          .key = span_text("key")};
    assert_int_equal(kubeconfig_write(&kubeconfig, ret_text, &f), OK);
}

static void a_kubeconfig_with_nothing_else_in_it(void **state)
{
    (void)state;
    static const struct {
        const char *server, *more;
        bool other; /* CA in it */
        const char *why;
    } cases[] = {
        {server, "", false, NULL},
        {"https://192.0.2.82:6443", "", false, "its server"},
        {server, "extensions: []\n", false, "more or less"},
        {server, "", true, "not among the cluster's"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct catalogue_item item;
        struct fault f = {0};
        CLEANUP(secret_cleanup) struct bytes text = {0};
        item_make(CATALOGUE_KUBECONFIG, "kubernetes", &item);
        kubeconfig_of(cases[i].server, cases[i].other ? &other_ca : &ca, &text);
        bytes_append_text(&text, cases[i].more);
        enum err err = predecessor_check(&item, bytes_span(&ca), bytes_span(&text), &f);
        if (err != (cases[i].why ? ERR_INPUT : OK) || (cases[i].why && !strstr(f.text, cases[i].why)))
            fail_msg("case %zu: %d %s", i, err, f.text);
        certificate_content_cleanup(&item.content);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_of_the_ca_with_no_other_name),
        cmocka_unit_test(the_key_of_such_a_certificate),
        cmocka_unit_test(a_bundle_of_which_nothing_is_lost),
        cmocka_unit_test(a_kubeconfig_with_nothing_else_in_it),
    };
    return cmocka_run_group_tests(tests, pki_make, pki_drop);
}
