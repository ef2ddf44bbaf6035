/* What of a certificate is not as it would be issued today: the catalogue's content, and one change to it at a time. */
#include "policies/difference.h"

#include "ca/x509/usage.h"
#include "tests/unit/policies/suite.h"

static const char text[] = "apiVersion: ensign/v1\n"
                           "kind: Cluster\n"
                           "name: lab\n"
                           "kubernetesVersion: \"1.31\"\n"
                           "controlPlaneEndpoint: 192.0.2.81:8443\n"
                           "etcd: {topology: external}\n"
                           "nodes:\n"
                           "  - {name: e1, hostnames: [e1.lab], addresses: [192.0.2.61], roles: [etcd]}\n"
                           "  - {name: m1, addresses: [192.0.2.51], roles: [control-plane]}\n";

static const uint8_t issuer[KEY_IDENTIFIER_SIZE] = {1, 2, 3};

struct fixture {
    struct profiles profiles;
    struct cluster cluster;
    struct catalogue catalogue;
};

static int fixture_make(void **state)
{
    static struct fixture fixture;
    struct fault f = {0};
    CLEANUP(document_auto) struct document *document = NULL;
    assert_ok(profiles_shipped(&fixture.profiles, &f), &f);
    assert_ok(document_parse(span_text(text), "c.yaml", &document, &f), &f);
    assert_ok(cluster_read(document, &fixture.cluster, &f), &f);
    assert_ok(catalogue_make(&fixture.cluster, &fixture.profiles, &fixture.catalogue, &f), &f);
    *state = &fixture;
    return 0;
}

static int fixture_free(void **state)
{
    struct fixture *fixture = *state;
    catalogue_cleanup(&fixture->catalogue);
    cluster_cleanup(&fixture->cluster);
    profiles_cleanup(&fixture->profiles);
    return 0;
}

static const struct catalogue_item *item_of(const struct fixture *fixture, const char *node, const char *name)
{
    for (size_t i = 0; i < fixture->catalogue.count; i++) {
        const struct catalogue_item *item = &fixture->catalogue.items[i];
        if (item->profile && strcmp(item->node->name, node) == 0 && strcmp(item->name, name) == 0)
            return item;
    }
    fail_msg("%s has no %s", node, name);
    return NULL;
}

/* As it was issued for the item at this time. */
static struct certificate issued(const struct catalogue_item *item, int64_t at)
{
    struct fault f = {0};
    struct certificate certificate = {.body = {.content = item->content, .has_authority_key_identifier = true}};
    struct certificate_content *content = &certificate.body.content;
    content->not_before += at;
    content->not_after += at;
    assert_ok(alternative_names_copy(&item->content.names, &content->names, &f), &f);
    memcpy(certificate.body.authority_key_identifier, issuer, sizeof issuer);
    certificate.public_key.algorithm = item->algorithm;
    return certificate;
}

static void assert_difference(const struct certificate *certificate, const struct catalogue_item *item,
                              enum difference expected, const char *word)
{
    char detail[DIFFERENCE_TEXT_SIZE];
    enum difference found = difference_find(certificate, item, issuer, detail);
    if (found != expected || !strstr(detail, word) || (found == DIFFERENCE_NONE) != (detail[0] == '\0'))
        fail_msg("%s: %d instead of %d: \"%s\" without \"%s\"", item->name, found, expected, detail, word);
}

static void none_right_after_issue(void **state)
{
    const struct fixture *fixture = *state;
    size_t seen = 0;
    for (size_t i = 0; i < fixture->catalogue.count; i++) {
        const struct catalogue_item *item = &fixture->catalogue.items[i];
        if (!item->profile)
            continue;
        struct certificate certificate = issued(item, 1800000000);
        assert_difference(&certificate, item, DIFFERENCE_NONE, "");
        certificate_content_cleanup(&certificate.body.content);
        seen++;
    }
    assert_true(seen > 10);
}

static void address_missing(struct certificate *certificate)
{
    certificate->body.content.names.addresses_count--;
}

static void address_extra(struct certificate *certificate)
{
    struct fault f = {0};
    struct address address;
    assert_ok(address_parse("198.51.100.7", &address, &f), &f);
    assert_ok(alternative_names_add_address(&certificate->body.content.names, &address, &f), &f);
}

static void name_extra(struct certificate *certificate)
{
    struct fault f = {0};
    assert_ok(alternative_names_add_dns(&certificate->body.content.names, "old.lab", &f), &f);
}

static void subject_other(struct certificate *certificate)
{
    strcpy(certificate->body.content.subject.common_name, "e9");
}

static void organization_extra(struct certificate *certificate)
{
    struct distinguished_name *subject = &certificate->body.content.subject;
    strcpy(subject->organizations[subject->organizations_count++], "system:masters");
}

static void usage_other(struct certificate *certificate)
{
    certificate->body.content.extended_key_usage = EXTENDED_CLIENT_AUTH;
}

static void key_usage_other(struct certificate *certificate)
{
    certificate->body.content.key_usage |= USAGE_NON_REPUDIATION;
}

static void issuer_other(struct certificate *certificate)
{
    certificate->body.authority_key_identifier[0]++;
}

static void issuer_none(struct certificate *certificate)
{
    certificate->body.has_authority_key_identifier = false;
}

static void key_unknown(struct certificate *certificate)
{
    certificate->public_key.algorithm = KEY_NONE;
}

static void life_long(struct certificate *certificate)
{
    certificate->body.content.not_after += 20LL * 365 * 86400;
}

static void names_reversed(struct certificate *certificate)
{
    struct alternative_names *names = &certificate->body.content.names;
    struct address first = names->addresses[0];
    names->addresses[0] = names->addresses[names->addresses_count - 1];
    names->addresses[names->addresses_count - 1] = first;
}

/* A key of another kind, with the usage that belongs to it (RFC 8813 §3). */
static void key_rsa(struct certificate *certificate)
{
    certificate->public_key.algorithm = KEY_RSA_2048;
    certificate->body.content.key_usage |= USAGE_KEY_ENCIPHERMENT;
}

static void one_change_at_a_time(void **state)
{
    static const struct {
        void (*change)(struct certificate *certificate);
        enum difference expected;
        const char *word;
    } rows[] = {
        {address_missing, DIFFERENCE_NAMES, "without ::1"},
        {address_extra, DIFFERENCE_NAMES, "with 198.51.100.7"},
        {name_extra, DIFFERENCE_NAMES, "with old.lab"},
        {subject_other, DIFFERENCE_NAMES, "subject \"CN=e9\" instead of \"CN=e1\""},
        {organization_extra, DIFFERENCE_NAMES, "system:masters"},
        {usage_other, DIFFERENCE_NAMES, "usages"},
        {key_usage_other, DIFFERENCE_NAMES, "usages"},
        {issuer_other, DIFFERENCE_ISSUER, "CA"},
        {issuer_none, DIFFERENCE_ISSUER, "CA"},
        {key_unknown, DIFFERENCE_PROFILE, "keys"},
        {life_long, DIFFERENCE_PROFILE, "longer"},
        {names_reversed, DIFFERENCE_NONE, ""},
        {key_rsa, DIFFERENCE_NONE, ""},
    };
    const struct catalogue_item *item = item_of(*state, "e1", "etcd-member");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct certificate certificate = issued(item, 1800000000);
        rows[i].change(&certificate);
        assert_difference(&certificate, item, rows[i].expected, rows[i].word);
        certificate_content_cleanup(&certificate.body.content);
    }
}

/* Many names: the detail is cut, and nothing is written behind it. */
static void detail_has_an_end(void **state)
{
    struct fault f = {0};
    const struct catalogue_item *item = item_of(*state, "e1", "etcd-member");
    struct certificate certificate = issued(item, 0);
    for (int i = 0; i < 100; i++) {
        char name[64];
        snprintf(name, sizeof name, "a-name-that-is-long-enough-%d.lab", i);
        assert_ok(alternative_names_add_dns(&certificate.body.content.names, name, &f), &f);
    }
    char detail[DIFFERENCE_TEXT_SIZE + 1] = {0};
    detail[DIFFERENCE_TEXT_SIZE] = 'x';
    assert_int_equal(difference_find(&certificate, item, issuer, detail), DIFFERENCE_NAMES);
    assert_int_equal(strlen(detail), DIFFERENCE_TEXT_SIZE - 1);
    assert_int_equal(detail[DIFFERENCE_TEXT_SIZE], 'x');
    certificate_content_cleanup(&certificate.body.content);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_right_after_issue),
        cmocka_unit_test(one_change_at_a_time),
        cmocka_unit_test(detail_has_an_end),
    };
    return cmocka_run_group_tests(tests, fixture_make, fixture_free);
}
