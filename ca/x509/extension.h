/* extension.h: the values of extensions (RFC 5280 §4.2.1), between OpenSSL's structures and ours.  Threads: pure. */
#ifndef ENSIGN_CA_X509_EXTENSION_H
#define ENSIGN_CA_X509_EXTENSION_H

#include <openssl/x509v3.h>

#include "ca/x509/name.h"
#include "ca/x509/public_key.h"
#include "ca/x509/usage.h"

typedef STACK_OF(X509_EXTENSION) extension_list;
__attribute__((unused)) static inline void extension_list_auto(extension_list **list)
{
    sk_X509_EXTENSION_pop_free(*list, X509_EXTENSION_free);
}
AUTO_POINTER(ASN1_BIT_STRING, ASN1_BIT_STRING_free)
AUTO_POINTER(BASIC_CONSTRAINTS, BASIC_CONSTRAINTS_free)
AUTO_POINTER(EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free)
AUTO_POINTER(GENERAL_NAMES, GENERAL_NAMES_free)

/* Appends; consumes the value, which is of the type that OpenSSL has for this extension. False when value is NULL or
 * memory runs out. */
MUST_USE bool extension_add(extension_list **list, int nid, bool critical, void *take_value);

/* NULL when memory runs out. */
GENERAL_NAMES *general_names_make(const struct alternative_names *names);
ASN1_BIT_STRING *key_usage_make(unsigned usages);
EXTENDED_KEY_USAGE *extended_key_usage_make(unsigned usages);
ASN1_OCTET_STRING *key_identifier_make(const uint8_t identifier[KEY_IDENTIFIER_SIZE]);
AUTHORITY_KEYID *authority_key_identifier_make(const uint8_t identifier[KEY_IDENTIFIER_SIZE]); /* keyid only */

/* False when it is absent or of another size. */
MUST_USE bool key_identifier_read(const ASN1_OCTET_STRING *value, uint8_t ret_identifier[KEY_IDENTIFIER_SIZE]);
MUST_USE bool authority_key_identifier_read(const extension_list *list, uint8_t ret_identifier[KEY_IDENTIFIER_SIZE]);

unsigned key_usage_bits(const ASN1_BIT_STRING *value);
unsigned extended_key_usage_bit(const ASN1_OBJECT *usage); /* 0: one that we do not issue */

/* Adds one dNSName or iPAddress. ERR_INPUT (CODE_INVALID) with a text that shows the value, safely escaped, when it is
 * of another type, malformed, or there already. */
MUST_USE enum err general_name_read(const GENERAL_NAME *name, struct alternative_names *names, struct fault *f);

#endif
