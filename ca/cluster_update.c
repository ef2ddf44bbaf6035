#include "ca/cluster_update.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ca/clusters.h"

enum { EVENT_CHANGES_MAX = 32 << 10 }; /* bytes of them in one leaf; there are thousands of nodes */

void cluster_update_cleanup(struct cluster_update *update)
{
    cluster_release(&update->after);
    cluster_diff_cleanup(&update->diff);
}

/* ---- the event ---- */

static void member_sha256(struct bytes *event, const char *name, const struct bytes *document)
{
    uint8_t hash[SHA256_SIZE];
    crypto_hash_sha256(hash, document->data, document->size);
    member_hex(event, name, SPAN_OF(hash));
}

/* As many as fit; the hash of the document stands for all of them. */
static void event_changes(struct bytes *event, const json_t *changes)
{
    size_t i = 0, begin = event->size;
    member_begin(event, "changes");
    bytes_append_text(event, "[");
    for (; i < json_array_size(changes) && event->size - begin < EVENT_CHANGES_MAX; i++) {
        char *text = json_dumps(json_array_get(changes, i), JSON_COMPACT);
        event->failed |= !text;
        if (text && strlen(text) < EVENT_CHANGES_MAX) {
            element_begin(event);
            bytes_append_text(event, text);
        }
        free(text);
    }
    bytes_append_text(event, "]");
    if (i < json_array_size(changes))
        member_integer(event, "changes_omitted", (int64_t)(json_array_size(changes) - i));
}

static void update_event(struct bytes *event, const char *actor, const struct cluster *before,
                         const struct cluster_update *update)
{
    event_begin(event, "cluster.updated", actor);
    member_string(event, "cluster", before->name);
    member_sha256(event, "before_sha256", &before->document);
    member_sha256(event, "document_sha256", &update->after->document);
    event_changes(event, update->diff.changes);
}

/* ---- the rows ---- */

static enum err document_put(struct ca *ca, const struct cluster *after, struct change *change, struct fault *f)
{
    AUTO(bytes) key = {0}, expected = {0}, row = {0}, changed = {0};
    AUTO(cluster_record) record = {0};
    uint64_t revision = 0;
    key_cluster(after->name, &key);
    key_cluster(after->name, &expected);
    TRY(bytes_check(&key, f));
    TRY(store_get(ca->store, bytes_span(&key), &row, &revision, f));
    TRY(cluster_record_unpack(bytes_span(&row), &record, f));
    bytes_free(&record.document);
    record.document = (struct bytes){0};
    TRY(bytes_copy(bytes_span(&after->document), &record.document, f));
    cluster_record_pack(&record, &changed);
    change_expect(change, &expected, revision);
    change_put(change, &key, &changed);
    return OK;
}

static void update_put(const struct cluster *before, int64_t now, struct change *change)
{
    AUTO(bytes) key = {0}, row = {0};
    key_cluster_update(before->name, &key);
    cluster_update_pack(now, &row);
    cluster_expect(before, change);
    change_put(change, &key, &row);
}

/* Under the lock, so `before` stays what is found here. */
static enum err update_commit(struct ca *ca, const char *actor, const struct cluster *before,
                              const struct cluster_update *update, struct fault *f)
{
    CLEANUP(cluster_release) const struct cluster *present = NULL, *after = NULL;
    TRY(cluster_find(ca, before->name, &present, f));
    if (present != before)
        return fault_set(f, CODE_CONFLICT, "cluster \"%s\" was changed meanwhile by another request; look at it again",
                         before->name);
    struct moment now;
    TRY(clock_require(ca->clock, &now, f));
    TRY(restore_require(ca->restore, f));
    AUTO(change) change = {0};
    TRY(document_put(ca, update->after, &change, f));
    update_put(before, now.seconds, &change);
    update_event(&change.event, actor, before, update);
    TRY(ledger_commit(ca->ledger, &change, f));
    after = cluster_reference(update->after);
    return clusters_replace(ca, TAKE(after), f);
}

enum err cluster_update(struct ca *ca, const struct caller *caller, const struct cluster *before,
                        const struct document *document, bool dry_run, struct cluster_update *ret_update,
                        struct fault *f)
{
    char actor[DNS_NAME_MAX + 32];
    AUTO(cluster_update) update = {0};
    caller_text(caller, actor, sizeof actor);
    TRY(cluster_new(document, &update.after, f));
    TRY(cluster_diff(before, update.after, &update.diff, f));
    update.updated = !dry_run && !span_equal(bytes_span(&before->document), bytes_span(&update.after->document));
    if (update.updated) {
        clusters_lock(ca);
        enum err err = update_commit(ca, actor, before, &update, f);
        clusters_unlock(ca);
        TRY(err);
    }
    *ret_update = update;
    update = (struct cluster_update){0};
    return OK;
}
