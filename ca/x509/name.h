/* name.h: the names that certificates carry: distinguished names, DNS names, addresses.  Threads: pure. */
#ifndef ENSIGN_CA_X509_NAME_H
#define ENSIGN_CA_X509_NAME_H

#include "ca/base/pack.h"

enum {
    DNS_NAME_MAX = 253, /* RFC 1035 §2.3.4, as text */
    ATTRIBUTE_MAX = 64, /* ub-common-name, ub-organization-name: RFC 5280 appendix A.1 */
    ORGANIZATIONS_MAX = 8,
    ALTERNATIVE_NAMES_MAX = 200,
    ADDRESS_TEXT_SIZE = 46, /* INET6_ADDRSTRLEN */
};

/* Lower-case letters, digits, hyphens (RFC 1123 §2.1), labels of 1..63, no trailing dot, no wildcard, and not the
 * form of an IPv4 address: its last label is not a number. */
bool dns_name_valid(const char *name);

/* An IPv4 or IPv6 address in network order. IPv4-mapped IPv6 addresses are refused. */
struct address {
    uint8_t size; /* 4 or 16 */
    uint8_t data[16];
};
MUST_USE enum err address_parse(const char *text, struct address *ret_address, struct fault *f);
void address_text(const struct address *address, char ret_text[ADDRESS_TEXT_SIZE]);
bool address_equal(const struct address *a, const struct address *b);

/* A network in CIDR form; host bits must be zero. */
struct network {
    struct address base;
    uint8_t prefix_bits;
};
MUST_USE enum err network_parse(const char *text, struct network *ret_network, struct fault *f);
bool network_contains(const struct network *network, const struct address *address);
bool network_overlaps(const struct network *a, const struct network *b);

/* subjectAltName as we issue it: dNSName and iPAddress only (RFC 5280 §4.2.1.6), without duplicates, in the order in
 * which they were added. {0} is empty. */
struct alternative_names {
    char (*dns)[DNS_NAME_MAX + 1];
    size_t dns_count;
    struct address *addresses;
    size_t addresses_count;
};
MUST_USE enum err alternative_names_add_dns(struct alternative_names *names, const char *name, struct fault *f);
MUST_USE enum err alternative_names_add_address(struct alternative_names *names, const struct address *address,
                                                struct fault *f);
bool alternative_names_has_dns(const struct alternative_names *names, const char *name);
bool alternative_names_has_address(const struct alternative_names *names, const struct address *address);
MUST_USE enum err alternative_names_copy(const struct alternative_names *source, struct alternative_names *ret_copy,
                                         struct fault *f);
bool alternative_names_empty(const struct alternative_names *names);
/* For stored rows and messages. A broken form marks `in` failed (unpack_finish) or is ERR_INPUT. */
void alternative_names_pack(const struct alternative_names *names, struct bytes *out);
MUST_USE enum err alternative_names_unpack(struct unpack *in, struct alternative_names *ret_names, struct fault *f);
void alternative_names_cleanup(struct alternative_names *names);

/* A subject or issuer as we issue it: O (in order) and CN, a PrintableString where its letters allow it, else a
 * UTF8String, as Go and so kubeadm write it. The empty subject has neither. */
struct distinguished_name {
    char common_name[ATTRIBUTE_MAX + 1];
    char organizations[ORGANIZATIONS_MAX][ATTRIBUTE_MAX + 1];
    size_t organizations_count;
};
bool distinguished_name_empty(const struct distinguished_name *name);
bool distinguished_name_equal(const struct distinguished_name *a, const struct distinguished_name *b); /* O as a set */
/* "O=system:nodes, CN=system:node:workerone" (RFC 4514 escapes). ret_text is cut to size. */
void distinguished_name_text(const struct distinguished_name *name, char *ret_text, size_t size);
MUST_USE enum err distinguished_name_encode(const struct distinguished_name *name, struct bytes *ret_der,
                                            struct fault *f);
/* ERR_INPUT for any attribute but O and CN, two CNs, a multi-valued RDN, control characters, more than ATTRIBUTE_MAX
 * characters, or a string type other than UTF8String and PrintableString. */
MUST_USE enum err distinguished_name_decode(struct span der, struct distinguished_name *ret_name, struct fault *f);

#endif
