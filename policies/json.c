#include "policies/json.h"

void json_list_add(json_t **list, json_t *take_item)
{
    if (json_array_append_new(*list, take_item) == 0)
        return;
    json_decref(*list);
    *list = NULL;
}

void json_member_add(json_t **object, const char *name, json_t *take_value)
{
    if (json_object_set_new(*object, name, take_value) == 0)
        return;
    json_decref(*object);
    *object = NULL;
}

json_t *json_words(const char *const *words, unsigned bits)
{
    json_t *list = json_array();
    for (unsigned i = 0; words[i]; i++)
        if (bits & (1u << i))
            json_list_add(&list, json_string(words[i]));
    return list;
}

json_t *json_dns(const struct alternative_names *names)
{
    json_t *list = json_array();
    for (size_t i = 0; i < names->dns_count; i++)
        json_list_add(&list, json_string(names->dns[i]));
    return list;
}

json_t *json_addresses(const struct alternative_names *names)
{
    json_t *list = json_array();
    for (size_t i = 0; i < names->addresses_count; i++) {
        char text[ADDRESS_TEXT_SIZE];
        address_text(&names->addresses[i], text);
        json_list_add(&list, json_string(text));
    }
    return list;
}
