/* Distinguished names, DNS names, addresses, networks, lists of names: written and read again they are the same. */
#include "ca/x509/name.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/x509.h"

enum { DISTINGUISHED, DNS, ADDRESS, NETWORK, NETWORKS, LIST, CHOICES };

static void distinguished_hold(struct span der)
{
    struct distinguished_name name, again;
    AUTO(bytes) encoded = {0};
    char text[600];
    struct fault *f = fuzz_fault();
    fuzz_fresh(&name, sizeof name);
    if (!fuzz_kept(distinguished_name_decode(der, &name, f), f, &name, sizeof name))
        return;
    fuzz_must(distinguished_name_encode(&name, &encoded, f), f);
    fuzz_must(distinguished_name_decode(bytes_span(&encoded), &again, f), f);
    HOLDS(subject_same(&name, &again) && distinguished_name_equal(&name, &again));
    HOLDS(distinguished_name_empty(&name) == (encoded.size == 2));
    distinguished_name_text(&name, text, sizeof text);
    HOLDS((*text == '\0') == distinguished_name_empty(&name));
}

/* A valid name can be issued, and no reader takes it for an address. */
static void dns_hold(const char *text)
{
    AUTO(alternative_names) names = {0};
    struct address address;
    struct fault *f = fuzz_fault();
    bool valid = dns_name_valid(text);
    HOLDS(fuzz_kept(alternative_names_add_dns(&names, text, f), f, NULL, 0) == valid);
    HOLDS(names.dns_count == valid && alternative_names_has_dns(&names, text) == valid);
    HOLDS(!valid || address_parse(text, &address, fuzz_fault()) != OK);
    HOLDS(!valid || strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.") == strlen(text));
}

static void address_hold(const char *text)
{
    struct address address, again;
    char written[ADDRESS_TEXT_SIZE];
    struct fault *f = fuzz_fault();
    fuzz_fresh(&address, sizeof address);
    if (!fuzz_kept(address_parse(text, &address, f), f, &address, sizeof address))
        return;
    address_text(&address, written);
    fuzz_must(address_parse(written, &again, f), f);
    HOLDS(address_equal(&address, &again));
    struct network host = {address, (uint8_t)(8 * address.size)};
    HOLDS(network_contains(&host, &address));
}

static bool network_hold(const char *text, struct network *ret_network)
{
    struct fault *f = fuzz_fault();
    fuzz_fresh(ret_network, sizeof *ret_network);
    if (!fuzz_kept(network_parse(text, ret_network, f), f, ret_network, sizeof *ret_network))
        return false;
    HOLDS(ret_network->prefix_bits <= 8 * ret_network->base.size);
    HOLDS(network_contains(ret_network, &ret_network->base) && network_overlaps(ret_network, ret_network));
    return true;
}

static void networks_hold(const char *text)
{
    AUTO(bytes) first = {0};
    struct network a, b;
    const char *blank = strchr(text, ' ');
    if (!blank)
        return;
    bytes_append(&first, text, (size_t)(blank - text));
    if (network_hold(bytes_text(&first), &a) && network_hold(blank + 1, &b)) {
        HOLDS(network_overlaps(&a, &b) == network_overlaps(&b, &a));
        HOLDS(network_overlaps(&a, &b) || !(network_contains(&a, &b.base) || network_contains(&b, &a.base)));
    }
}

/* A list that names something twice is read as if it stood there once. */
static void list_hold(struct span packed)
{
    struct alternative_names names;
    AUTO(alternative_names) again = {0};
    AUTO(alternative_names) copy = {0};
    AUTO(bytes) written = {0};
    struct unpack in = unpack_begin(packed);
    struct fault *f = fuzz_fault();
    fuzz_fresh(&names, sizeof names);
    if (!fuzz_kept(alternative_names_unpack(&in, &names, f), f, &names, sizeof names))
        return;
    alternative_names_pack(&names, &written);
    struct unpack in_again = unpack_begin(bytes_span(&written));
    fuzz_must(alternative_names_unpack(&in_again, &again, f), f);
    fuzz_must(alternative_names_copy(&names, &copy, f), f);
    HOLDS(names_same(&names, &again) && names_same(&names, &copy));
    HOLDS(names.dns_count + names.addresses_count <= ALTERNATIVE_NAMES_MAX);
    alternative_names_cleanup(&names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span(data, size);
    uint8_t choice = fuzz_choice(&input, CHOICES);
    AUTO(bytes) text = {0};
    struct network network;
    fuzz_must(bytes_copy(input, &text, fuzz_fault()), fuzz_fault());
    if (choice == DISTINGUISHED)
        distinguished_hold(input);
    else if (choice == DNS)
        dns_hold(bytes_text(&text));
    else if (choice == ADDRESS)
        address_hold(bytes_text(&text));
    else if (choice == NETWORK)
        network_hold(bytes_text(&text), &network);
    else if (choice == NETWORKS)
        networks_hold(bytes_text(&text));
    else
        list_hold(input);
    return 0;
}

static void distinguished_seed(const struct distinguished_name *name)
{
    AUTO(bytes) der = {0};
    fuzz_must(distinguished_name_encode(name, &der, fuzz_fault()), fuzz_fault());
    fuzz_seed_choice(DISTINGUISHED, bytes_span(&der));
}

static void list_seed(void)
{
    AUTO(alternative_names) names = {0};
    AUTO(bytes) packed = {0};
    struct address address;
    struct fault *f = fuzz_fault();
    fuzz_must(address_parse("192.168.1.1", &address, f), f);
    fuzz_must(alternative_names_add_dns(&names, "a.example", f), f);
    fuzz_must(alternative_names_add_address(&names, &address, f), f);
    alternative_names_pack(&names, &packed);
    fuzz_seed_choice(LIST, bytes_span(&packed));
}

void fuzz_seeds(void)
{
    static const struct {
        uint8_t choice;
        const char *text;
    } texts[] = {
        {DNS, "etcd-one.example.com"},
        {DNS, "10.1"},
        {DNS, "a.0x7f"},
        {DNS, "xn--bcher-kva.example"},
        {ADDRESS, "10.0.0.1"},
        {ADDRESS, "fe80::1"},
        {ADDRESS, "::ffff:1.2.3.4"},
        {ADDRESS, "2001:db8::"},
        {NETWORK, "10.96.0.0/12"},
        {NETWORK, "fd00::/64"},
        {NETWORK, "0.0.0.0/0"},
        {NETWORKS, "10.0.0.0/8 10.244.0.0/16"},
        {NETWORKS, "fd00::/8 10.0.0.0/8"},
    };
    distinguished_seed(&(struct distinguished_name){"kubernetes", {"system:masters", "b"}, 2});
    distinguished_seed(&(struct distinguished_name){"Jürgen,+\"<>;= #", {""}, 0});
    distinguished_seed(&(struct distinguished_name){0});
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        fuzz_seed_choice(texts[i].choice, span_text(texts[i].text));
    list_seed();
}
