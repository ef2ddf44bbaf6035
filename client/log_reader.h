/* log_reader.h: reads the service's audit log from its beginning and recomputes the tree over it. It believes no number
 * of the service: what it has is the leaves, and what follows from them. */
#ifndef ENSIGN_CLIENT_LOG_READER_H
#define ENSIGN_CLIENT_LOG_READER_H

#include "ca/log/checkpoint.h"
#include "client/api.h"

struct log_issue {
    uint8_t certificate_sha256[SHA256_SIZE];
    uint64_t sequence;
    bool listed; /* for log_lists() */
};

struct log_reader {
    struct merkle_frontier frontier;
    struct log_issue *issues; /* of the leaves that issue a certificate, in order of the log until log_lists() */
    size_t issues_count, issues_capacity;
};

/* Takes the next leaf, which must be well-formed and have the next sequence number. */
MUST_USE enum err log_leaf_add(struct log_reader *reader, struct span leaf, struct fault *f);

/* Reads on until the checkpoint's size and compares the roots. `earlier` is a checkpoint seen before, or NULL: the log
 * must pass through it. CODE_UNTRUSTED where the log is not what the checkpoints promise. */
MUST_USE enum err log_follow(struct log_reader *reader, struct api *api, const struct checkpoint *checkpoint,
                             const struct checkpoint *earlier, struct fault *f);

/* The root so far must be the checkpoint's, of the same size. */
MUST_USE enum err log_compare(const struct log_reader *reader, const struct checkpoint *checkpoint, struct fault *f);

/* Nothing is hidden: every certificate of the list (JSON objects with "sha256") is issued by a leaf, and every one that
 * a leaf before `settled` issues is in the list. Leaves behind it may be younger than the list. Sorts the issues.
 * CODE_UNTRUSTED with a reason for each hash. */
MUST_USE enum err log_lists(struct log_reader *reader, uint64_t settled, const json_t *items, struct fault *f);

void log_reader_cleanup(struct log_reader *reader);

#endif
