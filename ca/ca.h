/* ca.h: everything that an open service has: store, ledger, index, authorities, profiles, clusters. */
#ifndef ENSIGN_CA_CA_H
#define ENSIGN_CA_CA_H

#include <pthread.h>
#include <semaphore.h>

#include "ca/authority.h"
#include "ca/blocklist.h"
#include "ca/clock.h"
#include "ca/heartbeats.h"
#include "ca/idempotency.h"
#include "ca/index.h"
#include "ca/ledger.h"
#include "ca/news.h"
#include "ca/restore.h"
#include "policies/decide.h"

/* What became of requests for certificates since the service was opened. */
struct issue_counters {
    _Atomic uint64_t issued, denied;
};

/* Asked before the refusal of a known caller is written to the audit log. On CODE_RATE_LIMITED it is not written, and
 * that is what the caller is told. */
typedef enum err denial_admit(void *context, const struct caller *caller, struct fault *f);

struct ca {
    struct store *store;
    struct signer *signer; /* borrowed */
    struct key_claims *claims;
    struct clock *clock;
    struct restore *restore;
    struct index *index;
    struct news *news;
    struct rotations *rotations;
    struct revocations *revocations;
    pthread_mutex_t crl_lock; /* one CRL is made at a time */
    struct ledger *ledger;
    struct authorities *authorities;
    struct profiles profiles;
    struct service_record service;
    struct clusters *clusters;
    struct heartbeats *heartbeats;
    int64_t opened_at;
    struct blocklist blocked_keys; /* empty when opened; the caller may load it before others use the ca */
    struct {
        pthread_mutex_t lock;
        uint64_t size;
        struct bytes note; /* the last one, of the tree of this size; empty before the first */
    } checkpoint;
    pthread_mutex_t idempotency_locks[IDEMPOTENCY_LOCKS];
    struct issue_counters counters[PROFILES_MAX]; /* in the order of profiles.items */
    denial_admit *denial_admit;                   /* NULL: all; set by the caller before others use the ca */
    void *denial_context;
    unsigned renewals_per_hour; /* of a place that nothing asks for (ca/renewal.h); 0: no limit; set likewise */
    sem_t crypto;               /* how many requests may be parsed and decided at a time */
};

/* A new, empty service in an existing folder `path`: schema, log key, service CA. */
MUST_USE enum err ca_create(const char *path, struct signer *signer, const struct alternative_names *names,
                            const char *origin, struct fault *f);
MUST_USE enum err ca_open(const char *path, struct signer *signer, const struct clock_basis *basis, struct ca **ret_ca,
                          struct fault *f);
void ca_close(struct ca *ca);
/* Only the store, its schema checked: for maintenance of a service that is stopped. */
MUST_USE enum err ca_store_open(const char *path, struct store **ret_store, struct fault *f);

/* By which expiry is judged: UTC seconds. What is issued or recorded takes its time from clock_require(). */
int64_t ca_now(const struct ca *ca);

/* The admin sees this time on a clock that is right, and so the service's clock, which must be within 5 minutes of it,
 * is: from now on it is trusted, also when that is before the mark. Is in the audit log when it returns; nothing
 * happens when the clock is trusted anyway. ERR_INPUT when the two times differ. */
MUST_USE enum err clock_acknowledge(struct ca *ca, const struct caller *caller, int64_t seen, struct fault *f);

/* "token 4f3a…", "admin root": how records and leaves name a caller. */
const char *requester_word(enum requester kind); /* "admin", "operator", …; NULL for none */
void caller_text(const struct caller *caller, char *ret_text, size_t size);

/* ---- clusters ---- */

/* What cluster_create() makes, for its idempotency (which may be NULL). */
struct cluster_made {
    const struct cluster *cluster;
    const struct authority *const *authorities; /* one for each of cluster_authorities, and NULL */
};
/* Reads, checks and stores a cluster file and makes its CAs. The same document again changes nothing (ret_created
 * false); another document under the same name is ERR_CONFLICT. ret_cluster is a reference, as of cluster_find(). */
MUST_USE enum err cluster_create(struct ca *ca, const struct caller *caller, const struct document *document,
                                 struct idempotency *idempotency, bool *ret_created, const struct cluster **ret_cluster,
                                 struct fault *f);
/* The present inventory: a reference to it, for cluster_release(). ERR_ABSENT. */
MUST_USE enum err cluster_find(struct ca *ca, const char *name, const struct cluster **ret_cluster, struct fault *f);
void cluster_release(const struct cluster **cluster); /* for CLEANUP(); may be NULL */
/* The change goes in only while this is the present inventory, else it is ERR_CONFLICT. */
void cluster_expect(const struct cluster *cluster, struct change *change);
/* Waits for an update that is committed, but not found yet: before another attempt. */
void cluster_settle(struct ca *ca);
/* Calls visit for each cluster in order of name until it returns false. What it is given is borrowed for the call. */
void cluster_each(struct ca *ca, bool (*visit)(void *context, const struct cluster *cluster), void *context);

/* ---- join tokens ---- */

struct token_request {
    uint8_t id[TOKEN_ID_SIZE];
    uint8_t secret_sha256[SHA256_SIZE];
    const char *cluster, *node;
    int64_t lifetime_seconds;        /* 60 s .. 7 d */
    struct idempotency *idempotency; /* makes a struct token_record; may be NULL */
};
MUST_USE enum err token_create(struct ca *ca, const struct caller *caller, const struct token_request *request,
                               struct token_record *ret_record, struct fault *f);
MUST_USE enum err token_revoke(struct ca *ca, const struct caller *caller, const uint8_t id[TOKEN_ID_SIZE],
                               struct fault *f);
MUST_USE enum err token_get(struct ca *ca, const uint8_t id[TOKEN_ID_SIZE], struct token_record *ret_record,
                            uint64_t *ret_revision, struct fault *f);
MUST_USE enum err token_each(struct ca *ca, bool (*visit)(void *context, const struct token_record *record),
                             void *context, struct fault *f);
/* "active", "expired", "revoked" */
const char *token_state(const struct token_record *record, int64_t now);
/* Who holds this id and secret. ERR_AUTH when unknown, wrong (compared in constant time), expired or revoked. */
MUST_USE enum err token_authenticate(struct ca *ca, const uint8_t id[TOKEN_ID_SIZE],
                                     const uint8_t secret[TOKEN_SECRET_SIZE], struct caller *ret_caller,
                                     struct fault *f);

/* ---- certificates ---- */

MUST_USE enum err certificate_get(struct ca *ca, const uint8_t serial[SERIAL_SIZE],
                                  struct certificate_record *ret_record, struct fault *f);
/* Who presents this client certificate (DER; TLS has proved possession of its key): its stored record must be byte for
 * byte this certificate, be valid now, have a role, and, unless `replaced_too`, not be superseded by an installed one
 * of its node. ERR_AUTH. */
MUST_USE enum err certificate_authenticate(struct ca *ca, struct span der, bool replaced_too, struct caller *ret_caller,
                                           struct fault *f);

/* ---- audit ---- */

/* Denials of known callers; unknown callers are counted elsewhere. Failing to log is an error of its own, as is
 * CODE_RATE_LIMITED of ca->denial_admit. */
MUST_USE enum err audit_denial(struct ca *ca, const struct caller *caller, const char *what, const struct fault *why,
                               struct fault *f);
/* One leaf for that many refusals of callers whom nobody knows: a leaf each would let them fill the disk. */
MUST_USE enum err audit_strangers(struct ca *ca, uint64_t refusals, struct fault *f);
/* Calls visit for leaves [from, to) that are durable. */
MUST_USE enum err audit_each(struct ca *ca, uint64_t from, uint64_t to,
                             bool (*visit)(void *context, uint64_t sequence, struct span leaf), void *context,
                             struct fault *f);
/* A signed note over the tree that is durable now. Each tree is signed once, however often anybody asks. */
MUST_USE enum err audit_checkpoint(struct ca *ca, struct bytes *ret_note, struct fault *f);

#endif
