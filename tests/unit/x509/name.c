#include "ca/x509/name.h"

#include <string.h>

#include "ca/base/encode.h"
#include "ca/x509/usage.h"
#include "tests/unit/x509/fixture.h"

static void dns_names(void **state)
{
    (void)state;
    static const char *const valid[] = {"a",        "localhost",   "workerone", "kubernetes.default.svc.cluster.local",
                                        "10-0-0-1", "1a",          "0x7g",      "xn--bcher-kva.example",
                                        "node.1a",  "3com.example"};
    static const char *const invalid[] = {"",
                                          ".",
                                          "a.",
                                          ".a",
                                          "a..b",
                                          "A",
                                          "Worker",
                                          "*.example",
                                          "a_b",
                                          "-a",
                                          "a-",
                                          "a.-b",
                                          "a b",
                                          ("b\xc3\xbc"
                                           "cher"),
                                          "10.0.0.1",
                                          "256.256.256.256",
                                          "10.1",
                                          "1",
                                          "0x7f000001",
                                          "0x",
                                          "a.0x1f",
                                          "node.1",
                                          "a:b",
                                          "::1",
                                          "a@b",
                                          "a/b",
                                          "a\n",
                                          "a%00b"};
    for (size_t i = 0; i < ARRAY_SIZE(valid); i++)
        if (!dns_name_valid(valid[i]))
            fail_msg("\"%s\" is valid", valid[i]);
    for (size_t i = 0; i < ARRAY_SIZE(invalid); i++)
        if (dns_name_valid(invalid[i]))
            fail_msg("\"%s\" is not valid", invalid[i]);
}

static void dns_name_limits(void **state)
{
    (void)state;
    char name[300];
    memset(name, 'a', sizeof name);
    name[63] = '\0';
    assert_true(dns_name_valid(name));
    name[63] = 'a', name[64] = '\0';
    assert_false(dns_name_valid(name));
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = i % 2 ? '.' : 'a';
    name[253] = '\0';
    assert_true(dns_name_valid(name));
    name[253] = '.', name[255] = '\0';
    assert_false(dns_name_valid(name));
}

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *again;
    } table[] = {{"10.0.0.1", "10.0.0.1"}, {"::1", "::1"}, {"2001:DB8:0:0::1", "2001:db8::1"}, {"0.0.0.0", "0.0.0.0"}};
    static const char *const invalid[] = {
        "",          "10.0.0",       "10.0.0.256",      "10.0.0.01", "010.0.0.1",   " 10.0.0.1",
        "10.0.0.1 ", "fe80::1%eth0", "::ffff:10.0.0.1", "[::1]",     "10.0.0.1/32", "0x0a000001",
        "1:2"};
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct address address;
        char text[ADDRESS_TEXT_SIZE];
        expect(address_parse(table[i].text, &address, &fault), OK);
        address_text(&address, text);
        assert_string_equal(text, table[i].again);
    }
    for (size_t i = 0; i < ARRAY_SIZE(invalid); i++) {
        struct address address = {.size = 99};
        expect_code(address_parse(invalid[i], &address, &fault), CODE_INVALID);
        assert_int_equal(address.size, 99);
    }
}

static void networks(void **state)
{
    (void)state;
    static const char *const invalid[] = {"10.0.0.0",    "10.0.0.1/24", "10.0.0.0/33",  "10.0.0.0/",
                                          "10.0.0.0/08", "/8",          "10.0.0.0/-1",  "10.0.0.0/8x",
                                          "::/129",      "fd00::1/64",  "10.0.0.0/8/8", "a/8"};
    static const struct {
        const char *network, *address;
        bool inside;
    } contains[] = {
        {"10.96.0.0/12", "10.96.0.1", true},   {"10.96.0.0/12", "10.111.255.255", true},
        {"10.96.0.0/12", "10.112.0.0", false}, {"0.0.0.0/0", "255.1.2.3", true},
        {"0.0.0.0/0", "::1", false},           {"10.0.0.1/32", "10.0.0.1", true},
        {"10.0.0.1/32", "10.0.0.2", false},    {"fd00::/8", "fdff::1", true},
        {"fd00::/8", "fe00::1", false},        {"fd00:0:0:8000::/49", "fd00::1", false},
    };
    struct network network, other;
    struct address address;
    for (size_t i = 0; i < ARRAY_SIZE(invalid); i++)
        expect_code(network_parse(invalid[i], &network, &fault), CODE_INVALID);
    for (size_t i = 0; i < ARRAY_SIZE(contains); i++) {
        expect(network_parse(contains[i].network, &network, &fault), OK);
        expect(address_parse(contains[i].address, &address, &fault), OK);
        if (network_contains(&network, &address) != contains[i].inside)
            fail_msg("%s in %s", contains[i].address, contains[i].network);
    }
    expect(network_parse("10.0.0.0/8", &network, &fault), OK);
    expect(network_parse("10.96.0.0/12", &other, &fault), OK);
    assert_true(network_overlaps(&network, &other) && network_overlaps(&other, &network));
    expect(network_parse("192.168.0.0/16", &other, &fault), OK);
    assert_false(network_overlaps(&network, &other) || network_overlaps(&other, &network));
}

static void alternative_names(void **state)
{
    (void)state;
    AUTO(alternative_names) names = {0}, copy = {0};
    assert_true(alternative_names_empty(&names));
    struct address address;
    expect(address_parse("10.0.0.1", &address, &fault), OK);
    for (int twice = 0; twice < 2; twice++) {
        expect(alternative_names_add_dns(&names, "b", &fault), OK);
        expect(alternative_names_add_dns(&names, "a", &fault), OK);
        expect(alternative_names_add_address(&names, &address, &fault), OK);
    }
    assert_int_equal(names.dns_count, 2);
    assert_int_equal(names.addresses_count, 1);
    assert_string_equal(names.dns[0], "b");
    expect_code(alternative_names_add_dns(&names, "B", &fault), CODE_INVALID);
    expect_code(alternative_names_add_address(&names, &(struct address){.size = 5}, &fault), CODE_INVALID);
    expect(alternative_names_copy(&names, &copy, &fault), OK);
    alternative_names_cleanup(&names);
    assert_true(alternative_names_has_dns(&copy, "a") && alternative_names_has_address(&copy, &address));
    assert_false(alternative_names_has_dns(&copy, "c"));
    for (unsigned i = 3; i < ALTERNATIVE_NAMES_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%u", i);
        expect(alternative_names_add_dns(&copy, name, &fault), OK);
    }
    expect_code(alternative_names_add_dns(&copy, "one-more", &fault), CODE_TOO_LARGE);
}

static const struct distinguished_name node = {
    .common_name = "system:node:workerone", .organizations = {"system:nodes"}, .organizations_count = 1};

static void distinguished_names(void **state)
{
    (void)state;
    static const struct distinguished_name table[] = {
        {{0}, {{0}}, 0},
        {"kube-etcd-healthcheck-client", {{0}}, 0},
        {"", {"a"}, 1},
        {"a_b", {"x", "y", "x"}, 3},
        {"B\xc3\xbc"
         "cher",
         {"*"},
         1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        AUTO(bytes) der = {0};
        struct distinguished_name again;
        expect(distinguished_name_encode(&table[i], &der, &fault), OK);
        expect(distinguished_name_decode(bytes_span(&der), &again, &fault), OK);
        assert_memory_equal(&again, &table[i], sizeof again);
    }
    /* The bytes that Go's crypto/x509 writes for a kubelet. */
    AUTO(bytes) der = {0}, hex = {0};
    expect(distinguished_name_encode(&node, &der, &fault), OK);
    hex_append(&hex, bytes_span(&der));
    assert_string_equal(bytes_text(&hex), "30373115301306035504"
                                          "0a130c73797374656d3a6e6f646573311e301c0603550403131573797374656d3a6e6f64653a"
                                          "776f726b65726f6e65");
}

static void distinguished_names_that_are_refused(void **state)
{
    (void)state;
    struct distinguished_name names[] = {{"a\nb", {{0}}, 0},
                                         {"a\x7f", {{0}}, 0},
                                         {"a\xff", {{0}}, 0},
                                         {"a", {""}, 1},
                                         {"\xe2\x80\xae"
                                          "a",
                                          {{0}},
                                          0},
                                         {"\xc0\x80", {{0}}, 0}};
    AUTO(bytes) der = {0};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        expect_code(distinguished_name_encode(&names[i], &der, &fault), CODE_INVALID);
    struct distinguished_name decoded;
    expect_code(distinguished_name_decode(RAW(""), &decoded, &fault), CODE_MALFORMED);
    expect_code(distinguished_name_decode(RAW("\x30\x80\x00\x00"), &decoded, &fault), CODE_MALFORMED);
    expect_code(distinguished_name_decode(RAW("\x30\x00\x00"), &decoded, &fault), CODE_MALFORMED);
    /* A PrintableString in two pieces, which BER allows. */
    expect_code(
        distinguished_name_decode(RAW("\x30\x11\x31\x0f\x30\x0d\x06\x03\x55\x04\x03\x33\x06\x13\x01\x61\x13\x01\x62"),
                                  &decoded, &fault),
        CODE_MALFORMED);
}

static void distinguished_names_as_text(void **state)
{
    (void)state;
    static const struct {
        struct distinguished_name name;
        const char *text;
    } table[] = {
        {{"system:node:workerone", {"system:nodes"}, 1}, "O=system:nodes, CN=system:node:workerone"},
        {{{0}, {{0}}, 0}, ""},
        {{"a, CN=b", {{0}}, 0}, "CN=a\\, CN=b"},
        {{" a ", {"#1", "x+y\"z\\"}, 2}, "O=\\#1, O=x\\+y\\\"z\\\\, CN=\\ a\\ "},
        {{"a\nb", {{0}}, 0}, "CN=a\\0Ab"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        char text[256];
        distinguished_name_text(&table[i].name, text, sizeof text);
        assert_string_equal(text, table[i].text);
    }
    char cut[8];
    distinguished_name_text(&node, cut, sizeof cut);
    assert_string_equal(cut, "O=syste");
}

static void distinguished_names_compared(void **state)
{
    (void)state;
    struct distinguished_name a = {"n", {"x", "y"}, 2}, b = {"n", {"y", "x"}, 2}, c = {"n", {"x"}, 1};
    assert_true(distinguished_name_equal(&a, &b));
    assert_false(distinguished_name_equal(&a, &c) || distinguished_name_equal(&c, &a));
    assert_false(distinguished_name_equal(&a, &node));
    assert_true(distinguished_name_empty(&(struct distinguished_name){0}));
    assert_false(distinguished_name_empty(&c));
}

static void usages(void **state)
{
    (void)state;
    char text[64];
    usage_text(USAGE_DIGITAL_SIGNATURE | USAGE_CRL_SIGN, text, sizeof text);
    assert_string_equal(text, "digitalSignature, cRLSign");
    extended_usage_text(EXTENDED_CLIENT_AUTH, text, sizeof text);
    assert_string_equal(text, "clientAuth");
    usage_text(0, text, sizeof text);
    assert_string_equal(text, "none");
    char cut[8];
    usage_text(0x1ff, cut, sizeof cut);
    assert_string_equal(cut, "digital");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dns_names),
        cmocka_unit_test(dns_name_limits),
        cmocka_unit_test(addresses),
        cmocka_unit_test(networks),
        cmocka_unit_test(alternative_names),
        cmocka_unit_test(distinguished_names),
        cmocka_unit_test(distinguished_names_that_are_refused),
        cmocka_unit_test(distinguished_names_as_text),
        cmocka_unit_test(distinguished_names_compared),
        cmocka_unit_test(usages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
