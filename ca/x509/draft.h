/* draft.h: a TBSCertificate (RFC 5280 §4.1.2), built from a decision, read again by the signer's lint.  Threads: pure.
 *
 * Extensions of a leaf, in this order: basicConstraints (critical, CA:FALSE), keyUsage (critical), extendedKeyUsage,
 * subjectKeyIdentifier, authorityKeyIdentifier (keyid only), subjectAltName (critical only when the subject is empty,
 * RFC 5280 §4.2.1.6). Of a CA: basicConstraints (critical, CA:TRUE), keyUsage (critical: digitalSignature,
 * keyCertSign, cRLSign), subjectKeyIdentifier, and subjectAltName DNS=CN as kubeadm's CAs have it.
 */
#ifndef ENSIGN_CA_X509_DRAFT_H
#define ENSIGN_CA_X509_DRAFT_H

#include "ca/x509/name.h"
#include "ca/x509/public_key.h"
#include "ca/x509/usage.h"

enum {
    SERIAL_SIZE = 20,
    SERIAL_TEXT_SIZE = 41, /* 40 lower-case hexadecimal digits and a NUL */
};

/* 4 bytes of seconds since 2020-01-01 UTC, 2 of sub-seconds (1/65536 s), 14 random: positive until 2088, and close to
 * time order, so that records are appended rather than scattered. */
void serial_make(int64_t now_seconds, uint32_t now_nanoseconds, uint8_t ret_serial[SERIAL_SIZE]);

/* Everything of a certificate but who signs it, its serial and its key. */
struct certificate_content {
    struct distinguished_name subject;
    struct alternative_names names;
    unsigned key_usage;
    unsigned extended_key_usage;
    int64_t not_before; /* UTC seconds */
    int64_t not_after;  /* inclusive (RFC 5280 §4.1.2.5) */
    bool authority;
};
void certificate_content_cleanup(struct certificate_content *content);

struct issuer {
    struct span name; /* DER Name */
    uint8_t key_identifier[KEY_IDENTIFIER_SIZE];
    enum key_algorithm algorithm;
};

/* A self-signed CA passes its own name and key as the issuer.
 * Errors: ERR_INPUT validity the wrong way round or beyond 9999; ERR_BUG content that no decision makes (no subject and
 * no names, say); ERR_NOMEM, ERR_CRYPTO. */
MUST_USE enum err draft_build(const struct certificate_content *content, const struct issuer *issuer,
                              const struct public_key *key, const uint8_t serial[SERIAL_SIZE], struct bytes *ret_draft,
                              struct fault *f);

/* A CA certificate over a name and a key that have one already, perhaps of another program's making: self-signed, with
 * the issuer's name and key identifier as they are. Errors as draft_build(). */
MUST_USE enum err draft_build_again(const struct issuer *issuer, const struct public_key *key,
                                    const uint8_t serial[SERIAL_SIZE], int64_t not_before, int64_t not_after,
                                    struct bytes *ret_draft, struct fault *f);

/* A draft or the body of a certificate, read strictly: every field and extension must be one that draft_build() can
 * make, encoded as it encodes them. */
struct draft {
    uint8_t serial[SERIAL_SIZE];
    struct span signature_algorithm; /* DER AlgorithmIdentifier; the spans borrow from the draft */
    struct span issuer_name, subject_name;
    struct span spki;
    struct certificate_content content; /* owned */
    bool has_subject_key_identifier, has_authority_key_identifier;
    uint8_t subject_key_identifier[KEY_IDENTIFIER_SIZE];
    uint8_t authority_key_identifier[KEY_IDENTIFIER_SIZE];
};
MUST_USE enum err draft_parse(struct span der, struct draft *ret_draft, struct fault *f);
/* The body of a CA certificate, whoever made it (openssl, cfssl, kubeadm): read for what it says, not held to the form
 * that Ensign writes. Any subject, which is in subject_name only; a serial that may be 0; without keyUsage all usages
 * of a CA (RFC 5280 §4.2.1.3), and 0 for no extendedKeyUsage; a key identifier by whatever method, which is the one
 * that public_key has when there is none. ERR_INPUT for an unknown critical extension. */
MUST_USE enum err draft_parse_authority(struct span der, struct draft *ret_draft, struct fault *f);
void draft_cleanup(struct draft *draft);

/* Certificate ::= SEQUENCE { draft, algorithm, BIT STRING signature } */
MUST_USE enum err certificate_assemble(struct span draft, enum key_algorithm issuer_algorithm, struct span signature,
                                       struct bytes *ret_certificate, struct fault *f);

/* Signs a draft with an issuer's private key (in the signer only, and by init for nothing else). */
MUST_USE enum err draft_sign(struct span draft, EVP_PKEY *key, enum key_algorithm algorithm,
                             struct bytes *ret_certificate, struct fault *f);

#endif
