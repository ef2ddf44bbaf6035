/* shared_work.h: a control plane at its work on the keys that it shares: what client/shared_*.c have in common, and
 * nobody else includes. */
#ifndef ENSIGN_CLIENT_SHARED_WORK_H
#define ENSIGN_CLIENT_SHARED_WORK_H

#include "client/envelope.h"
#include "client/session.h"
#include "client/shared_keys.h"

enum { SHARED_NODES_MAX = 32 }; /* in an answer */

struct work {
    const struct shared_keys *keys;
    struct session session; /* as the node */
    struct document *self;  /* of GET /v1/whoami */
    const char *cluster, *node;
    struct cluster inventory;
    struct profiles profiles;
    struct bytes service_ca, certificate;
    EVP_PKEY *identity_key;
    struct signer_identity identity;
    struct sealing_pair pair;
    int folder; /* DIR/shared */
    int64_t deadline_milliseconds;

    /* The key that it is at: */
    const char *name;
    bool certified;                 /* one with a certificate */
    struct bytes private_pem, spki; /* what lies there; empty when nothing does */
    bool holds, changed;            /* the service knows that this node holds it; something was done */
    bool taken;                     /* this node had none of this generation, and opened an envelope */
};
MUST_USE enum err work_open(const struct shared_keys *keys, struct work *work, struct fault *f);
MUST_USE enum err work_begin(struct work *work, const char *name, struct fault *f);
void work_cleanup(struct work *work);

/* The key as the service has it. */
struct view {
    struct document *answer;
    int64_t generation;
    bool claimable, recovery_sealed;
    const char *custodian, *recovery_key; /* borrowed from the answer; NULL when there is none */
    enum key_algorithm algorithm;
    struct bytes spki;
};
void view_cleanup(struct view *view);
/* Asks, or changes something with this body; either way the answer is the key as it is now. tail: behind its path */
MUST_USE enum err view_ask(struct work *work, const char *method, const char *tail, const json_t *body,
                           struct view *ret_view, struct fault *f);
/* Whether what lies there is the key that the service names. */
bool view_is_ours(const struct work *work, const struct view *view);
/* A member that is null or text. */
const char *member_text(const struct node *object, const char *key);

/* DIR/shared/NAME.suffix */
void shared_file_name(const struct work *work, const char *suffix, char ret_name[NAME_MAX]);
/* The key takes the place of what lay there, and the public half of a key pair too. */
MUST_USE enum err key_store(struct work *work, struct bytes *take_pem, struct fault *f);

/* ---- proposals: DIR/shared/NAME.new ---- */
struct proposal {
    struct bytes pem, spki; /* pem: a secret */
};
void proposal_cleanup(struct proposal *proposal);
/* What this node would claim: on the disk before it is used, and fit to be installed. ERR_CONFLICT otherwise. */
MUST_USE enum err proposal_take(struct work *work, const struct view *view, struct proposal *ret_proposal,
                                struct fault *f);
/* Once the service names it, it is the key that this node has. */
MUST_USE enum err proposal_settle(struct work *work, const struct view *view, struct fault *f);

/* ---- what comes after the key is there ---- */

/* The certificate of the key: the custodian obtains it (then *view is newer), everybody keeps it as the set DIR/NAME.
 * Nothing to do for a key without one. */
MUST_USE enum err shared_certificate(struct work *work, struct view *view, struct fault *f);
/* CODE_PENDING: the key's certificate was revoked, and no holder gets on with it. OK without one. */
MUST_USE enum err shared_certificate_good(const struct work *work, const struct view *view, struct fault *f);
/* Seals the key for all that have no envelope, and says that this node holds it. *why: a sealing key or an identity was
 * not what it should be, which kept nothing from the others. */
MUST_USE enum err shared_share(struct work *work, const struct view *view, struct fault *why, struct fault *f);
/* Whether a key that this node would claim can be put where Kubernetes looks. */
MUST_USE enum err shared_install_check(struct work *work, const struct proposal *proposal, struct fault *f);
MUST_USE enum err shared_install(struct work *work, struct fault *f);

#endif
