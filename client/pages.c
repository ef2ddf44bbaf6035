#include "client/pages.h"

#include <stdio.h>

#include "client/text.h"

static enum err page_fetch(struct api *api, const char *path, size_t limit, const char *cursor,
                           struct document **ret_page, struct fault *f)
{
    char number[24];
    snprintf(number, sizeof number, "%zu", limit);
    AUTO(bytes) whole = {0};
    bytes_append_text(&whole, path);
    query_append(&whole, "limit", number);
    query_append(&whole, "cursor", cursor);
    TRY(bytes_check(&whole, f));
    return api_json(api, "GET", bytes_text(&whole), NULL, ret_page, f);
}

/* Moves the items of a page to the list, and its cursor. A page may be empty though more follow, but each page is
 * another place of the list. */
static enum err page_add(const struct document *page, json_t *list, size_t *ret_added, struct fault *f)
{
    const json_t *root = document_json(page), *items = json_object_get(root, "items");
    json_t *cursor = json_object_get(root, "next_cursor");
    if (!json_is_array(items) || (cursor && !json_is_string(cursor) && !json_is_null(cursor)))
        return fault_set(f, CODE_UNTRUSTED, "the service's answer is not a page of a list");
    if (json_is_string(cursor) && json_equal(cursor, json_object_get(list, "next_cursor")))
        return fault_set(f, CODE_UNTRUSTED, "the service's list does not go on behind its page");
    if (json_array_extend(json_object_get(list, "items"), (json_t *)(uintptr_t)items) != 0 ||
        json_object_set_new(list, "next_cursor", cursor ? json_incref(cursor) : json_null()) != 0)
        return fault_no_memory(f);
    *ret_added = json_array_size(items);
    return OK;
}

enum err pages_fetch(struct api *api, const char *path, size_t limit_max, json_t **ret_list, struct fault *f)
{
    CLEANUP(json_cleanup) json_t *list = json_pack("{s:[], s:n}", "items", "next_cursor");
    if (!list)
        return fault_no_memory(f);
    for (size_t count = 0, added = 0;; count += added) {
        size_t limit = limit_max && limit_max - count < PAGE_SIZE ? limit_max - count : PAGE_SIZE;
        CLEANUP(document_auto) struct document *page = NULL;
        TRY(page_fetch(api, path, limit, json_string_value(json_object_get(list, "next_cursor")), &page, f));
        TRY(page_add(page, list, &added, f));
        bool last = json_is_null(json_object_get(list, "next_cursor"));
        if (last || (limit_max && count + added >= limit_max))
            break;
    }
    *ret_list = TAKE(list);
    return OK;
}
