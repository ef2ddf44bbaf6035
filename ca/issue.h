/* issue.h: the one way to a certificate, whatever the protocol. Read issue.c first. */
#ifndef ENSIGN_CA_ISSUE_H
#define ENSIGN_CA_ISSUE_H

#include "ca/ca.h"

struct issue_request {
    struct caller caller;
    uint8_t token_id[TOKEN_ID_SIZE]; /* when caller.kind is REQUESTER_TOKEN */
    const char *profile;
    const char *cluster;  /* CLUSTER_SERVICE for identities */
    const char *node;     /* "" when none; a token's and a node's own may be left out */
    const char *identity; /* "" when none */
    struct user user;
    enum requester role;      /* of an identity, else 0 */
    int64_t lifetime_seconds; /* 0: the profile's default */
    const uint8_t *replaces;  /* a node's request: the serial, SERIAL_SIZE bytes, of what it renews; else NULL */
    struct span csr_pem;
    struct idempotency
        *idempotency; /* makes a struct issue_result; NULL for none, and for tokens, which have no need */
    bool dry_run;     /* decide only: nothing is signed, stored or logged */
};

struct issue_result {
    struct moment now; /* of the decision and the record */
    struct decision decision;
    struct certificate_record record; /* empty when dry_run */
    bool stored_before; /* the same token, profile and public key, or the same renewal: the answer given then, which is
                           not revoked */
    const struct authority *authority;
    const struct cluster *cluster; /* that it was decided by: a reference; NULL for the service's own */
    bool sharing;                  /* the control planes of that one share this certificate */
};

/* Errors: those of request_parse(), decide(), ledger_commit(); CODE_CLOCK_UNTRUSTED; CODE_NOT_FOUND for a cluster,
 * profile or node; CODE_POLICY_DENIED for what was issued before when it was revoked; CODE_KEY_CONFLICT when the token
 * got this profile for another key; of a renewal, the reasons of ca/renewal.h beside those of decide(), and
 * CODE_RATE_LIMITED when its place was renewed too often. Denials are in the audit log when it returns;
 * CODE_RATE_LIMITED instead of a denial that ca->denial_admit does not admit to it. */
MUST_USE enum err issue(struct ca *ca, const struct issue_request *request, struct issue_result *ret_result,
                        struct fault *f);
void issue_result_cleanup(struct issue_result *result);

#endif
