#include "client/revocation.h"

#include "client/output.h"
#include "client/text.h"

void revocation_crl_tell(const json_t *problem)
{
    if (json_is_string(problem))
        message("revoked, but no CRL lists it yet; the service tries again: %s", json_string_value(problem));
}

/* The service revokes so many in a request; the list of all of them is what is shown. */
static enum err many_page(struct session *session, const char *path, const json_t *body, json_t *list, bool *ret_more,
                          struct fault *f)
{
    CLEANUP(document_auto) struct document *answer = NULL;
    TRY(api_json(session->api, "POST", path, body, &answer, f));
    const json_t *root = document_json(answer);
    json_t *items = json_object_get(root, "items"), *crl;
    size_t index;
    if (!json_is_array(items) || json_array_extend(json_object_get(list, "items"), items) != 0)
        return fault_set(f, CODE_UNTRUSTED, "the service's answer does not say what it revoked");
    *ret_more = json_is_true(json_object_get(root, "more")) && json_array_size(items) > 0;
    json_array_foreach(json_object_get(root, "crls"), index, crl) revocation_crl_tell(json_object_get(crl, "problem"));
    json_int_t tokens = json_integer_value(json_object_get(root, "tokens"));
    if (tokens > 0)
        message("join tokens that were revoked, too: %lld", (long long)tokens);
    return OK;
}

enum err revocations_make(struct session *session, const char *cluster, const json_t *selector, json_t **ret_list,
                          struct fault *f)
{
    CLEANUP(json_cleanup) json_t *list = json_pack("{s[]}", "items");
    AUTO(bytes) path = {0};
    cluster_path(&path, cluster, "/revocations");
    TRY(bytes_check(&path, f));
    if (!list)
        return fault_no_memory(f);
    for (bool more = true; more;)
        TRY(many_page(session, bytes_text(&path), selector, list, &more, f));
    *ret_list = list;
    list = NULL;
    return OK;
}
