/* deployed.h: what nodes report of the certificates that were issued to them: which are installed, and which their
 * servers present.
 *
 *   d <cluster> 0 <node>    deployed_record: the node's last report that said something new
 *
 * A report is the node's word, for people and rotations to see. What follows from it: the successor that is installed
 * supersedes its predecessor (ca/lineage.h). What control planes share is installed when the last of them has reported
 * it (ca/holders.h).  Threads: any. */
#ifndef ENSIGN_CA_DEPLOYED_H
#define ENSIGN_CA_DEPLOYED_H

#include "ca/ca.h"

enum { DEPLOYED_CERTIFICATES_MAX = 32, DEPLOYED_CRLS_MAX = 16, DEPLOYED_DETAIL_MAX = 255, AGENT_VERSION_MAX = 63 };

enum deployed_state {
    DEPLOYED_INSTALLED,       /* its files are in their places */
    DEPLOYED_SERVED,          /* and its server presents it */
    DEPLOYED_WAITING_RESTART, /* and its server presents it once it is restarted */
    DEPLOYED_NOT_SERVED,      /* and its server presents another one */
    DEPLOYED_FAILED,          /* it could not be installed */
};
extern const char *const deployed_state_words[]; /* "installed", …, NULL */

struct deployed_certificate {
    char profile[PROFILE_NAME_MAX + 1];
    uint8_t serial[SERIAL_SIZE];
    enum deployed_state state;
    uint8_t served[SERIAL_SIZE]; /* zeros: not said */
    int64_t not_after;           /* 0: not said */
    char detail[DEPLOYED_DETAIL_MAX + 1];
};

struct deployed_crl {
    char authority[AUTHORITY_NAME_MAX + 1];
    int64_t number;
};

struct deployed_record {
    char cluster[CLUSTER_NAME_MAX + 1];
    char node[DNS_NAME_MAX + 1];
    int64_t reported_at; /* the first time that it was so */
    char agent_version[AGENT_VERSION_MAX + 1];
    struct deployed_certificate certificates[DEPLOYED_CERTIFICATES_MAX]; /* in order of profile */
    size_t certificates_count;
    struct deployed_crl crls[DEPLOYED_CRLS_MAX]; /* in order of authority */
    size_t crls_count;
};

/* ---- rows ---- */
void key_deployed(const char *cluster, const char *node, struct bytes *out);
void deployed_record_pack(const struct deployed_record *record, struct bytes *out);
/* ERR_IO (CODE_DAMAGED) when the row does not parse. */
MUST_USE enum err deployed_record_unpack(struct span row, struct deployed_record *ret_record, struct fault *f);

/* ---- reading ---- */

/* ERR_ABSENT (CODE_NOT_FOUND): this node has reported nothing yet. */
MUST_USE enum err deployed_get(struct ca *ca, const char *cluster, const char *node, struct deployed_record *ret_record,
                               uint64_t *ret_revision, struct fault *f);
/* Calls visit for each node of the cluster that has reported, in order of name, until it returns false; visit must not
 * call the store. after: begins behind the node of this name; NULL: with the first */
MUST_USE enum err deployed_each(struct ca *ca, const char *cluster, const char *after,
                                bool (*visit)(void *context, const struct deployed_record *record), void *context,
                                struct fault *f);
/* NULL when the report does not mention it. */
const struct deployed_certificate *deployed_find(const struct deployed_record *record, const char *profile);

/* When the node was heard of last: its report, or what came later without news, as far as this process knows. */
int64_t deployed_seen_at(struct ca *ca, const struct deployed_record *record);

/* Not heard of for AGENT_SILENT_SECONDS, of which the service ran all. */
bool deployed_silent(struct ca *ca, const struct deployed_record *record);

/* The CRLs that the service has of a cluster, which nodes should have. */
struct newest_crls {
    struct deployed_crl items[DEPLOYED_CRLS_MAX];
    size_t count;
};
MUST_USE enum err newest_crls_read(struct ca *ca, const char *cluster, struct newest_crls *ret_crls, struct fault *f);
/* 0: it has none of this CA. */
int64_t newest_crl_number(const struct newest_crls *crls, const char *authority);

/* How a cluster's agents are. */
struct deployed_counts {
    uint64_t agents;          /* nodes that have reported */
    uint64_t silent;          /* of these: deployed_silent() */
    uint64_t not_deployed;    /* certificates that count at nodes with an agent, and are not installed or not served */
    uint64_t waiting_restart; /* certificates that wait for their server's restart */
    uint64_t crls_outdated;   /* CRLs on nodes of which the service has a newer one */
};
enum { AGENT_SILENT_SECONDS = 3600 };
MUST_USE enum err deployed_count(struct ca *ca, const char *cluster, struct deployed_counts *ret_counts,
                                 struct fault *f);

/* ---- reporting ---- */

/* Stores what the caller, a node, reports of itself; cluster, node and reported_at of the report are filled in here.
 * What is new is in the audit log when it returns; nothing new is a heartbeat and no commit. ERR_INPUT (CODE_INVALID)
 * with reasons, pointer "/certificates": a serial that is neither current nor previous at its place, or of a shared
 * certificate was never issued for it; a profile twice. */
MUST_USE enum err deployed_report(struct ca *ca, const struct caller *caller, struct deployed_record *report,
                                  struct fault *f);

#endif
