/* envelope.h: how a private key travels from one node to another past a service that must not see it.
 *
 *   sealing key   X25519; its public half is signed by the node's identity over a text with cluster, node and key
 *   envelope      the private key with all that it belongs to, sealed to the receiver's sealing key (libsodium's
 *                 crypto_box_seal), and the sender's signature over the same and the sealed bytes
 *
 * All is bound twice: inside, so that nobody can sign another's sealed bytes as something else; outside, so that nobody
 * can seal in another's name. Against a service that issues node identities to itself this does not help.
 *
 * Signatures are those of the identity's key (ca/x509/public_key.h), texts are ca/base/pack.h behind a word of their
 * own.  Threads: pure. */
#ifndef ENSIGN_CLIENT_ENVELOPE_H
#define ENSIGN_CLIENT_ENVELOPE_H

#include "ca/x509/certificate.h"
#include "policies/cluster.h"

/* ---- sealing keys ---- */

struct sealing_pair {
    uint8_t public_key[SEALING_KEY_SIZE], private_key[SEALING_KEY_SIZE];
};
MUST_USE enum err sealing_pair_make(struct sealing_pair *ret_pair, struct fault *f);
/* The text of a file: the private key in base64url and a line's end. A secret. */
void sealing_pair_write(const struct sealing_pair *pair, struct bytes *out);
MUST_USE enum err sealing_pair_read(struct span text, struct sealing_pair *ret_pair, struct fault *f);
void sealing_pair_cleanup(struct sealing_pair *pair); /* wipes it */

/* ---- who signs ---- */

struct signer_identity {
    const char *node;
    EVP_PKEY *key; /* borrowed */
    enum key_algorithm algorithm;
};
/* Reads a node's identity certificate: its common name is the node's, and the service's own CA, which has this pin,
 * issued it; both are valid now. CODE_UNTRUSTED otherwise. */
MUST_USE enum err signer_read(struct span pem, const char *node, struct span service_ca_pem, const uint8_t *pin,
                              int64_t now, struct certificate *ret_certificate, struct fault *f);

MUST_USE enum err sealing_key_sign(const struct signer_identity *identity, const char *cluster,
                                   const uint8_t public_key[SEALING_KEY_SIZE], struct bytes *ret_signature,
                                   struct fault *f);
/* CODE_UNTRUSTED when this node of this cluster has not signed it. */
MUST_USE enum err sealing_key_check(const struct certificate *signer, const char *cluster, const char *node,
                                    const uint8_t public_key[SEALING_KEY_SIZE], struct span signature, struct fault *f);

/* ---- envelopes ---- */

struct envelope_subject {
    const char *cluster, *name;
    uint32_t generation;
    const char *receiver;
    const uint8_t *sealing_key; /* the receiver's */
    struct span spki;           /* of the shared key, DER */
};

/* private_pem  the shared key's private half */
MUST_USE enum err envelope_seal(const struct signer_identity *sender, const struct envelope_subject *subject,
                                struct span private_pem, struct bytes *ret_sealed, struct bytes *ret_signature,
                                struct fault *f);
/* pair  the receiver's. CODE_UNTRUSTED when it is not the sender's envelope for exactly this subject, or holds another
 * key than the subject's. ret_private_pem is a secret. */
MUST_USE enum err envelope_open(const struct certificate *sender, const char *sender_node,
                                const struct envelope_subject *subject, struct span sealed, struct span signature,
                                const struct sealing_pair *pair, struct bytes *ret_private_pem, struct fault *f);

#endif
