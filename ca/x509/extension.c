#include "ca/x509/extension.h"

#include <string.h>

#include "ca/x509/der.h"

AUTO_POINTER(AUTHORITY_KEYID, AUTHORITY_KEYID_free)
AUTO_POINTER(ASN1_IA5STRING, ASN1_IA5STRING_free)
AUTO_POINTER(ASN1_OCTET_STRING, ASN1_OCTET_STRING_free)
AUTO_POINTER(GENERAL_NAME, GENERAL_NAME_free)

bool extension_add(extension_list **list, int nid, bool critical, void *take_value)
{
    if (!take_value)
        return false;
    bool added = X509V3_add1_i2d(list, nid, take_value, critical, X509V3_ADD_APPEND) == 1;
    ASN1_item_free(take_value, ASN1_ITEM_ptr(X509V3_EXT_get_nid(nid)->it));
    return added;
}

/* ---- usages ---- */

static const int extended_usage_nids[] = {NID_server_auth, NID_client_auth}; /* in the order of the bits */

ASN1_BIT_STRING *key_usage_make(unsigned usages)
{
    CLEANUP(ASN1_BIT_STRING_auto) ASN1_BIT_STRING *value = ASN1_BIT_STRING_new();
    for (int i = 0; usage_words[i] && value; i++)
        if (usages & (1U << i) && !ASN1_BIT_STRING_set_bit(value, i, 1))
            return NULL;
    return TAKE(value);
}

unsigned key_usage_bits(const ASN1_BIT_STRING *value)
{
    unsigned usages = 0;
    for (int i = 0; usage_words[i]; i++)
        if (ASN1_BIT_STRING_get_bit(value, i))
            usages |= 1U << i;
    return usages;
}

EXTENDED_KEY_USAGE *extended_key_usage_make(unsigned usages)
{
    CLEANUP(EXTENDED_KEY_USAGE_auto) EXTENDED_KEY_USAGE *value = EXTENDED_KEY_USAGE_new();
    for (size_t i = 0; i < ARRAY_SIZE(extended_usage_nids) && value; i++)
        if (usages & (1U << i) && !sk_ASN1_OBJECT_push(value, OBJ_nid2obj(extended_usage_nids[i])))
            return NULL;
    return TAKE(value);
}

unsigned extended_key_usage_bit(const ASN1_OBJECT *usage)
{
    int nid = OBJ_obj2nid(usage);
    for (size_t i = 0; i < ARRAY_SIZE(extended_usage_nids); i++)
        if (extended_usage_nids[i] == nid)
            return 1U << i;
    return 0;
}

/* ---- key identifiers ---- */

ASN1_OCTET_STRING *key_identifier_make(const uint8_t identifier[KEY_IDENTIFIER_SIZE])
{
    CLEANUP(ASN1_OCTET_STRING_auto) ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    return value && der_string_set(value, span(identifier, KEY_IDENTIFIER_SIZE)) ? TAKE(value) : NULL;
}

AUTHORITY_KEYID *authority_key_identifier_make(const uint8_t identifier[KEY_IDENTIFIER_SIZE])
{
    CLEANUP(AUTHORITY_KEYID_auto) AUTHORITY_KEYID *value = AUTHORITY_KEYID_new();
    if (!value || !(value->keyid = key_identifier_make(identifier)))
        return NULL;
    return TAKE(value);
}

bool key_identifier_read(const ASN1_OCTET_STRING *value, uint8_t ret_identifier[KEY_IDENTIFIER_SIZE])
{
    if (!value || ASN1_STRING_length(value) != KEY_IDENTIFIER_SIZE)
        return false;
    memcpy(ret_identifier, ASN1_STRING_get0_data(value), KEY_IDENTIFIER_SIZE);
    return true;
}

bool authority_key_identifier_read(const extension_list *list, uint8_t ret_identifier[KEY_IDENTIFIER_SIZE])
{
    CLEANUP(AUTHORITY_KEYID_auto)
    AUTHORITY_KEYID *authority = X509V3_get_d2i(list, NID_authority_key_identifier, NULL, NULL);
    return authority && key_identifier_read(authority->keyid, ret_identifier);
}

/* ---- subjectAltName ---- */

static bool general_name_push(GENERAL_NAMES *names, int type, ASN1_STRING *string, struct span content)
{
    CLEANUP(ASN1_IA5STRING_auto) ASN1_IA5STRING *value = string;
    CLEANUP(GENERAL_NAME_auto) GENERAL_NAME *name = GENERAL_NAME_new();
    if (!value || !name || !der_string_set(value, content))
        return false;
    GENERAL_NAME_set0_value(name, type, TAKE(value));
    if (!sk_GENERAL_NAME_push(names, name))
        return false;
    TAKE(name);
    return true;
}

GENERAL_NAMES *general_names_make(const struct alternative_names *names)
{
    CLEANUP(GENERAL_NAMES_auto) GENERAL_NAMES *value = GENERAL_NAMES_new();
    for (size_t i = 0; i < names->dns_count && value; i++)
        if (!general_name_push(value, GEN_DNS, ASN1_IA5STRING_new(), span_text(names->dns[i])))
            return NULL;
    for (size_t i = 0; i < names->addresses_count && value; i++)
        if (!general_name_push(value, GEN_IPADD, ASN1_OCTET_STRING_new(),
                               span(names->addresses[i].data, names->addresses[i].size)))
            return NULL;
    return TAKE(value);
}

static const char *const general_name_types[] = {
    [GEN_OTHERNAME] = "otherName",
    [GEN_EMAIL] = "rfc822Name",
    [GEN_DNS] = "dNSName",
    [GEN_X400] = "x400Address",
    [GEN_DIRNAME] = "directoryName",
    [GEN_EDIPARTY] = "ediPartyName",
    [GEN_URI] = "uniformResourceIdentifier",
    [GEN_IPADD] = "iPAddress",
    [GEN_RID] = "registeredID",
};

enum { SHOWN_MAX = 60 };

/* The value in printable ASCII, without quotes; what is long is cut. */
static void value_show(struct span value, char ret_text[SHOWN_MAX])
{
    size_t used = 0;
    for (size_t i = 0; i < value.size; i++) {
        uint8_t byte = value.data[i];
        bool plain = byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
        if (used + 8 > SHOWN_MAX) {
            strcpy(ret_text + used, "...");
            return;
        }
        used += (size_t)snprintf(ret_text + used, SHOWN_MAX - used, plain ? "%c" : "\\x%02x", byte);
    }
    ret_text[used] = '\0';
}

static enum err general_name_refuse(int type, struct span value, const char *why, struct fault *f)
{
    char shown[SHOWN_MAX];
    value_show(value, shown);
    return fault_set(f, CODE_INVALID, "%s \"%s\": %s", general_name_types[type], shown, why);
}

static enum err dns_read(struct span value, struct alternative_names *names, struct fault *f)
{
    char name[DNS_NAME_MAX + 1] = "";
    if (value.size <= DNS_NAME_MAX && !memchr(value.data, '\0', value.size))
        memcpy(name, value.data, value.size);
    if (!dns_name_valid(name))
        return general_name_refuse(GEN_DNS, value, "not lower-case letters, digits and hyphens (RFC 1123 §2.1)", f);
    if (alternative_names_has_dns(names, name))
        return general_name_refuse(GEN_DNS, value, "twice", f);
    return alternative_names_add_dns(names, name, f);
}

static enum err address_read(struct span value, struct alternative_names *names, struct fault *f)
{
    struct address address = {0};
    if (value.size != 4 && value.size != 16)
        return general_name_refuse(GEN_IPADD, value, "not 4 or 16 bytes (RFC 5280 §4.2.1.6)", f);
    address.size = (uint8_t)value.size;
    memcpy(address.data, value.data, value.size);
    char text[ADDRESS_TEXT_SIZE];
    address_text(&address, text);
    if (alternative_names_has_address(names, &address))
        return general_name_refuse(GEN_IPADD, span_text(text), "twice", f);
    enum err err = alternative_names_add_address(names, &address, f);
    return err == ERR_INPUT ? general_name_refuse(GEN_IPADD, span_text(text), "IPv4-mapped", f) : err;
}

enum err general_name_read(const GENERAL_NAME *name, struct alternative_names *names, struct fault *f)
{
    int type = GEN_OTHERNAME;
    const ASN1_STRING *string = GENERAL_NAME_get0_value(name, &type);
    AUTO(bytes) whole = {0};
    switch (type) {
    case GEN_DNS:
        return dns_read(der_string(string), names, f);
    case GEN_IPADD:
        return address_read(der_string(string), names, f);
    case GEN_EMAIL:
    case GEN_URI:
        return general_name_refuse(type, der_string(string), "only dNSName and iPAddress are issued", f);
    default: /* not a string: what is shown is its encoding */
        der_append(&whole, name, ASN1_ITEM_rptr(GENERAL_NAME));
        TRY(bytes_check(&whole, f));
        return general_name_refuse(type, bytes_span(&whole), "only dNSName and iPAddress are issued", f);
    }
}
