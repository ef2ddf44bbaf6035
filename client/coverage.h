/* coverage.h: what should be on the nodes of a cluster, held against what was issued.
 *
 *     ok        a certificate that is valid, of a CA that the cluster has now
 *     expiring  so, but for less than the threshold, or than the last third of a life that is short by intent
 *     expired   the last one is over
 *     differs   valid, of such a CA, but with other names than one that is issued now: the cluster file was changed
 *     retired   valid, but of a CA that the cluster has no more: it must be issued anew before trust in that CA ends
 *     missing   nothing was issued, or all of it was revoked
 *     extra     valid, and nothing expects it: a node or role that is gone, or a mistake
 *
 * Of several certificates for one place the best counts: valid before differing before retired before expired, then the
 * one that was issued last. What was replaced is no extra.  Threads: pure. */
#ifndef ENSIGN_CLIENT_COVERAGE_H
#define ENSIGN_CLIENT_COVERAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "ca/base/fault.h"

enum coverage_state {
    COVERAGE_OK,
    COVERAGE_EXPIRING,
    COVERAGE_EXPIRED,
    COVERAGE_DIFFERS,
    COVERAGE_RETIRED,
    COVERAGE_MISSING,
    COVERAGE_EXTRA,
};
extern const char *const coverage_state_words[]; /* of enum coverage_state; NULL-terminated */

/* One that should be. All texts are borrowed. */
struct coverage_place {
    const char *holder; /* the node's name; of an identity its own; "" for the service */
    const char *profile, *authority;
    const char *kind, *path; /* as the catalogue has them; NULL where it has none */
    bool shared;             /* a certificate for any holder will do */
    bool transient;          /* nobody misses it: there is no row for it while it has no certificate that is valid */
    const json_t *content;   /* what it should hold (client/difference.h); NULL: whatever it does */
};

/* One that was issued. */
struct coverage_certificate {
    const char *holder, *profile, *authority, *serial;
    const char *signed_by; /* key identifier of the CA, in hex; NULL when unknown */
    int64_t sequence;      /* the later it was issued, the greater */
    int64_t not_after;     /* UTC seconds; valid until the end of this one */
    bool revoked;
    const json_t *content;   /* what it holds (client/difference.h), or NULL */
    bool of_person;          /* its holder is no node, but a person or program */
    int64_t warning_seconds; /* expiring only when less is left, whatever the threshold; 0: the threshold alone */
};

struct coverage_question {
    const struct coverage_place *places;
    size_t places_count;
    const struct coverage_certificate *certificates; /* in any order */
    size_t certificates_count;
    const char *const *authorities; /* key identifiers of the CAs that the cluster has */
    size_t authorities_count;
    int64_t now, threshold_seconds;
};

struct coverage_row {
    enum coverage_state state;
    const struct coverage_place *place;             /* NULL of an extra */
    const struct coverage_certificate *certificate; /* NULL of a missing one */
};

/* Borrows from the question. */
struct coverage {
    /* One for each place, in their order, but for those that nobody misses; then the extras, in order of profile and
     * holder. */
    struct coverage_row *rows;
    size_t count;
};
void coverage_cleanup(struct coverage *coverage);

/* ERR_NOMEM. */
MUST_USE enum err coverage_match(const struct coverage_question *question, struct coverage *ret_coverage,
                                 struct fault *f);

enum { RESIDUAL_TEXT_SIZE = 32 };
/* The largest unit of which there is a whole one, as kubeadm shows it: "9y", "364d", "23h", "7m", "12s"; "expired". */
void residual_text(int64_t seconds, char ret_text[RESIDUAL_TEXT_SIZE]);

#endif
