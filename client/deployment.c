#include "client/deployment.h"

#include <string.h>

#include "client/coverage.h"

static const char *text_of(const json_t *object, const char *member)
{
    return json_string_value(json_object_get(object, member));
}

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static const json_t *item_with(const json_t *items, const char *member, const char *value)
{
    for (size_t i = 0; i < json_array_size(items); i++)
        if (same(text_of(json_array_get(items, i), member), value))
            return json_array_get(items, i);
    return NULL;
}

const json_t *deployment_of(const json_t *items, const char *node)
{
    return item_with(items, "node", node);
}

/* NULL: nothing is known, or nothing is to be there. */
static const char *word_of(const json_t *report, const json_t *entry, const char *serial)
{
    if (!report || !serial)
        return NULL;
    if (json_is_true(json_object_get(report, "silent")))
        return "silent";
    return same(text_of(entry, "serial"), serial) ? text_of(entry, "state") : "other";
}

bool deployment_members(json_t *row, const json_t *report, const char *profile, const char *serial)
{
    const json_t *entry = item_with(json_object_get(report, "certificates"), "profile", profile);
    const char *detail = text_of(entry, "detail");
    json_t *members =
        json_pack("{s:s?, s:s?, s:s?, s:s?, s:s?}", "deployed", word_of(report, entry, serial), "deployed_serial",
                  text_of(entry, "serial"), "served_serial", text_of(entry, "served_serial"), "deployed_detail",
                  detail && detail[0] ? detail : NULL, "seen_at", text_of(report, "seen_at"));
    bool added = row && members && json_object_update(row, members) == 0;
    json_decref(members);
    return added;
}

static json_t *crl_differences(json_int_t number, json_int_t newest)
{
    json_t *list = json_array();
    if (list && number < newest)
        json_array_append_new(list,
                              json_sprintf("is number %lld, the newest is %lld", (long long)number, (long long)newest));
    return list;
}

json_t *deployment_crl_row(const char *cluster, const json_t *report, const json_t *crl)
{
    const char *authority = text_of(crl, "authority");
    json_int_t number = json_integer_value(json_object_get(crl, "number")),
               newest = json_integer_value(json_object_get(crl, "newest"));
    bool outdated = number < newest, silent = json_is_true(json_object_get(report, "silent"));
    json_t *row = json_pack("{s:s, s:s?, s:s, s:n, s:s, s:n, s:s, s:n, s:s?, s:o}", "cluster", cluster, "node",
                            text_of(report, "node"), "name", "crl", "profile", "kind", "crl", "path", "state",
                            coverage_state_words[outdated ? COVERAGE_DIFFERS : COVERAGE_OK], "serial", "authority",
                            authority, "differences", crl_differences(number, newest));
    json_t *members = json_pack("{s:s, s:n, s:n, s:n, s:s?, s:n, s:n, s:n}", "deployed",
                                silent     ? "silent"
                                : outdated ? "outdated"
                                           : "installed",
                                "deployed_serial", "served_serial", "deployed_detail", "seen_at",
                                text_of(report, "seen_at"), "not_after", "residual_time", "residual_seconds");
    bool whole = row && members && json_object_update(row, members) == 0;
    json_decref(members);
    if (!whole) {
        json_decref(row);
        return NULL;
    }
    return row;
}

bool deployment_is_wrong(const json_t *row)
{
    const char *word = text_of(row, "deployed");
    return word && strcmp(word, "installed") != 0 && strcmp(word, "served") != 0;
}
