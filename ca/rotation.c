#include "ca/rotation.h"

#include <stdlib.h>
#include <string.h>

#include "ca/base/encode.h"
#include "ca/holders.h"
#include "ca/news.h"
#include "ca/work.h"

/* The marks of a rotation are in as many rows as a change has room for beside the rotation, the kept answer and what
 * the ledger adds. */
enum { PARTS_MAX = CHANGE_WRITES_MAX - 4, PART_BYTES_MAX = 256 << 10 };

const char *const mark_state_words[] = {"marked", "renewed", "waiting-restart", "failed", "installed", "served", NULL};

/* ---- which places ---- */

struct choice {
    struct ca *ca;
    const struct cluster *cluster;
    const struct rotation_selector *selector;
    int64_t now;
    struct bytes parts[PARTS_MAX];
    size_t parts_count;
    uint32_t places;
};

static void choice_cleanup(struct choice *choice)
{
    for (size_t i = 0; i < choice->parts_count; i++)
        bytes_free(&choice->parts[i]);
}

static enum err choice_add(struct choice *choice, const struct place *place, const uint8_t serial[SERIAL_SIZE],
                           struct fault *f)
{
    struct mark mark = {0};
    snprintf(mark.node, sizeof mark.node, "%s", place->node);
    snprintf(mark.profile, sizeof mark.profile, "%s", place->profile);
    memcpy(mark.serial, serial, SERIAL_SIZE);
    bool full =
        choice->parts_count == 0 || choice->parts[choice->parts_count - 1].size + sizeof mark + 16 > PART_BYTES_MAX;
    if (full && choice->parts_count == PARTS_MAX)
        return fault_set(f, CODE_TOO_LARGE, "one rotation takes no more than %u places here: choose fewer",
                         choice->places);
    choice->parts_count += full;
    mark_pack(&mark, &choice->parts[choice->parts_count - 1]);
    choice->places++;
    return OK;
}

/* Whether the certificate that is there is one of those that the selector means. */
static enum err certificate_chosen(const struct choice *choice, const struct catalogue_item *item,
                                   const uint8_t serial[SERIAL_SIZE], bool *ret_chosen, struct fault *f)
{
    const struct rotation_selector *selector = choice->selector;
    AUTO(certificate_record) record = {0};
    *ret_chosen = !selector->has_serial || memcmp(selector->serial, serial, SERIAL_SIZE) == 0;
    if (!*ret_chosen || (!selector->expiring_within_seconds && !selector->changed))
        return OK;
    TRY(certificate_get(choice->ca, serial, &record, f));
    if (selector->expiring_within_seconds)
        *ret_chosen = record.not_after - choice->now < selector->expiring_within_seconds;
    if (*ret_chosen && selector->changed) {
        enum difference difference = DIFFERENCE_NONE;
        char detail[DIFFERENCE_TEXT_SIZE];
        TRY(work_difference(choice->ca, choice->cluster, item, &record, &difference, detail, f));
        *ret_chosen = difference != DIFFERENCE_NONE;
    }
    return OK;
}

/* Nothing was issued for a place: there is nothing to replace. */
static enum err item_choose(struct choice *choice, const struct catalogue_item *item, struct fault *f)
{
    struct place place = work_place(choice->cluster, item);
    struct lineage_record lineage;
    uint64_t revision;
    bool chosen = false;
    enum err err = lineage_get(choice->ca, &place, &lineage, &revision, f);
    if (err == ERR_ABSENT) {
        fault_clear(f);
        return OK;
    }
    TRY(err);
    TRY(certificate_chosen(choice, item, lineage.current, &chosen, f));
    return chosen ? choice_add(choice, &place, lineage.current, f) : OK;
}

static bool item_meant(const struct choice *choice, const struct catalogue_item *item, size_t node)
{
    const struct rotation_selector *selector = choice->selector;
    if (!item->profile || (selector->profile[0] && strcmp(selector->profile, item->profile->name) != 0))
        return false;
    /* What is shared is one place, which belongs to no node. */
    const struct node_entry *first = cluster_first_control_plane(choice->cluster);
    return !item->shared || (!selector->node[0] && first == &choice->cluster->nodes[node]);
}

/* A node at a time: the catalogue of all would be large. */
static enum err node_choose(struct choice *choice, size_t node, struct fault *f)
{
    AUTO(catalogue) catalogue = {0};
    TRY(catalogue_make_part(choice->cluster, &choice->ca->profiles, node, 1, &catalogue, f));
    for (size_t i = 0; i < catalogue.count; i++)
        if (item_meant(choice, &catalogue.items[i], node))
            TRY(item_choose(choice, &catalogue.items[i], f));
    return OK;
}

static enum err choose(struct choice *choice, struct fault *f)
{
    const struct rotation_selector *selector = choice->selector;
    const struct cluster *cluster = choice->cluster;
    const struct node_entry *node = cluster_node(cluster, selector->node);
    if (selector->node[0] && !node)
        fault_reason(f, "/node", "cluster \"%s\" has no node \"%s\"", cluster->name, selector->node);
    if (selector->profile[0] && !profiles_find(&choice->ca->profiles, selector->profile))
        fault_reason(f, "/profile", "there is no profile \"%s\"", selector->profile);
    TRY(fault_if_reasons(f, CODE_INVALID, "this rotation cannot be made"));
    if (node)
        return node_choose(choice, (size_t)(node - cluster->nodes), f);
    for (size_t i = 0; i < cluster->nodes_count; i++)
        TRY(node_choose(choice, i, f));
    return OK;
}

/* ---- making ---- */

static void rotation_event(const struct rotation *rotation, struct bytes *event)
{
    const struct rotation_selector *selector = &rotation->selector;
    event_begin(event, "rotation.created", rotation->created_by);
    member_string(event, "cluster", rotation->cluster);
    member_hex(event, "rotation", SPAN_OF(rotation->id));
    member_string(event, "reason", rotation->reason);
    member_integer(event, "places", rotation->places);
    member_string_or_null(event, "node", selector->node);
    member_string_or_null(event, "profile", selector->profile);
    if (selector->has_serial)
        member_hex(event, "serial", SPAN_OF(selector->serial));
    member_integer(event, "expiring_within_seconds", selector->expiring_within_seconds);
    member_string(event, "changed", selector->changed ? "only" : "any");
}

static void rotation_put(const struct rotation *rotation, struct choice *choice, struct change *change)
{
    AUTO(bytes) expected = {0};
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    key_rotation(rotation->cluster, rotation->id, &expected);
    key_rotation(rotation->cluster, rotation->id, &key);
    rotation_pack(rotation, &row);
    change_expect(change, &expected, 0);
    change_put(change, &key, &row);
    for (size_t i = 0; i < choice->parts_count; i++) {
        AUTO(bytes) part = {0};
        struct bytes copy = {0};
        key_marks(rotation->cluster, rotation->id, (uint16_t)i, &part);
        bytes_append_span(&copy, bytes_span(&choice->parts[i])); /* the marks are needed after the commit */
        change_put(change, &part, &copy);
    }
    rotation_event(rotation, &change->event);
}

struct announcement {
    struct ca *ca;
    const struct rotation *rotation;
    struct fault *f;
    enum err err;
};

static bool announce(void *context, const struct mark *mark)
{
    struct announcement *announcement = context;
    const struct rotation *rotation = announcement->rotation;
    announcement->err =
        rotations_add(announcement->ca->rotations, rotation->cluster, rotation->id, mark, announcement->f);
    return announcement->err == OK;
}

static enum err rotation_commit(struct choice *choice, const struct rotation *rotation, struct idempotency *idempotency,
                                struct fault *f)
{
    AUTO(change) change = {0};
    struct announcement announcement = {choice->ca, rotation, f, OK};
    rotation_put(rotation, choice, &change);
    idempotency_attach(idempotency, rotation, &change);
    TRY(ledger_commit(choice->ca->ledger, &change, f));
    for (size_t i = 0; i < choice->parts_count && announcement.err == OK; i++)
        TRY(marks_unpack(bytes_span(&choice->parts[i]), announce, &announcement, f));
    news_ring(choice->ca->news, rotation->cluster, NULL);
    return announcement.err;
}

/* Close to time order, as serials are. */
static void id_make(const struct moment *now, uint8_t ret_id[ROTATION_ID_SIZE])
{
    uint8_t serial[SERIAL_SIZE];
    serial_make(now->seconds, now->nanoseconds, serial);
    memcpy(ret_id, serial, ROTATION_ID_SIZE);
}

enum err rotation_create(struct ca *ca, const struct caller *caller, const struct cluster *cluster,
                         const struct rotation_request *request, struct rotation *ret_rotation, struct fault *f)
{
    struct moment now;
    TRY(clock_require(ca->clock, &now, f));
    TRY(restore_require(ca->restore, f));
    AUTO(choice) choice = {.ca = ca, .cluster = cluster, .selector = &request->selector, .now = now.now};
    struct rotation rotation = {.created_at = now.seconds, .selector = request->selector};
    TRY(choose(&choice, f));
    if (request->selector.has_serial && choice.places == 0)
        fault_reason(f, "/serial", "it is not what counts at a place of cluster \"%s\" now", cluster->name);
    TRY(fault_if_reasons(f, CODE_INVALID, "this rotation cannot be made"));
    id_make(&now, rotation.id);
    rotation.places = choice.places;
    snprintf(rotation.cluster, sizeof rotation.cluster, "%s", cluster->name);
    snprintf(rotation.reason, sizeof rotation.reason, "%s", request->reason);
    caller_text(caller, rotation.created_by, sizeof rotation.created_by);
    if (choice.places > 0)
        TRY(rotation_commit(&choice, &rotation, request->idempotency, f));
    *ret_rotation = rotation;
    return OK;
}

/* ---- reading ---- */

enum err rotation_get(struct ca *ca, const char *cluster, const uint8_t id[ROTATION_ID_SIZE],
                      struct rotation *ret_rotation, struct fault *f)
{
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    key_rotation(cluster, id, &key);
    TRY(bytes_check(&key, f));
    enum err err = store_get(ca->store, bytes_span(&key), &row, NULL, f);
    if (err == ERR_ABSENT)
        return fault_set(f, CODE_NOT_FOUND, "cluster \"%.64s\" has no rotation with this id", cluster);
    TRY(err);
    return rotation_unpack(bytes_span(&row), ret_rotation, f);
}

struct each {
    bool (*visit)(void *context, const struct rotation *rotation);
    void *context;
    struct fault *f;
    enum err err;
};

static bool each_row(void *context, struct span key, struct span row)
{
    struct each *each = context;
    struct rotation_key parsed;
    struct rotation rotation;
    if (!rotation_key_parse(key, &parsed) || parsed.marks)
        return true;
    each->err = rotation_unpack(row, &rotation, each->f);
    return each->err == OK && each->visit(each->context, &rotation);
}

enum err rotation_each(struct ca *ca, const char *cluster, const uint8_t before[ROTATION_ID_SIZE],
                       bool (*visit)(void *context, const struct rotation *rotation), void *context, struct fault *f)
{
    static const uint8_t zeros[ROTATION_ID_SIZE];
    uint8_t last[ROTATION_ID_SIZE + 1];
    AUTO(bytes) from = {0};
    AUTO(bytes) to = {0};
    struct each each = {visit, context, f, OK};
    memset(last, 0xff, sizeof last);
    key_rotation(cluster, zeros, &from);
    key_rotation(cluster, before ? before : last, &to);
    TRY(bytes_check(&from, f));
    TRY(bytes_check(&to, f));
    TRY(store_scan(ca->store, bytes_span(&from), bytes_span(&to), true, each_row, &each, f));
    return each.err;
}

/* ---- progress ---- */

static const char token_remedy[] = "`ensign token create` and `ensign enroll` begin it anew";

static void progress_set(struct mark_progress *progress, enum mark_state state, const char *why, const char *remedy)
{
    progress->state = state;
    snprintf(progress->detail, sizeof progress->detail, "%s%s%s", why, why[0] && remedy[0] ? ": " : "", remedy);
}

static void successor_judge(const struct lineage_record *lineage, const struct deployed_certificate *report,
                            struct mark_progress *progress)
{
    static const enum mark_state states[] = {
        [DEPLOYED_INSTALLED] = MARK_INSTALLED,
        [DEPLOYED_SERVED] = MARK_SERVED,
        [DEPLOYED_WAITING_RESTART] = MARK_WAITING_RESTART,
        [DEPLOYED_NOT_SERVED] = MARK_WAITING_RESTART,
        [DEPLOYED_FAILED] = MARK_FAILED,
    };
    memcpy(progress->successor, lineage->current, SERIAL_SIZE);
    if (report && memcmp(report->serial, lineage->current, SERIAL_SIZE) == 0)
        progress_set(progress, states[report->state], report->detail, "");
    else
        progress_set(progress, lineage->installed_at ? MARK_INSTALLED : MARK_RENEWED, "", "");
}

void mark_judge(const struct mark *mark, const struct lineage_record *lineage,
                const struct deployed_certificate *report, const char *state, struct mark_progress *ret_progress)
{
    struct mark_progress progress = {.state = MARK_MARKED};
    if (!lineage)
        progress_set(&progress, MARK_FAILED, "the inventory has no such place any more", "");
    else if (lineage->blocked_at)
        progress_set(&progress, MARK_FAILED, "revoked, and so not renewed", token_remedy);
    else if (memcmp(lineage->current, mark->serial, SERIAL_SIZE) != 0)
        successor_judge(lineage, report, &progress);
    else if (strcmp(state, "valid") != 0)
        progress_set(&progress, MARK_FAILED, state, token_remedy);
    else if (report && report->state == DEPLOYED_FAILED && memcmp(report->serial, mark->serial, SERIAL_SIZE) == 0)
        progress_set(&progress, MARK_FAILED, report->detail, "");
    *ret_progress = progress;
}

void mark_join(struct mark_progress *all, bool first, const char *node, const struct mark_progress *one)
{
    static const int how_far[] = {
        [MARK_FAILED] = 0,          [MARK_MARKED] = 1,    [MARK_RENEWED] = 2,
        [MARK_WAITING_RESTART] = 3, [MARK_INSTALLED] = 4, [MARK_SERVED] = 5,
    };
    const char *why = one->detail[0] ? one->detail : one->state == MARK_RENEWED ? "it has not reported it" : "";
    if (!first && how_far[one->state] >= how_far[all->state])
        return;
    struct mark_progress joined = *one;
    snprintf(joined.detail, sizeof joined.detail, "%.100s%s%.150s", why[0] ? node : "", why[0] ? ": " : "", why);
    *all = joined;
}

/* Some marks, as their rows are not read while something else is. */
struct reading {
    struct mark *marks;
    uint32_t skip, count, wanted;
    struct fault *f;
    enum err err;
};

static void reading_cleanup(struct reading *reading)
{
    free(reading->marks);
}

static bool reading_mark(void *context, const struct mark *mark)
{
    struct reading *reading = context;
    if (reading->skip > 0)
        reading->skip--;
    else
        reading->marks[reading->count++] = *mark;
    return reading->count < reading->wanted;
}

static bool reading_row(void *context, struct span key, struct span row)
{
    (void)key;
    struct reading *reading = context;
    reading->err = marks_unpack(row, reading_mark, reading, reading->f);
    return reading->err == OK && reading->count < reading->wanted;
}

static enum err marks_read(struct ca *ca, const struct rotation *rotation, struct reading *reading, struct fault *f)
{
    AUTO(bytes) from = {0};
    AUTO(bytes) to = {0};
    reading->marks = calloc(reading->wanted + 1, sizeof *reading->marks);
    if (!reading->marks)
        return fault_no_memory(f);
    key_marks(rotation->cluster, rotation->id, 0, &from);
    key_marks(rotation->cluster, rotation->id, UINT16_MAX, &to);
    TRY(bytes_check(&from, f));
    TRY(bytes_check(&to, f));
    if (reading->wanted > 0)
        TRY(store_scan(ca->store, bytes_span(&from), bytes_span(&to), false, reading_row, reading, f));
    return reading->err;
}

/* Whether today's inventory has the place. */
static bool place_exists(struct ca *ca, const struct cluster *cluster, const struct mark *mark)
{
    const struct profile *profile = profiles_find(&ca->profiles, mark->profile);
    const struct node_entry *node =
        mark->node[0] ? cluster_node(cluster, mark->node) : cluster_first_control_plane(cluster);
    return profile && node && (catalogue_expects(cluster, node, profile) || !mark->node[0]);
}

/* What its node said, which its marks follow each other for. NULL: nothing. */
static enum err report_read(struct ca *ca, const struct mark *mark, struct deployed_record *record,
                            const struct deployed_certificate **ret_report, const char *cluster, struct fault *f)
{
    uint64_t revision;
    *ret_report = NULL;
    if (strcmp(record->node, mark->node) != 0) {
        enum err err = deployed_get(ca, cluster, mark->node, record, &revision, f);
        if (err != OK && err != ERR_ABSENT)
            return err;
        if (err == ERR_ABSENT) {
            fault_clear(f);
            record->certificates_count = 0;
            snprintf(record->node, sizeof record->node, "%s", mark->node);
        }
    }
    *ret_report = deployed_find(record, mark->profile);
    return OK;
}

/* What is known of a mark, while its rows are read. */
struct judgement {
    const struct mark *mark;
    const struct lineage_record *lineage;
    const char *state; /* of the marked certificate */
    struct mark_progress progress;
    size_t holders; /* judged */
};

static bool judgement_visit(void *context, const struct holder *holder)
{
    struct judgement *judgement = context;
    struct mark_progress one;
    mark_judge(judgement->mark, judgement->lineage, holder->report, judgement->state, &one);
    mark_join(&judgement->progress, judgement->holders++ == 0, holder->node, &one);
    return true;
}

/* Of one that control planes share: as far as the last of them. What is wrong with the place itself is of none. */
static enum err judge_shared(struct ca *ca, const struct cluster *cluster, struct judgement *judgement, struct fault *f)
{
    const struct lineage_record *lineage = judgement->lineage;
    mark_judge(judgement->mark, lineage, NULL, judgement->state, &judgement->progress);
    bool replaced = memcmp(lineage->current, judgement->mark->serial, SERIAL_SIZE) != 0;
    if ((replaced && lineage->installed_at) || judgement->progress.state == MARK_FAILED)
        return OK;
    return holders_each(ca, cluster, judgement->mark->profile, judgement_visit, judgement, f);
}

static enum err mark_progress(struct ca *ca, const struct cluster *cluster, const struct mark *mark,
                              struct deployed_record *record, struct mark_progress *ret_progress, struct fault *f)
{
    const struct place place = {cluster->name, mark->node, mark->profile};
    const struct deployed_certificate *report = NULL;
    struct lineage_record lineage;
    uint64_t revision;
    AUTO(certificate_record) certificate = {0};
    if (!place_exists(ca, cluster, mark)) {
        mark_judge(mark, NULL, NULL, "", ret_progress);
        return OK;
    }
    TRY(lineage_get(ca, &place, &lineage, &revision, f));
    TRY(certificate_get(ca, mark->serial, &certificate, f));
    struct judgement judgement = {mark, &lineage, certificate_record_state(&certificate, ca_now(ca)), {0}, 0};
    if (mark->node[0]) {
        TRY(report_read(ca, mark, record, &report, cluster->name, f));
        mark_judge(mark, &lineage, report, judgement.state, &judgement.progress);
    } else {
        TRY(judge_shared(ca, cluster, &judgement, f));
    }
    *ret_progress = judgement.progress;
    return OK;
}

enum err rotation_progress(struct ca *ca, const struct cluster *cluster, const struct rotation *rotation,
                           uint32_t first, uint32_t count, progress_visit *visit, void *context, struct fault *f)
{
    AUTO(reading) reading = {.skip = first, .wanted = count, .f = f};
    struct deployed_record record = {0};
    TRY(marks_read(ca, rotation, &reading, f));
    for (uint32_t i = 0; i < reading.count; i++) {
        struct mark_progress progress;
        TRY(mark_progress(ca, cluster, &reading.marks[i], &record, &progress, f));
        if (!visit(context, &reading.marks[i], &progress))
            break;
    }
    return OK;
}
