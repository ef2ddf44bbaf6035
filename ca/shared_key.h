/* shared_key.h: keys that are the same on several nodes of a cluster: the service accounts' pair "sa", and
 * "apiserver-etcd-client" where the cluster file says that it is shared. The nodes make them; the service keeps who has
 * which, and envelopes that it cannot open.
 *
 *   n <cluster> 0 <node>     sealing_key: the X25519 key to which a control plane lets others seal, and its signature
 *   k <cluster> 0 <name>     shared_key: its generation, and an envelope for each receiver
 *
 * A key begins with a claim. Its claimant is the custodian, who seals the key for the others and then says that it
 * holds it. Until somebody does, another control plane may take the claim over, CLAIM_SECONDS after it was made:
 * a custodian who died in between holds up nobody. From then on the key stays; who holds it can seal it for more.
 *
 * With "apiserver-etcd-client" goes one certificate, which issue() gives to the custodian for the key that it claimed:
 * before there is one, nobody seals the key or holds it. To renew it a holder claims the next generation, with a new
 * key. "sa" has no certificate, and its generation stays: every token of a service account is signed with it. Only an
 * admin can let a key that is lost or known to others be made anew, by a reset. So it is with a key whose certificate
 * was revoked: nobody who holds it renews it.
 *
 * What a node holds it holds under the sealing key that it publishes: with another one it begins anew, and no envelope
 * for the old one counts.
 *
 * The service checks who may do what and when. Whether a sealing key or an envelope is what it says is for its reader
 * to verify (client/envelope.h).
 *
 * Callers are nodes of the cluster with the role control-plane, else ERR_DENIED (CODE_POLICY_DENIED), which is in the
 * audit log when it returns. ERR_ABSENT a name that the cluster does not share.  Threads: any. */
#ifndef ENSIGN_CA_SHARED_KEY_H
#define ENSIGN_CA_SHARED_KEY_H

#include "ca/ca.h"

enum {
    SHARED_RECEIVERS_MAX = 32, /* of a key; also how many nodes of a cluster may publish a sealing key */
    SHARED_NAME_MAX = 63,
    SHARED_SPKI_MAX = 1024,
    SHARED_SEALED_MAX = 8192,
    SHARED_SIGNATURE_MAX = 1024,
    SHARED_CLAIM_SECONDS = 10,
};

/* The receiver that is no node: whoever has the private key of the cluster file's recovery.publicKey. */
#define SHARED_RECOVERY "@recovery"

struct sealing_key {
    char cluster[CLUSTER_NAME_MAX + 1];
    char node[DNS_NAME_MAX + 1];
    uint8_t serial[SERIAL_SIZE]; /* of the node identity that signed it */
    uint8_t public_key[SEALING_KEY_SIZE];
    struct bytes signature;
    int64_t created_at;
};

/* Somebody who has the key, or an envelope with it. */
struct shared_receiver {
    char name[DNS_NAME_MAX + 1]; /* of a node, or SHARED_RECOVERY */
    uint8_t sealing_key[SEALING_KEY_SIZE];
    bool holds;
    char sender[DNS_NAME_MAX + 1]; /* empty when there is no envelope */
    uint8_t serial[SERIAL_SIZE];   /* of the node identity that signed the envelope */
    struct bytes sealed, signature;
};

struct shared_key {
    char cluster[CLUSTER_NAME_MAX + 1];
    char name[SHARED_NAME_MAX + 1];
    uint32_t generation;              /* 0: not claimed yet */
    char custodian[DNS_NAME_MAX + 1]; /* empty after a reset, until it is claimed again */
    struct bytes spki;                /* DER */
    int64_t claimed_at;
    bool certified;
    uint8_t serial[SERIAL_SIZE]; /* of its certificate, when certified */
    struct shared_receiver receivers[SHARED_RECEIVERS_MAX];
    size_t receivers_count;
};

/* Who calls, and by which node identity. */
struct shared_caller {
    const struct caller *caller;
    const struct cluster *cluster;
    uint8_t serial[SERIAL_SIZE];
};

/* Whether the caller is one who may share keys; what: for the audit log. */
MUST_USE enum err shared_caller_check(struct ca *ca, const struct shared_caller *caller, const char *what,
                                      struct fault *f);

/* ---- rows ---- */
void key_sealing_key(const char *cluster, const char *node, struct bytes *out);
void key_shared_key(const char *cluster, const char *name, struct bytes *out);
void sealing_key_pack(const struct sealing_key *key, struct bytes *out);
void shared_key_pack(const struct shared_key *key, struct bytes *out);
/* ERR_IO (CODE_DAMAGED) when the row does not parse. */
MUST_USE enum err sealing_key_unpack(struct span row, struct sealing_key *ret_key, struct fault *f);
MUST_USE enum err shared_key_unpack(struct span row, struct shared_key *ret_key, struct fault *f);
void sealing_key_cleanup(struct sealing_key *key);
void shared_key_cleanup(struct shared_key *key);

/* ---- sealing keys ---- */

struct sealing_keys {
    struct sealing_key items[SHARED_RECEIVERS_MAX];
    size_t count;
};
/* Those of a cluster's nodes, in order of name. */
MUST_USE enum err sealing_keys_load(struct ca *ca, const char *cluster, struct sealing_keys *ret_keys, struct fault *f);
void sealing_keys_cleanup(struct sealing_keys *keys);
/* Stores the caller's own. The same again changes nothing. */
MUST_USE enum err sealing_key_publish(struct ca *ca, const struct shared_caller *caller,
                                      const uint8_t public_key[SEALING_KEY_SIZE], struct span signature,
                                      struct fault *f);

/* ---- shared keys ---- */

/* As it is stored, of generation 0 when it is not claimed yet. */
MUST_USE enum err shared_key_get(struct ca *ca, const struct cluster *cluster, const char *name,
                                 struct shared_key *ret_key, uint64_t *ret_revision, struct fault *f);
/* NULL when there is none of that name. */
struct shared_receiver *shared_key_receiver(struct shared_key *key, const char *name);
/* Whether what the receiver has is under the sealing key that counts now. receiver may be NULL. */
bool shared_receiver_current(const struct shared_receiver *receiver, const struct cluster *cluster,
                             const struct sealing_keys *keys);
/* Whether somebody holds it. */
bool shared_key_held(const struct shared_key *key, const struct cluster *cluster, const struct sealing_keys *keys);

/* Whether the node may claim it now. */
bool shared_key_claimable(const struct shared_key *key, const struct cluster *cluster, const struct sealing_keys *keys,
                          const char *node, int64_t now);

/* Whether the caller holds a key with a certificate, which it may then renew. */
bool shared_key_renewable(struct shared_key *key, const struct cluster *cluster, const struct sealing_keys *keys,
                          const char *node);

/* Makes a key of generation expected + 1 whose custodian is the caller. The custodian's own claim again changes
 * nothing. ERR_CONFLICT  the generation is another one; somebody holds the key, and the caller cannot renew it; its
 * certificate was revoked; it is renewed with the same key; the claim is too young to be taken over. CODE_RATE_LIMITED
 * as renewal_admit(). */
MUST_USE enum err shared_key_claim(struct ca *ca, const struct shared_caller *caller, const char *name,
                                   uint32_t expected, struct span spki, struct fault *f);

struct shared_envelope {
    const char *receiver;
    uint8_t sealing_key[SEALING_KEY_SIZE];
    struct bytes sealed, signature;
};
/* Stores envelopes, in place of those that the receivers had. ERR_CONFLICT  of another generation; the caller does not
 * have the key; a sealing key is not the one that counts. ERR_INPUT  a receiver that cannot be one. */
MUST_USE enum err shared_key_seal(struct ca *ca, const struct shared_caller *caller, const char *name,
                                  uint32_t generation, const struct shared_envelope *envelopes, size_t count,
                                  struct fault *f);

/* The caller holds this generation, as it says: its own claim, what it opened, or what was recovered. Who says so
 * falsely keeps the key from being made anew, no more. ERR_CONFLICT  of another generation; the caller has not
 * published a sealing key. */
MUST_USE enum err shared_key_acknowledge(struct ca *ca, const struct shared_caller *caller, const char *name,
                                         uint32_t generation, struct fault *f);

/* An admin's way out of a key that is lost: nobody is its custodian or holds it any more, and the next control plane
 * that asks claims the next generation. ERR_CONFLICT  the generation is another one, or 0. */
MUST_USE enum err shared_key_reset(struct ca *ca, const struct caller *admin, const struct cluster *cluster,
                                   const char *name, uint32_t generation, struct fault *f);

/* ---- the certificate of one, for issue() ---- */

/* Who may have the certificate, and for which key. */
struct shared_claim {
    char custodian[DNS_NAME_MAX + 1]; /* "": nobody */
    uint8_t spki_sha256[SHA256_SIZE];
    bool certified;
    uint8_t serial[SERIAL_SIZE];
};
MUST_USE enum err shared_claim_get(struct ca *ca, const struct cluster *cluster, const char *name,
                                   struct shared_claim *ret_claim, struct fault *f);

/* The change makes this the certificate of the key, if its row is still what it was. ERR_CONFLICT (CODE_KEY_CONFLICT)
 * when the key is not the claimed one any more. */
MUST_USE enum err shared_key_certify(struct ca *ca, const struct cluster *cluster,
                                     const struct certificate_record *record, struct change *change, struct fault *f);

#endif
