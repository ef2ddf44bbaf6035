#include "client/bootstrap/plan.h"

#include <stdlib.h>
#include <string.h>

enum err plan_choose(const struct cluster *cluster, const char *only, struct plan_choice *ret_choice, struct fault *f)
{
    *ret_choice = (struct plan_choice){0};
    if (!only)
        return OK;
    for (size_t i = 0; stage_words[i]; i++)
        if (strcmp(stage_words[i], only) == 0)
            ret_choice->stage = stage_words[i];
    if (!ret_choice->stage && cluster_node(cluster, only))
        ret_choice->node = cluster_node(cluster, only)->name;
    if (ret_choice->stage || ret_choice->node)
        return OK;
    return fault_set(
        f, CODE_USAGE,
        "--only takes a node of the cluster or a stage: prepare, ensign, enrol, etcd, load-balancer, init, "
        "control-planes, network, workers, agents");
}

bool plan_chosen(const struct plan_choice *choice, const struct step_kind *kind, const struct node_entry *node)
{
    return (!choice->stage || strcmp(choice->stage, stage_words[kind->stage]) == 0) &&
           (!choice->node || strcmp(choice->node, node->name) == 0);
}

enum err plan_add(struct plan *plan, const struct plan_row *row, struct fault *f)
{
    if (plan->count == plan->capacity) {
        size_t capacity = plan->capacity ? 2 * plan->capacity : 64;
        struct plan_row *rows = reallocarray(plan->rows, capacity, sizeof *rows);
        if (!rows)
            return fault_no_memory(f);
        plan->rows = rows;
        plan->capacity = capacity;
    }
    plan->rows[plan->count++] = *row;
    return OK;
}

enum err plan_make(const struct step_view *views, size_t count, const struct plan_choice *choice, struct plan *ret_plan,
                   struct fault *f)
{
    AUTO(plan) plan = {0};
    for (const struct step_kind *kind = step_kinds; kind->name; kind++)
        for (size_t i = 0; i < count; i++) {
            struct plan_row row = {.kind = kind, .host = i};
            bool needed;
            if (!views[i].facts || !plan_chosen(choice, kind, views[i].node))
                continue;
            TRY(step_needed(&views[i], kind, &needed, row.why, f));
            if (needed)
                TRY(plan_add(&plan, &row, f));
        }
    *ret_plan = plan;
    plan = (struct plan){0};
    return OK;
}

void plan_cleanup(struct plan *plan)
{
    free(plan->rows);
    *plan = (struct plan){0};
}

const struct plan_row *plan_find(const struct plan *plan, const struct step_kind *kind, size_t host)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->rows[i].kind == kind && plan->rows[i].host == host)
            return &plan->rows[i];
    return NULL;
}
