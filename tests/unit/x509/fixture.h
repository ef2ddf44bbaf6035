/* fixture.h: keys, raw DER and requests that no well-behaved library would make. */
#ifndef ENSIGN_TESTS_UNIT_X509_FIXTURE_H
#define ENSIGN_TESTS_UNIT_X509_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/x509/draft.h"
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

#endif
