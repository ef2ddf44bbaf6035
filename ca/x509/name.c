#include "ca/x509/name.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "ca/x509/der.h"

AUTO_POINTER(X509_NAME, X509_NAME_free)

/* ---- DNS names ---- */

/* 1..63 of lower-case letters, digits and hyphens; no hyphen at either end. */
static bool label_valid(const char *label, size_t size)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    return size >= 1 && size <= 63 && strspn(label, letters) >= size && label[0] != '-' && label[size - 1] != '-';
}

/* inet_aton() and browsers read a name as an IPv4 address when its last label is a number: "10.1", "0x7f000001". */
static bool label_is_number(const char *label)
{
    if (label[0] == '0' && label[1] == 'x')
        return label[2 + strspn(label + 2, "0123456789abcdef")] == '\0';
    return label[strspn(label, "0123456789")] == '\0';
}

bool dns_name_valid(const char *name)
{
    if (strlen(name) > DNS_NAME_MAX)
        return false;
    const char *label = name;
    for (;;) {
        size_t size = strcspn(label, ".");
        if (!label_valid(label, size))
            return false;
        if (label[size] == '\0')
            return !label_is_number(label);
        label += size + 1;
    }
}

/* ---- addresses ---- */

static bool address_is_mapped(const struct address *address)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff}; /* ::ffff:0:0/96, RFC 4291 §2.5.5.2 */
    return address->size == 16 && memcmp(address->data, prefix, sizeof prefix) == 0;
}

static bool address_valid(const struct address *address)
{
    return (address->size == 4 || address->size == 16) && !address_is_mapped(address);
}

enum err address_parse(const char *text, struct address *ret_address, struct fault *f)
{
    struct address address = {0};
    if (inet_pton(AF_INET, text, address.data) == 1)
        address.size = 4;
    else if (inet_pton(AF_INET6, text, address.data) == 1)
        address.size = 16;
    else
        return fault_set(f, CODE_INVALID, "not an IPv4 or IPv6 address");
    if (address_is_mapped(&address))
        return fault_set(f, CODE_INVALID, "an IPv4-mapped IPv6 address: write the IPv4 address itself");
    *ret_address = address;
    return OK;
}

void address_text(const struct address *address, char ret_text[ADDRESS_TEXT_SIZE])
{
    inet_ntop(address->size == 4 ? AF_INET : AF_INET6, address->data, ret_text, ADDRESS_TEXT_SIZE);
}

bool address_equal(const struct address *a, const struct address *b)
{
    return span_equal(span(a->data, a->size), span(b->data, b->size));
}

/* ---- networks ---- */

/* Clears all bits of the address behind the first prefix_bits. */
static void address_mask(struct address *address, unsigned prefix_bits)
{
    for (unsigned i = 0; i < address->size; i++) {
        unsigned kept = prefix_bits <= 8 * i ? 0 : prefix_bits - 8 * i;
        if (kept < 8)
            address->data[i] &= (uint8_t)(0xff00U >> kept);
    }
}

enum err network_parse(const char *text, struct network *ret_network, struct fault *f)
{
    static const char expected[] = "not a network in CIDR form, as 10.96.0.0/12 (RFC 4632 §3.1)";
    char base[ADDRESS_TEXT_SIZE];
    const char *slash = strchr(text, '/');
    if (!slash || (size_t)(slash - text) >= sizeof base)
        return fault_set(f, CODE_INVALID, "%s", expected);
    memcpy(base, text, (size_t)(slash - text));
    base[slash - text] = '\0';
    struct network network = {0};
    TRY(address_parse(base, &network.base, f));
    size_t digits = strspn(slash + 1, "0123456789");
    unsigned long bits = digits >= 1 && digits <= 3 ? strtoul(slash + 1, NULL, 10) : 999;
    if (slash[1 + digits] || bits > 8UL * network.base.size || (slash[1] == '0' && digits > 1))
        return fault_set(f, CODE_INVALID, "%s", expected);
    network.prefix_bits = (uint8_t)bits;
    struct address masked = network.base;
    address_mask(&masked, network.prefix_bits);
    if (!address_equal(&masked, &network.base))
        return fault_set(f, CODE_INVALID, "a network with bits behind its prefix of %lu", bits);
    *ret_network = network;
    return OK;
}

bool network_contains(const struct network *network, const struct address *address)
{
    struct address masked = *address;
    address_mask(&masked, network->prefix_bits);
    return address_equal(&masked, &network->base);
}

bool network_overlaps(const struct network *a, const struct network *b)
{
    return a->prefix_bits <= b->prefix_bits ? network_contains(a, &b->base) : network_contains(b, &a->base);
}

/* ---- subjectAltName ---- */

/* Room for one more name; every name is of the fixed size. */
static enum err names_grow(const struct alternative_names *names, void *array, size_t count, size_t item_size,
                           void **ret_array, struct fault *f)
{
    if (names->dns_count + names->addresses_count >= ALTERNATIVE_NAMES_MAX)
        return fault_set(f, CODE_TOO_LARGE, "more than %d alternative names", ALTERNATIVE_NAMES_MAX);
    void *grown = realloc(array, (count + 1) * item_size);
    if (!grown)
        return fault_no_memory(f);
    *ret_array = grown;
    return OK;
}

enum err alternative_names_add_dns(struct alternative_names *names, const char *name, struct fault *f)
{
    if (!dns_name_valid(name))
        return fault_set(f, CODE_INVALID, "not a DNS name of lower-case letters, digits and hyphens (RFC 1123 §2.1)");
    if (alternative_names_has_dns(names, name))
        return OK;
    void *grown = NULL;
    TRY(names_grow(names, names->dns, names->dns_count, sizeof *names->dns, &grown, f));
    names->dns = grown;
    strcpy(names->dns[names->dns_count++], name);
    return OK;
}

enum err alternative_names_add_address(struct alternative_names *names, const struct address *address, struct fault *f)
{
    if (!address_valid(address))
        return fault_set(f, CODE_INVALID, "an address is 4 or 16 bytes (RFC 5280 §4.2.1.6) and not IPv4-mapped");
    if (alternative_names_has_address(names, address))
        return OK;
    void *grown = NULL;
    TRY(names_grow(names, names->addresses, names->addresses_count, sizeof *names->addresses, &grown, f));
    names->addresses = grown;
    names->addresses[names->addresses_count++] = *address;
    return OK;
}

bool alternative_names_has_dns(const struct alternative_names *names, const char *name)
{
    for (size_t i = 0; i < names->dns_count; i++)
        if (strcmp(names->dns[i], name) == 0)
            return true;
    return false;
}

bool alternative_names_has_address(const struct alternative_names *names, const struct address *address)
{
    for (size_t i = 0; i < names->addresses_count; i++)
        if (address_equal(&names->addresses[i], address))
            return true;
    return false;
}

enum err alternative_names_copy(const struct alternative_names *source, struct alternative_names *ret_copy,
                                struct fault *f)
{
    AUTO(alternative_names) copy = {0};
    for (size_t i = 0; i < source->dns_count; i++)
        TRY(alternative_names_add_dns(&copy, source->dns[i], f));
    for (size_t i = 0; i < source->addresses_count; i++)
        TRY(alternative_names_add_address(&copy, &source->addresses[i], f));
    *ret_copy = copy;
    copy = (struct alternative_names){0};
    return OK;
}

bool alternative_names_empty(const struct alternative_names *names)
{
    return names->dns_count + names->addresses_count == 0;
}

void alternative_names_cleanup(struct alternative_names *names)
{
    free(names->dns);
    free(names->addresses);
    *names = (struct alternative_names){0};
}

/* ---- distinguished names ---- */

bool distinguished_name_empty(const struct distinguished_name *name)
{
    return name->common_name[0] == '\0' && name->organizations_count == 0;
}

static bool organizations_include(const struct distinguished_name *whole, const struct distinguished_name *part)
{
    for (size_t i = 0; i < part->organizations_count; i++) {
        size_t j = 0;
        while (j < whole->organizations_count && strcmp(whole->organizations[j], part->organizations[i]) != 0)
            j++;
        if (j == whole->organizations_count)
            return false;
    }
    return true;
}

bool distinguished_name_equal(const struct distinguished_name *a, const struct distinguished_name *b)
{
    return strcmp(a->common_name, b->common_name) == 0 && organizations_include(a, b) && organizations_include(b, a);
}

/* RFC 4514 §2.4 */
static void attribute_append(struct bytes *out, const char *type, const char *value)
{
    bytes_appendf(out, "%s%s=", out->size ? ", " : "", type);
    for (const char *c = value; *c; c++) {
        bool edge = (c == value && (*c == ' ' || *c == '#')) || (c[1] == '\0' && *c == ' ');
        if (iscntrl((unsigned char)*c))
            bytes_appendf(out, "\\%02X", (unsigned)*c);
        else
            bytes_appendf(out, "%s%c", edge || strchr("\"+,;<>\\", *c) ? "\\" : "", *c);
    }
}

void distinguished_name_text(const struct distinguished_name *name, char *ret_text, size_t size)
{
    AUTO(bytes) text = {0};
    for (size_t i = 0; i < name->organizations_count; i++)
        attribute_append(&text, "O", name->organizations[i]);
    if (name->common_name[0])
        attribute_append(&text, "CN", name->common_name);
    snprintf(ret_text, size, "%s", bytes_text(&text));
}

/* Letters that do not show, or change how others show: a name that holds one looks like another name. */
static const struct {
    unsigned long first, last;
} unseen[] = {
    {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},     {0x200b, 0x200f},
    {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xe0000, 0xe007f},
};

/* Valid UTF-8 of 1..ATTRIBUTE_MAX bytes without control characters. */
static bool attribute_valid(struct span value)
{
    if (value.size == 0 || value.size > ATTRIBUTE_MAX)
        return false;
    for (size_t at = 0; at < value.size;) {
        unsigned long letter;
        int used = UTF8_getc(value.data + at, (int)(value.size - at), &letter);
        if (used <= 0)
            return false;
        for (size_t i = 0; i < ARRAY_SIZE(unseen); i++)
            if (letter >= unseen[i].first && letter <= unseen[i].last)
                return false;
        at += (size_t)used;
    }
    return true;
}

static bool is_printable_string(struct span value)
{
    return ASN1_PRINTABLE_type(value.data, (int)value.size) == V_ASN1_PRINTABLESTRING;
}

static enum err name_add(X509_NAME *name, int nid, const char *value, struct fault *f)
{
    struct span text = span_text(value);
    if (!attribute_valid(text))
        return fault_set(f, CODE_INVALID,
                         "%s of a distinguished name must be 1 to %d bytes of UTF-8 without control characters",
                         OBJ_nid2sn(nid), ATTRIBUTE_MAX);
    int type = is_printable_string(text) ? V_ASN1_PRINTABLESTRING : V_ASN1_UTF8STRING;
    if (!X509_NAME_add_entry_by_NID(name, nid, type, text.data, (int)text.size, -1, 0))
        return fault_openssl(f, "cannot make a distinguished name");
    return OK;
}

enum err distinguished_name_encode(const struct distinguished_name *name, struct bytes *ret_der, struct fault *f)
{
    CLEANUP(X509_NAME_auto) X509_NAME *value = X509_NAME_new();
    if (!value)
        return fault_no_memory(f);
    for (size_t i = 0; i < name->organizations_count; i++)
        TRY(name_add(value, NID_organizationName, name->organizations[i], f));
    if (name->common_name[0])
        TRY(name_add(value, NID_commonName, name->common_name, f));
    AUTO(bytes) der = {0};
    der_append(&der, value, ASN1_ITEM_rptr(X509_NAME));
    TRY(bytes_check(&der, f));
    *ret_der = der;
    der = (struct bytes){0};
    return OK;
}

/* Name ::= SEQUENCE OF SET OF AttributeTypeAndValue. Not X509_NAME, which keeps the encoding that it was read from and
 * so would hide from der_decode() that it is not DER. */
ASN1_ITEM_TEMPLATE(RDN) = ASN1_EX_TEMPLATE_TYPE(ASN1_TFLG_SET_OF, 0, RDN, X509_NAME_ENTRY) DER_TEMPLATE_END(RDN);
ASN1_ITEM_TEMPLATE(RDN_SEQUENCE) = ASN1_EX_TEMPLATE_TYPE(ASN1_TFLG_SEQUENCE_OF, 0, RDN_SEQUENCE, RDN)
    DER_TEMPLATE_END(RDN_SEQUENCE);

static void rdn_sequence_auto(OPENSSL_STACK **rdns)
{
    ASN1_item_free((ASN1_VALUE *)*rdns, ASN1_ITEM_rptr(RDN_SEQUENCE));
}

static enum err attribute_refuse(const X509_NAME_ENTRY *entry, const char *why, struct fault *f)
{
    char type[64];
    OBJ_obj2txt(type, sizeof type, X509_NAME_ENTRY_get_object(entry), 0);
    return fault_set(f, CODE_INVALID, "attribute %s of the distinguished name: %s", type, why);
}

/* Where the value of this attribute goes; NULL when there is no place for it. */
static char *attribute_place(const X509_NAME_ENTRY *entry, struct distinguished_name *name)
{
    switch (OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry))) {
    case NID_commonName:
        return name->common_name[0] ? NULL : name->common_name;
    case NID_organizationName:
        return name->organizations_count == ORGANIZATIONS_MAX ? NULL : name->organizations[name->organizations_count++];
    default:
        return NULL;
    }
}

static enum err attribute_decode(const X509_NAME_ENTRY *entry, struct distinguished_name *name, struct fault *f)
{
    const ASN1_STRING *string = X509_NAME_ENTRY_get_data(entry);
    struct span value = der_string(string);
    int type = ASN1_STRING_type(string);
    char *place = attribute_place(entry, name);
    if (!place)
        return attribute_refuse(entry, "only O (up to 8) and one CN are accepted", f);
    if (type != V_ASN1_UTF8STRING && type != V_ASN1_PRINTABLESTRING)
        return attribute_refuse(entry, "must be a UTF8String or a PrintableString (RFC 5280 §4.1.2.4)", f);
    if (!attribute_valid(value))
        return attribute_refuse(entry, "must be 1 to 64 bytes of UTF-8 without control characters", f);
    if (type == V_ASN1_PRINTABLESTRING && !is_printable_string(value))
        return attribute_refuse(entry, "holds letters that a PrintableString does not have (X.680 §41.4)", f);
    memcpy(place, value.data, value.size);
    place[value.size] = '\0';
    return OK;
}

enum err distinguished_name_decode(struct span der, struct distinguished_name *ret_name, struct fault *f)
{
    CLEANUP(rdn_sequence_auto) OPENSSL_STACK *rdns = der_decode(der, ASN1_ITEM_rptr(RDN_SEQUENCE));
    if (!rdns)
        return fault_set(f, CODE_MALFORMED, "a distinguished name is not DER (RFC 5280 §4.1.2.4)");
    struct distinguished_name name = {0};
    for (int i = 0; i < OPENSSL_sk_num(rdns); i++) {
        const OPENSSL_STACK *rdn = OPENSSL_sk_value(rdns, i);
        if (OPENSSL_sk_num(rdn) != 1)
            return fault_set(f, CODE_INVALID, "a distinguished name with %d attributes in one RDN: one is accepted",
                             OPENSSL_sk_num(rdn));
        TRY(attribute_decode(OPENSSL_sk_value(rdn, 0), &name, f));
    }
    *ret_name = name;
    return OK;
}

void alternative_names_pack(const struct alternative_names *names, struct bytes *out)
{
    pack_u16(out, (uint16_t)names->dns_count);
    for (size_t i = 0; i < names->dns_count; i++)
        pack_text(out, names->dns[i]);
    pack_u16(out, (uint16_t)names->addresses_count);
    for (size_t i = 0; i < names->addresses_count; i++)
        pack_span(out, span(names->addresses[i].data, names->addresses[i].size));
}

static void address_unpack(struct unpack *in, struct address *ret_address)
{
    struct span data = unpack_span(in);
    *ret_address = (struct address){.size = (uint8_t)data.size};
    if (data.size == 4 || data.size == 16)
        memcpy(ret_address->data, data.data, data.size);
    else
        in->failed = true;
}

enum err alternative_names_unpack(struct unpack *in, struct alternative_names *ret_names, struct fault *f)
{
    AUTO(alternative_names) names = {0};
    for (uint16_t count = unpack_u16(in); count > 0 && !in->failed; count--) {
        char name[DNS_NAME_MAX + 1];
        unpack_text(in, name, sizeof name);
        if (!in->failed)
            TRY(alternative_names_add_dns(&names, name, f));
    }
    for (uint16_t count = unpack_u16(in); count > 0 && !in->failed; count--) {
        struct address address;
        address_unpack(in, &address);
        if (!in->failed)
            TRY(alternative_names_add_address(&names, &address, f));
    }
    *ret_names = names;
    names = (struct alternative_names){0};
    return OK;
}
