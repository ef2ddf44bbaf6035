/* fixture.h: keys, raw DER and requests that no well-behaved library would make. */
#ifndef ENSIGN_TESTS_UNIT_X509_FIXTURE_H
#define ENSIGN_TESTS_UNIT_X509_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/x509.h>

#include "ca/x509/certificate.h"
#include "ca/x509/request.h"

/* Filled by the call under test; cleared by expect(). */
extern struct fault fault;

/* Fails the test, with the fault's text, when err is not what was expected. */
void expect(enum err err, enum err expected);
void expect_code(enum err err, enum code expected);

/* One key per algorithm, made at the first call; borrowed. */
EVP_PKEY *test_key(enum key_algorithm algorithm);

/* Binary literal, NULs included. */
#define RAW(literal) ((struct span){(const uint8_t *)(literal), sizeof(literal) - 1})

/* Object identifiers, the content octets. */
#define SAN_OID "\x55\x1d\x11"
#define KEY_USAGE_OID "\x55\x1d\x0f"
#define EXTENDED_OID "\x55\x1d\x25"
#define BASIC_OID "\x55\x1d\x13"

/* Appends one DER element. */
void tlv(struct bytes *out, uint8_t tag, struct span content);

/* A request from raw parts; what is left empty is that of a good request of key. */
struct csr {
    struct span version, subject, spki, algorithm; /* DER */
    struct span attributes;                        /* content of [0] */
    const EVP_MD *digest;
    bool pss;
    uint8_t unused_bits; /* of the signature */
};
void csr_make(EVP_PKEY *key, const struct csr *csr, struct bytes *out);

/* An extensionRequest attribute: one Extension of this OID (content octets) and value. */
void extension_append(struct bytes *out, struct span oid, bool critical, struct span value);
void extension_request_append(struct bytes *out, struct span extensions);
/* A P-256 request for one extension. */
void extension_csr(struct span oid, bool critical, struct span value, struct bytes *out);

/* Parses well, with exactly one excess that holds this text; with none when it is NULL. */
void expect_excess(const char *label, struct span der, const char *text);

/* ---- certificates ---- */

enum { CA_USAGE = USAGE_DIGITAL_SIGNATURE | USAGE_KEY_CERT_SIGN | USAGE_CRL_SIGN };
#define FIXTURE_START INT64_C(1800000000)
#define FIXTURE_DAY INT64_C(86400)

/* What a certificate is made from; the issuer's name and SubjectPublicKeyInfo are owned. */
struct ca {
    enum key_algorithm algorithm;
    struct bytes name, spki;
    struct public_key key;
    struct issuer issuer;
    struct certificate certificate;
};
void ca_make(enum key_algorithm algorithm, const char *common_name, bool with_name, struct ca *ca);
void ca_cleanup(struct ca *ca);

/* A P-256 CA, made and freed by the set-up and the teardown of a suite. */
extern struct ca etcd_ca;
int etcd_ca_setup(void **state);
int etcd_ca_teardown(void **state);

/* What OpenSSL reads there; to be freed. */
X509 *openssl_parse(struct span der);

/* A server and client certificate for etcdone; its names are owned. */
void leaf_content(struct certificate_content *content);

/* Built, signed by the CA, and parsed again; with the serial number 0b010203800000… */
void content_sign(const struct certificate_content *content, const struct ca *ca, const struct public_key *key,
                  struct certificate *ret_certificate);

#endif
