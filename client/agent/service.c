#include "client/agent/service.h"

#include <stdio.h>
#include <string.h>

#include "client/text.h"

enum { POLL_SECONDS_MAX = 3600 };

void orders_cleanup(struct orders *orders)
{
    document_free(orders->answer);
}

static enum err absent_is_fine(enum err err, struct fault *f)
{
    if (err != ERR_ABSENT)
        return err;
    fault_clear(f);
    return OK;
}

/* ---- work ---- */

static enum err orders_path(const struct caller_place *caller, const char *seen, int64_t wait_seconds,
                            struct bytes *path, struct fault *f)
{
    char wait[32];
    snprintf(wait, sizeof wait, "%lld", (long long)wait_seconds);
    cluster_path(path, caller->cluster, "/nodes/");
    percent_append(path, caller->node);
    bytes_append_text(path, "/work");
    query_append(path, "wait", wait);
    query_append(path, "seen", seen[0] ? seen : NULL);
    return bytes_check(path, f);
}

enum err orders_read(struct document *take_answer, struct orders *ret_orders, struct fault *f)
{
    AUTO(orders) orders = {.answer = take_answer};
    struct node root = document_root(orders.answer, f);
    struct node revision = node_get(&root, "revision"), poll = node_get(&root, "poll_seconds");
    node_text(&revision, NODE_REQUIRED, orders.revision, sizeof orders.revision);
    node_integer(&poll, NODE_REQUIRED, 0, POLL_SECONDS_MAX, &orders.poll_seconds);
    TRY(answer_finish("what is to be done", f));
    *ret_orders = orders;
    orders.answer = NULL;
    return OK;
}

enum err orders_fetch(const struct caller_place *caller, const char *seen, int64_t wait_seconds,
                      struct orders *ret_orders, struct fault *f)
{
    AUTO(bytes) path = {0};
    CLEANUP(document_auto) struct document *answer = NULL;
    TRY(orders_path(caller, seen, wait_seconds, &path, f));
    TRY(absent_is_fine(api_json(caller->session->api, "GET", bytes_text(&path), NULL, &answer, f), f));
    if (answer)
        return orders_read(TAKE(answer), ret_orders, f);
    *ret_orders = (struct orders){0};
    return OK;
}

json_t *orders_rest(const struct orders *orders)
{
    static const char *const but[] = {"revision", "now", "poll_seconds", "certificates"};
    json_t *rest = orders->answer ? json_copy((json_t *)(uintptr_t)document_json(orders->answer)) : NULL;
    for (size_t i = 0; rest && i < ARRAY_SIZE(but); i++)
        json_object_del(rest, but[i]);
    return rest;
}

/* A mark is for the certificate that the service knows as current: not for the one that replaced it meanwhile. */
struct order order_of(const struct orders *orders, const char *profile, const char *serial)
{
    const json_t *list = orders->answer ? json_object_get(document_json(orders->answer), "certificates") : NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(entry, "profile"));
        if (!name || strcmp(name, profile) != 0)
            continue;
        const char *current = json_string_value(json_object_get(entry, "serial"));
        const char *reason = json_string_value(json_object_get(json_object_get(entry, "renew"), "reason"));
        return (struct order){.blocked = json_is_true(json_object_get(entry, "blocked")),
                              .renew = current && strcmp(current, serial) == 0 ? reason : NULL};
    }
    return (struct order){0};
}

/* ---- reports ---- */

enum err report_send(const struct caller_place *caller, json_t *certificates, json_t *crls, struct fault *f)
{
    AUTO(bytes) path = {0};
    CLEANUP(document_auto) struct document *answer = NULL;
    CLEANUP(json_cleanup)
    json_t *body = json_pack("{s:{s:s}, s:O, s:O}", "agent", "version", ENSIGN_VERSION, "certificates", certificates,
                             "crls", crls);
    cluster_path(&path, caller->cluster, "/nodes/");
    percent_append(&path, caller->node);
    bytes_append_text(&path, "/deployed");
    TRY(bytes_check(&path, f));
    if (!body)
        return fault_no_memory(f);
    return absent_is_fine(api_json(caller->session->api, "PUT", bytes_text(&path), body, &answer, f), f);
}

/* ---- leases ---- */

static enum err lease_post(const struct caller_place *caller, const char *group, const char *tail, const json_t *body,
                           struct fault *f)
{
    AUTO(bytes) path = {0};
    CLEANUP(document_auto) struct document *answer = NULL;
    cluster_path(&path, caller->cluster, "/leases/");
    percent_append(&path, group);
    bytes_append_text(&path, tail);
    TRY(bytes_check(&path, f));
    if (!body)
        return fault_no_memory(f);
    return absent_is_fine(api_json(caller->session->api, "POST", bytes_text(&path), body, &answer, f), f);
}

enum err lease_take(const struct caller_place *caller, const char *group, int64_t lifetime_seconds, struct fault *f)
{
    CLEANUP(json_cleanup) json_t *body = json_pack("{s:I}", "lifetime_seconds", (json_int_t)lifetime_seconds);
    return lease_post(caller, group, "", body, f);
}

enum err lease_release(const struct caller_place *caller, const char *group, bool healthy, struct fault *f)
{
    CLEANUP(json_cleanup) json_t *body = json_pack("{s:b}", "healthy", healthy);
    return lease_post(caller, group, "/release", body, f);
}
