#include "ca/renewal.h"

#include <string.h>

#include "ca/base/encode.h"

enum { HOUR_SECONDS = 3600 };

static const char pointer[] = "/replaces";

/* What the judgement is about. */
struct matter {
    const struct place *place;
    const struct certificate_record *predecessor;
    const struct lineage_record *lineage;
    const uint8_t *spki_sha256; /* of the key that is to be certified */
    int64_t now;
    struct fault *f;
};

/* ERR_ABSENT also for another node's. */
static enum err predecessor_get(struct ca *ca, const struct place *place, const uint8_t serial[SERIAL_SIZE],
                                struct certificate_record *ret_record, struct fault *f)
{
    AUTO(certificate_record) record = {0};
    TRY(certificate_get(ca, serial, &record, f));
    if (strcmp(record.cluster, place->cluster) != 0 || strcmp(record.node, place->node) != 0)
        return fault_set(f, CODE_NOT_FOUND, "of another node");
    *ret_record = record;
    record = (struct certificate_record){0};
    return OK;
}

static void token_reason(const struct matter *matter, const char *what)
{
    fault_reason(matter->f, pointer, "%s; have a new token made: `ensign token create --cluster %.64s --node %.100s`",
                 what, matter->place->cluster, matter->place->node);
}

static void state_judge(const struct matter *matter)
{
    const struct certificate_record *record = matter->predecessor;
    const char *state = certificate_record_state(record, matter->now);
    char what[64];
    snprintf(what, sizeof what, "this certificate is %s", state);
    if (strcmp(state, "valid") != 0)
        token_reason(matter, what);
    if (memcmp(record->spki_sha256, matter->spki_sha256, SHA256_SIZE) == 0)
        fault_reason(matter->f, "/csr/publicKey", "this public key is the one of what it replaces: make a new key");
}

static void lineage_judge(const struct matter *matter)
{
    const struct lineage_record *lineage = matter->lineage;
    char serial[SERIAL_TEXT_SIZE];
    hex_text(SPAN_OF(lineage->current), serial, sizeof serial);
    if (lineage->blocked_at)
        token_reason(matter, "nothing of this place is renewed since a certificate of it was revoked");
    if (memcmp(matter->predecessor->serial, lineage->current, SERIAL_SIZE) != 0)
        fault_reason(matter->f, pointer, "this certificate is superseded by %s%s", serial,
                     lineage->installed_at ? ", which is installed" : "");
}

/* Whether the lineage's current certificate is the predecessor's successor, by this key and not installed yet. */
static enum err again_find(struct ca *ca, const struct matter *matter, bool *ret_again, struct fault *f)
{
    const struct lineage_record *lineage = matter->lineage;
    AUTO(certificate_record) current = {0};
    *ret_again = false;
    if (lineage->installed_at || lineage->blocked_at ||
        memcmp(matter->predecessor->serial, lineage->previous, SERIAL_SIZE) != 0)
        return OK;
    TRY(certificate_get(ca, lineage->current, &current, f));
    *ret_again = memcmp(current.spki_sha256, matter->spki_sha256, SHA256_SIZE) == 0;
    return OK;
}

/* The predecessor is the node's, and of the profile. */
static enum err place_judge(struct ca *ca, struct matter *matter, struct renewal *ret_renewal, struct fault *f)
{
    TRY(lineage_get(ca, matter->place, &ret_renewal->lineage, &ret_renewal->revision, f));
    matter->lineage = &ret_renewal->lineage;
    TRY(again_find(ca, matter, &ret_renewal->again, f));
    if (ret_renewal->again)
        return OK;
    state_judge(matter);
    lineage_judge(matter);
    return OK;
}

enum err renewal_judge(struct ca *ca, const struct place *place, const uint8_t replaces[SERIAL_SIZE],
                       const uint8_t spki_sha256[SHA256_SIZE], int64_t now, struct renewal *ret_renewal,
                       struct fault *f)
{
    AUTO(certificate_record) predecessor = {0};
    struct matter matter = {place, &predecessor, NULL, spki_sha256, now, f};
    struct fault why = {0};
    *ret_renewal = (struct renewal){0};
    enum err err = predecessor_get(ca, place, replaces, &predecessor, &why);
    if (err == ERR_ABSENT) {
        fault_reason(f, pointer, "no certificate with this serial was issued to node \"%.200s\"", place->node);
        return OK;
    }
    if (err == OK && strcmp(predecessor.profile, place->profile) != 0) {
        fault_reason(f, pointer, "this certificate is of profile \"%s\"", predecessor.profile);
        return OK;
    }
    if (err == OK)
        err = place_judge(ca, &matter, ret_renewal, &why);
    if (err != OK)
        *f = why;
    return err;
}

/* ---- how often ---- */

struct recent {
    unsigned count, limit;
    int64_t first_at; /* when the first of them was issued */
};

static bool recent_visit(void *context, const struct certificate_record *record)
{
    struct recent *recent = context;
    if (recent->count == 0)
        recent->first_at = record->issued_at;
    return ++recent->count < recent->limit;
}

/* Counts the certificates of this profile that the node got in the last hour, up to the limit. */
static enum err recent_count(struct ca *ca, const char *cluster, const char *node, const char *profile, int64_t now,
                             struct recent *recent, struct fault *f)
{
    uint8_t behind[SERIAL_SIZE]; /* serials are in order of time */
    serial_make(now - HOUR_SECONDS, 0, behind);
    const struct certificate_query query = {
        .cluster = cluster, .node = node, .profile = profile, .now = now, .cursor = SPAN_OF(behind)};
    return index_each(ca->index, &query, recent_visit, recent, f);
}

static enum err half_over(struct ca *ca, const uint8_t serial[SERIAL_SIZE], int64_t now, bool *ret_over,
                          struct fault *f)
{
    AUTO(certificate_record) record = {0};
    TRY(certificate_get(ca, serial, &record, f));
    *ret_over = now - record.issued_at >= record.not_after - now;
    return OK;
}

/* Whether the service itself wants it renewed (ca/work.h). */
static enum err wanted_anyway(struct ca *ca, const struct cluster *cluster, const char *node, const char *profile,
                              bool *ret_wanted, struct fault *f)
{
    AUTO(work) work = {0};
    TRY(work_make(ca, cluster, node, &work, f));
    *ret_wanted = false;
    for (size_t i = 0; i < work.count; i++)
        if (strcmp(work.items[i].item->profile->name, profile) == 0)
            *ret_wanted = work.items[i].reason != NULL;
    return OK;
}

enum err renewal_admit(struct ca *ca, const struct cluster *cluster, const char *node, const char *profile,
                       const uint8_t current[SERIAL_SIZE], int64_t now, struct fault *f)
{
    struct recent recent = {.limit = ca->renewals_per_hour, .first_at = now};
    bool free = recent.limit == 0;
    if (!free)
        TRY(half_over(ca, current, now, &free, f));
    if (!free)
        TRY(recent_count(ca, cluster->name, node, profile, now, &recent, f));
    if (free || recent.count < recent.limit)
        return OK;
    TRY(wanted_anyway(ca, cluster, node, profile, &free, f));
    if (free)
        return OK;
    int64_t wait = recent.first_at + HOUR_SECONDS - now;
    f->retry_after_seconds = wait > 0 ? (int)wait : 1;
    return fault_set(f, CODE_RATE_LIMITED,
                     "node \"%.200s\" got %u certificates of profile \"%s\" in an hour, and this one is not due", node,
                     recent.count, profile);
}
