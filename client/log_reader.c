#include "client/log_reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ca/base/encode.h"
#include "client/text.h"

enum { ENTRIES_PER_PAGE = 500 };

void log_reader_cleanup(struct log_reader *reader)
{
    free(reader->issues);
}

/* ---- leaves ---- */

static enum err issue_add(struct log_reader *reader, const char *hash, struct fault *f)
{
    struct log_issue issue = {.sequence = reader->frontier.size};
    TRY(hex_decode(hash, issue.certificate_sha256, sizeof issue.certificate_sha256, f));
    if (reader->issues_count == reader->issues_capacity) {
        size_t capacity = reader->issues_capacity ? reader->issues_capacity * 2 : 256;
        struct log_issue *issues = reallocarray(reader->issues, capacity, sizeof *issues);
        if (!issues)
            return fault_no_memory(f);
        reader->issues = issues;
        reader->issues_capacity = capacity;
    }
    reader->issues[reader->issues_count++] = issue;
    return OK;
}

enum err log_leaf_add(struct log_reader *reader, struct span leaf, struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    TRY(document_parse_json(leaf, &document, f));
    struct node root = document_root(document, f);
    struct node event_node = node_get(&root, "event"), sequence_node = node_get(&root, "sequence"),
                hash_node = node_get(&root, "certificate_sha256");
    const char *event = "", *hash = NULL;
    int64_t sequence = -1;
    node_string(&event_node, NODE_REQUIRED, &event);
    node_integer(&sequence_node, NODE_REQUIRED, 0, INT64_MAX, &sequence);
    bool issue = strcmp(event, "certificate.issued") == 0;
    node_string(&hash_node, issue ? NODE_REQUIRED : NODE_OPTIONAL, &hash);
    TRY(answer_finish("an entry of the log", f));
    if ((uint64_t)sequence != reader->frontier.size)
        return fault_set(f, CODE_UNTRUSTED, "entry %" PRIu64 " of the log calls itself %" PRId64, reader->frontier.size,
                         sequence);
    if (issue)
        TRY(issue_add(reader, hash, f));
    struct merkle_hash leaf_hash;
    merkle_leaf_hash(leaf, &leaf_hash);
    merkle_append(&reader->frontier, &leaf_hash);
    return OK;
}

enum err log_compare(const struct log_reader *reader, const struct checkpoint *checkpoint, struct fault *f)
{
    struct merkle_hash root;
    merkle_root(&reader->frontier, &root);
    if (reader->frontier.size == checkpoint->size && memcmp(&root, &checkpoint->root, sizeof root) == 0)
        return OK;
    return fault_set(f, CODE_UNTRUSTED,
                     "the audit log was changed: its first %" PRIu64
                     " entries do not give the root that was signed for them",
                     checkpoint->size);
}

/* ---- reading on ---- */

static enum err entry_add(struct log_reader *reader, const struct node *item, const struct checkpoint *earlier,
                          struct fault *f)
{
    struct node leaf_node = node_get(item, "leaf");
    const char *text = "";
    node_string(&leaf_node, NODE_REQUIRED, &text);
    TRY(answer_finish("the entries of the log", f));
    AUTO(bytes) leaf = {0};
    TRY(base64_decode(span_text(text), &leaf, f));
    TRY(log_leaf_add(reader, bytes_span(&leaf), f));
    return earlier && reader->frontier.size == earlier->size ? log_compare(reader, earlier, f) : OK;
}

static enum err page_read(struct log_reader *reader, struct api *api, uint64_t end, const struct checkpoint *earlier,
                          struct fault *f)
{
    uint64_t left = end - reader->frontier.size, limit = left < ENTRIES_PER_PAGE ? left : ENTRIES_PER_PAGE;
    char path[96];
    snprintf(path, sizeof path, "/v1/audit/entries?start=%" PRIu64 "&limit=%" PRIu64, reader->frontier.size, limit);
    CLEANUP(document_auto) struct document *answer = NULL;
    TRY(api_json(api, "GET", path, NULL, &answer, f));
    struct node root = document_root(answer, f), items = node_get(&root, "items");
    size_t count = node_count(&items, NODE_REQUIRED, (size_t)limit);
    TRY(answer_finish("the entries of the log", f));
    if (count == 0)
        return fault_set(f, CODE_UNTRUSTED,
                         "the log ends at entry %" PRIu64 ", before the size that was signed (%" PRIu64 ")",
                         reader->frontier.size, end);
    for (size_t i = 0; i < count; i++) {
        struct node item = node_at(&items, i);
        TRY(entry_add(reader, &item, earlier, f));
    }
    return OK;
}

enum err log_follow(struct log_reader *reader, struct api *api, const struct checkpoint *checkpoint,
                    const struct checkpoint *earlier, struct fault *f)
{
    if (checkpoint->size < reader->frontier.size || (earlier && checkpoint->size < earlier->size))
        return fault_set(f, CODE_UNTRUSTED,
                         "the audit log is older than one that was seen before: it has %" PRIu64
                         " entries now, and had %" PRIu64 "; its end was cut off, or an old copy of the state restored",
                         checkpoint->size, earlier ? earlier->size : reader->frontier.size);
    while (reader->frontier.size < checkpoint->size)
        TRY(page_read(reader, api, checkpoint->size, earlier, f));
    return log_compare(reader, checkpoint, f);
}

/* ---- the list of certificates ---- */

static int issue_order(const void *a, const void *b)
{
    const struct log_issue *first = a, *second = b;
    return memcmp(first->certificate_sha256, second->certificate_sha256, sizeof first->certificate_sha256);
}

static enum err listed_mark(struct log_reader *reader, const json_t *item, struct fault *f)
{
    const char *text = json_string_value(json_object_get(item, "sha256"));
    if (!text)
        return fault_set(f, CODE_UNTRUSTED, "the service lists a certificate without its hash");
    struct log_issue wanted;
    TRY(hex_decode(text, wanted.certificate_sha256, sizeof wanted.certificate_sha256, f));
    struct log_issue *issue =
        reader->issues ? bsearch(&wanted, reader->issues, reader->issues_count, sizeof wanted, issue_order) : NULL;
    if (issue)
        issue->listed = true;
    else
        fault_reason(f, text, "is listed, and no entry of the log issues it");
    return OK;
}

enum err log_lists(struct log_reader *reader, uint64_t settled, const json_t *items, struct fault *f)
{
    if (reader->issues)
        qsort(reader->issues, reader->issues_count, sizeof *reader->issues, issue_order);
    for (size_t i = 0; i < json_array_size(items); i++)
        TRY(listed_mark(reader, json_array_get(items, i), f));
    for (size_t i = 0; i < reader->issues_count; i++) {
        const struct log_issue *issue = &reader->issues[i];
        if (issue->listed || issue->sequence >= settled)
            continue;
        char text[2 * SHA256_SIZE + 1];
        hex_text(SPAN_OF(issue->certificate_sha256), text, sizeof text);
        fault_reason(f, text, "is issued by entry %" PRIu64 " of the log, and is not listed", issue->sequence);
    }
    return fault_if_reasons(f, CODE_UNTRUSTED, "the audit log and the list of certificates do not agree");
}
