#include "client/difference.h"

#include <stdio.h>
#include <string.h>

#include "ca/x509/name.h"
#include "policies/json.h"

/* Told of each difference. */
struct reporter {
    size_t count;
    json_t *list; /* NULL: only counted */
};

static void report(struct reporter *reporter, const char *what, const char *value)
{
    reporter->count++;
    if (reporter->list)
        json_list_add(&reporter->list, json_sprintf("%s %s", what, value));
}

/* ---- names ---- */

static bool text_listed(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *item = json_string_value(json_array_get(list, i));
        if (item && strcmp(item, text) == 0)
            return true;
    }
    return false;
}

/* Those of the first list that are not in the second. */
static void missing_report(const json_t *list, const json_t *other, const char *what, struct reporter *reporter)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text && !text_listed(other, text))
            report(reporter, what, text);
    }
}

/* ---- the subject ---- */

/* The catalogue has it in its parts; a certificate is listed with its text. */
static void subject_text(const json_t *subject, char *ret_text, size_t size)
{
    struct distinguished_name name = {0};
    const json_t *organizations = json_object_get(subject, "organizations");
    const char *common_name = json_string_value(json_object_get(subject, "common_name"));
    snprintf(name.common_name, sizeof name.common_name, "%s", common_name ? common_name : "");
    for (size_t i = 0; i < json_array_size(organizations) && i < ORGANIZATIONS_MAX; i++) {
        const char *text = json_string_value(json_array_get(organizations, i));
        snprintf(name.organizations[name.organizations_count++], sizeof name.organizations[0], "%s", text ? text : "");
    }
    distinguished_name_text(&name, ret_text, size);
}

static void subject_report(const json_t *expected, const json_t *issued, struct reporter *reporter)
{
    char wanted[512];
    const char *text = json_string_value(json_object_get(issued, "subject"));
    subject_text(json_object_get(expected, "subject"), wanted, sizeof wanted);
    if (text && strcmp(text, wanted) != 0)
        report(reporter, "subject is", text);
}

/* ---- both ---- */

static void differences_report(const json_t *expected, const json_t *issued, struct reporter *reporter)
{
    static const char *const lists[] = {"dns", "addresses", NULL};
    if (!expected || !issued)
        return;
    subject_report(expected, issued, reporter);
    for (const char *const *name = lists; *name; name++) {
        const json_t *wanted = json_object_get(expected, *name), *present = json_object_get(issued, *name);
        missing_report(wanted, present, "lacks", reporter);
        missing_report(present, wanted, "has", reporter);
    }
}

bool content_differs(const json_t *expected, const json_t *issued)
{
    struct reporter reporter = {0};
    differences_report(expected, issued, &reporter);
    return reporter.count > 0;
}

json_t *content_differences(const json_t *expected, const json_t *issued)
{
    struct reporter reporter = {.list = json_array()};
    if (reporter.list)
        differences_report(expected, issued, &reporter);
    return reporter.list;
}
