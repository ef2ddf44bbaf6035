/* record.h: stored rows: their keys, their binary form (ca/base/pack.h) and its versions.
 *
 *   key                                     value
 *   m schema                                schema version, u32
 *   m log                                   frontier of the audit log
 *   m clock                                 clock_state (ca/clock.h)
 *   m restore                               restore_state (ca/restore.h); none before the first copy
 *   m service                               service_record
 *   m index                                 form of the search indexes, u8, and how many leaves they have seen, u64
 *   a <cluster> 0 <authority> 0 <u32>       authority_record, by generation
 *   c <cluster>                             cluster_record
 *   v <cluster>                             when its inventory was changed last, i64; none before the first time
 *   t <token id, 16 bytes>                  token_record
 *   s <serial, 20 bytes>                    certificate_record (serials are close to time order)
 *   l <sequence, u64>                       audit leaf
 *   i <day, u32> <SHA-256, 32 bytes>        answer_record, by the day it was given and caller and Idempotency-Key
 *   n, k …                                  keys that nodes share (ca/shared_key.h)
 *   g …                                     which certificate counts at a place (ca/lineage.h)
 *   q, b …                                  what was revoked, and keys that others know (ca/revocation.h)
 *   p …                                     CRLs, which are published (ca/crl.h)
 *   d …                                     what nodes have installed (ca/deployed.h)
 *   r …                                     rotations and their marks (ca/rotation.h)
 *   w <cluster> 0 <group>                   lease (ca/lease.h)
 *   x …                                     search indexes (ca/index.h)
 *
 * Every value begins with a version byte.  Threads: pure.
 */
#ifndef ENSIGN_CA_RECORD_H
#define ENSIGN_CA_RECORD_H

#include "ca/base/pack.h"
#include "ca/log/checkpoint.h"
#include "ca/x509/certificate.h"
#include "policies/decide.h"

enum { RECORD_SCHEMA = 1, TOKEN_ID_SIZE = 16, TOKEN_SECRET_SIZE = 32 };

/* ---- keys: appended to out ---- */
/* A name and the NUL that ends it: names hold no NUL, so keys of different names never run together. */
void key_name(const char *name, struct bytes *out);
void key_meta(const char *name, struct bytes *out);
void key_authority(const char *cluster, const char *authority, uint32_t generation, struct bytes *out);
void key_cluster(const char *cluster, struct bytes *out);
void key_cluster_update(const char *cluster, struct bytes *out);
void key_token(const uint8_t id[TOKEN_ID_SIZE], struct bytes *out);
void key_certificate(const uint8_t serial[SERIAL_SIZE], struct bytes *out);
void key_leaf(uint64_t sequence, struct bytes *out);
void key_answer(uint32_t day, const uint8_t id[SHA256_SIZE], struct bytes *out);
/* The end of the range of keys that begin with this one-letter prefix, for store_scan(). */
void key_prefix(char letter, struct bytes *out);
void key_prefix_end(char letter, struct bytes *out);

/* ---- rows ---- */

/* Reads the version byte; another one was written by a newer program: ERR_IO (CODE_DAMAGED). */
MUST_USE enum err row_begin(struct span row, uint8_t version, const char *what, struct unpack *ret_in, struct fault *f);

/* The service itself: the key of its log, and who it is. */
struct service_record {
    char origin[LOG_ORIGIN_MAX + 1];
    uint8_t log_public_key[LOG_PUBLIC_KEY_SIZE];
    struct bytes log_blob;          /* sealed */
    struct alternative_names names; /* of --name */
    int64_t created_at;
};

struct authority_record {
    char cluster[CLUSTER_NAME_MAX + 1];
    char name[AUTHORITY_NAME_MAX + 1];
    uint32_t generation;
    struct bytes blob;        /* sealed */
    struct bytes certificate; /* DER */
    int64_t created_at;
};

struct cluster_record {
    struct bytes document; /* compact JSON */
    int64_t created_at;
    char created_by[DNS_NAME_MAX + 32];
};

enum { TOKEN_USES_MAX = 32 };
struct token_use {
    char profile[PROFILE_NAME_MAX + 1];
    uint8_t spki_sha256[SHA256_SIZE];
    uint8_t serial[SERIAL_SIZE];
};
struct token_record {
    uint8_t id[TOKEN_ID_SIZE];
    uint8_t secret_sha256[SHA256_SIZE];
    char cluster[CLUSTER_NAME_MAX + 1];
    char node[DNS_NAME_MAX + 1];
    int64_t created_at, expires_at, revoked_at; /* revoked_at 0: not revoked */
    char created_by[DNS_NAME_MAX + 32];
    struct token_use uses[TOKEN_USES_MAX];
    size_t uses_count;
};

struct certificate_record {
    uint8_t serial[SERIAL_SIZE];
    char cluster[CLUSTER_NAME_MAX + 1]; /* CLUSTER_SERVICE for identities and the service's own */
    char authority[AUTHORITY_NAME_MAX + 1];
    char node[DNS_NAME_MAX + 1]; /* or empty */
    char profile[PROFILE_NAME_MAX + 1];
    char identity[DNS_NAME_MAX + 1];      /* of a person or program, or the user of a cluster, or empty */
    enum requester role;                  /* what it may do as a client of this service; 0: nothing */
    char requested_by[DNS_NAME_MAX + 32]; /* "token 4f3a…", "admin root" */
    int64_t issued_at, not_before, not_after, revoked_at;
    uint8_t spki_sha256[SHA256_SIZE];
    uint64_t log_sequence;    /* of its audit leaf */
    struct bytes certificate; /* DER */
};

/* An answer that is kept (ca/idempotency.h). */
enum { ANSWER_LOCATION_MAX = 255 };
struct answer_record {
    uint8_t request_sha256[SHA256_SIZE]; /* of method, path and body */
    int64_t created_at;
    uint16_t status;
    char location[ANSWER_LOCATION_MAX + 1]; /* or empty */
    struct bytes body;
};

void service_record_pack(const struct service_record *record, struct bytes *out);
void authority_record_pack(const struct authority_record *record, struct bytes *out);
void cluster_record_pack(const struct cluster_record *record, struct bytes *out);
void cluster_update_pack(int64_t updated_at, struct bytes *out);
void token_record_pack(const struct token_record *record, struct bytes *out);
void certificate_record_pack(const struct certificate_record *record, struct bytes *out);
void answer_record_pack(const struct answer_record *record, struct bytes *out);

/* ERR_IO (CODE_DAMAGED) when the row does not parse. */
MUST_USE enum err service_record_unpack(struct span row, struct service_record *ret_record, struct fault *f);
MUST_USE enum err authority_record_unpack(struct span row, struct authority_record *ret_record, struct fault *f);
MUST_USE enum err cluster_record_unpack(struct span row, struct cluster_record *ret_record, struct fault *f);
MUST_USE enum err token_record_unpack(struct span row, struct token_record *ret_record, struct fault *f);
MUST_USE enum err certificate_record_unpack(struct span row, struct certificate_record *ret_record, struct fault *f);
MUST_USE enum err answer_record_unpack(struct span row, struct answer_record *ret_record, struct fault *f);

void service_record_cleanup(struct service_record *record);
void authority_record_cleanup(struct authority_record *record);
void cluster_record_cleanup(struct cluster_record *record);
void certificate_record_cleanup(struct certificate_record *record);
void answer_record_cleanup(struct answer_record *record);

/* "valid", "expired", "revoked" */
const char *certificate_record_state(const struct certificate_record *record, int64_t now);

#endif
