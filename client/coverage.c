#include "client/coverage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/difference.h"

const char *const coverage_state_words[] = {"ok",      "expiring", "expired", "differs",
                                            "retired", "missing",  "extra",   NULL};

/* How good a certificate is, ascending. */
enum rank { RANK_EXPIRED, RANK_RETIRED, RANK_DIFFERENT, RANK_VALID };

struct candidate {
    const struct coverage_certificate *certificate;
    enum rank rank;
    bool expected; /* some place asks for its like */
};

struct candidates {
    struct candidate *items; /* in order of profile and holder; none that was revoked */
    size_t count;
};

static void candidates_cleanup(struct candidates *candidates)
{
    free(candidates->items);
}

void coverage_cleanup(struct coverage *coverage)
{
    free(coverage->rows);
}

/* ---- what was issued ---- */

static bool authority_present(const struct coverage_question *question, const char *key_identifier)
{
    for (size_t i = 0; key_identifier && i < question->authorities_count; i++)
        if (strcmp(question->authorities[i], key_identifier) == 0)
            return true;
    return false;
}

static enum rank rank_of(const struct coverage_question *question, const struct coverage_certificate *certificate)
{
    if (certificate->not_after < question->now)
        return RANK_EXPIRED;
    return authority_present(question, certificate->signed_by) ? RANK_VALID : RANK_RETIRED;
}

/* A certificate against a kind of it; holder NULL: anybody's. */
static int kind_compare(const struct coverage_certificate *certificate, const char *profile, const char *holder)
{
    int order = strcmp(certificate->profile, profile);
    return order || !holder ? order : strcmp(certificate->holder, holder);
}

static int candidate_order(const void *a, const void *b)
{
    const struct coverage_certificate *first = ((const struct candidate *)a)->certificate,
                                      *second = ((const struct candidate *)b)->certificate;
    int order = kind_compare(first, second->profile, second->holder);
    return order ? order : (first->sequence > second->sequence) - (first->sequence < second->sequence);
}

static enum err candidates_make(const struct coverage_question *question, struct candidates *ret_candidates,
                                struct fault *f)
{
    AUTO(candidates) candidates = {.items = calloc(question->certificates_count + 1, sizeof(struct candidate))};
    if (!candidates.items)
        return fault_no_memory(f);
    for (size_t i = 0; i < question->certificates_count; i++) {
        const struct coverage_certificate *certificate = &question->certificates[i];
        if (!certificate->revoked)
            candidates.items[candidates.count++] =
                (struct candidate){.certificate = certificate, .rank = rank_of(question, certificate)};
    }
    qsort(candidates.items, candidates.count, sizeof *candidates.items, candidate_order);
    *ret_candidates = candidates;
    candidates = (struct candidates){0};
    return OK;
}

/* The index of the first of this kind, or of where it would be. */
static size_t kind_first(const struct candidates *candidates, const char *profile, const char *holder)
{
    size_t low = 0, high = candidates->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (kind_compare(candidates->items[middle].certificate, profile, holder) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool better(const struct candidate *candidate, const struct candidate *best)
{
    if (!best->certificate || candidate->rank != best->rank)
        return !best->certificate || candidate->rank > best->rank;
    return candidate->certificate->sequence > best->certificate->sequence;
}

/* How good it is in this place. */
static struct candidate candidate_for(const struct coverage_place *place, const struct candidate *candidate)
{
    struct candidate here = *candidate;
    if (here.rank == RANK_VALID && content_differs(place->content, here.certificate->content))
        here.rank = RANK_DIFFERENT;
    return here;
}

/* Without a certificate when there is none. All that are for this place are marked as expected. */
static struct candidate best_for(const struct coverage_place *place, struct candidates *candidates)
{
    const char *holder = place->shared ? NULL : place->holder;
    struct candidate best = {0};
    for (size_t i = kind_first(candidates, place->profile, holder);
         i < candidates->count && kind_compare(candidates->items[i].certificate, place->profile, holder) == 0; i++) {
        candidates->items[i].expected = true;
        const struct candidate here = candidate_for(place, &candidates->items[i]);
        if (better(&here, &best))
            best = here;
    }
    return best;
}

/* ---- rows ---- */

static enum coverage_state state_of(const struct coverage_question *question, const struct candidate *candidate)
{
    if (!candidate->certificate)
        return COVERAGE_MISSING;
    if (candidate->rank == RANK_EXPIRED)
        return COVERAGE_EXPIRED;
    if (candidate->rank == RANK_RETIRED)
        return COVERAGE_RETIRED;
    if (candidate->rank == RANK_DIFFERENT)
        return COVERAGE_DIFFERS;
    const struct coverage_certificate *certificate = candidate->certificate;
    int64_t threshold = question->threshold_seconds;
    if (certificate->warning_seconds > 0 && certificate->warning_seconds < threshold)
        threshold = certificate->warning_seconds;
    return certificate->not_after - question->now < threshold ? COVERAGE_EXPIRING : COVERAGE_OK;
}

static void rows_fill(const struct coverage_question *question, struct candidates *candidates,
                      struct coverage *coverage)
{
    for (size_t i = 0; i < question->places_count; i++) {
        const struct candidate best = best_for(&question->places[i], candidates);
        if (question->places[i].transient && (!best.certificate || best.rank == RANK_EXPIRED))
            continue;
        coverage->rows[coverage->count++] =
            (struct coverage_row){state_of(question, &best), &question->places[i], best.certificate};
    }
    for (size_t i = 0; i < candidates->count; i++)
        if (!candidates->items[i].expected && candidates->items[i].rank != RANK_EXPIRED)
            coverage->rows[coverage->count++] =
                (struct coverage_row){COVERAGE_EXTRA, NULL, candidates->items[i].certificate};
}

enum err coverage_match(const struct coverage_question *question, struct coverage *ret_coverage, struct fault *f)
{
    AUTO(candidates) candidates = {0};
    TRY(candidates_make(question, &candidates, f));
    struct coverage coverage = {.rows =
                                    calloc(question->places_count + candidates.count + 1, sizeof(struct coverage_row))};
    if (!coverage.rows)
        return fault_no_memory(f);
    rows_fill(question, &candidates, &coverage);
    *ret_coverage = coverage;
    return OK;
}

void residual_text(int64_t seconds, char ret_text[RESIDUAL_TEXT_SIZE])
{
    static const struct {
        int64_t seconds;
        char letter;
    } units[] = {{INT64_C(365) * 86400, 'y'}, {86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    size_t i = 0;
    while (i + 1 < ARRAY_SIZE(units) && seconds < units[i].seconds)
        i++;
    if (seconds < 0)
        snprintf(ret_text, RESIDUAL_TEXT_SIZE, "expired");
    else
        snprintf(ret_text, RESIDUAL_TEXT_SIZE, "%" PRId64 "%c", seconds / units[i].seconds, units[i].letter);
}
