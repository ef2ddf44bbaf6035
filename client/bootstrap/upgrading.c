#include "client/bootstrap/upgrading.h"

#include <stdio.h>
#include <stdlib.h>

#include "client/output.h"
#include "client/render/roles.h"

enum { NODE_TITLE_SIZE = 320 };

/* ---- before it ---- */

static bool interrupted(const struct bringup *bringup, size_t host)
{
    return fact_find(bringup->views[host].facts, LIST_BEGUN, UPGRADE_MARK) != NULL;
}

static bool any_interrupted(const struct bringup *bringup)
{
    for (size_t i = 0; i < bringup->hosts->count; i++)
        if (interrupted(bringup, i))
            return true;
    return false;
}

enum err upgrading_health(struct bringup *bringup, struct fault *f)
{
    const bool resumed = any_interrupted(bringup);
    struct outcome *health = NULL;
    size_t troubles = 0;
    TRY(bringup_health(bringup, &health, f));
    for (size_t i = 0; i < bringup->hosts->count; i++) {
        const struct step_view *view = &bringup->views[i];
        if (health[i].err == OK || interrupted(bringup, i) ||
            (resumed && is_first_control_plane(step_cluster(view), view->node)))
            continue;
        message_fault(&health[i].fault);
        troubles++;
    }
    free(health);
    return troubles == 0
               ? OK
               : fault_set(f, CODE_INVALID,
                           "%zu hosts are not healthy, so nothing was changed: see above, and `ensign cluster "
                           "status`",
                           troubles);
}

/* ---- part by part ---- */

static size_t first_control_plane(const struct bringup *bringup)
{
    size_t i = 0;
    while (!is_first_control_plane(bringup->hosts->cluster, bringup->views[i].node))
        i++;
    return i;
}

static enum err part_apply(struct bringup *bringup, const struct upgrade *upgrade, const struct plan_row *row,
                           bool *chosen, struct fault *f)
{
    const struct node_entry *node = bringup->views[row->host].node;
    const bool elsewhere = upgrade_part_is_elsewhere(row->kind);
    const size_t host = elsewhere ? first_control_plane(bringup) : row->host;
    struct step_view *view = &bringup->views[host];
    struct step_kind kind = *row->kind;
    char title[NODE_TITLE_SIZE];
    snprintf(title, sizeof title, "%s%s%s", kind.title, elsewhere ? " " : "", elsewhere ? node->name : "");
    kind.title = title;
    kind.deadline_seconds += row->kind == &upgrade_kinds[UPGRADE_DRAIN] ? upgrade->drain_seconds : 0;
    view->upgrade = upgrade;
    view->upgraded = node;
    view->kubernetes_version = upgrade->text;
    chosen[host] = true;
    enum err err = bringup_step(bringup, &kind, chosen, f);
    chosen[host] = false;
    view->upgrade = NULL;
    return err;
}

enum err upgrading_apply(struct bringup *bringup, const struct upgrade *upgrade, const struct plan *plan,
                         struct fault *f)
{
    bool *chosen = calloc(bringup->hosts->count, sizeof *chosen);
    enum err err = chosen ? OK : fault_no_memory(f);
    for (size_t i = 0; i < plan->count && err == OK; i++)
        err = part_apply(bringup, upgrade, &plan->rows[i], chosen, f);
    free(chosen);
    return err;
}
