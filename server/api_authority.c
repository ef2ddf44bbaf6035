#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "ca/base/encode.h"
#include "server/api.h"
#include "server/json.h"

/* Trust bundles change when a CA does: seldom, but then everybody should know within minutes. */
enum { BUNDLE_MAX_AGE_SECONDS = 300 };

/* ---- list ---- */

/* The CAs that a cluster has; the service itself has one. Public, but a cluster's existence is not. */
static enum err authority_names(struct app *app, const struct http_request *request, const char *const **ret_names,
                                struct fault *f)
{
    static const char *const of_service[] = {AUTHORITY_SERVICE, NULL};
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    if (strcmp(request->parameters[0], CLUSTER_SERVICE) == 0) {
        *ret_names = of_service;
        return OK;
    }
    TRY(caller_cluster(app, &request->caller, request->parameters[0], &cluster, f));
    *ret_names = cluster_authorities;
    return OK;
}

static json_t *authority_item(const struct authority *authority)
{
    json_t *item = json_authority(authority);
    if (!item || json_object_set_new(item, "certificate", json_bytes(bytes_span(&authority->pem))) == 0)
        return item;
    json_decref(item);
    return NULL;
}

static enum err answer_list(struct app *app, const struct http_request *request, struct http_response *ret_response,
                            struct fault *f)
{
    const char *const *name = NULL;
    TRY(authority_names(app, request, &name, f));
    json_t *items = json_array();
    for (; *name; name++) {
        const struct authority *authority = authorities_find(app->ca->authorities, request->parameters[0], *name);
        if (authority)
            json_list_add(&items, authority_item(authority));
    }
    *ret_response = http_json(200, json_page(items, span(NULL, 0)));
    return OK;
}

struct http_response api_authority_list(struct app *app, const struct http_request *request)
{
    return api_answer(answer_list, NULL, app, request);
}

/* ---- bundle ---- */

enum err etag_set(struct http_response *response, struct fault *f)
{
    uint8_t hash[SHA256_SIZE];
    char text[2 * SHA256_SIZE + 1];
    if (EVP_Digest(response->body.data, response->body.size, hash, NULL, EVP_sha256(), NULL) != 1)
        return fault_openssl(f, "SHA-256 of a bundle");
    hex_text(SPAN_OF(hash), text, sizeof text);
    snprintf(response->etag, sizeof response->etag, "\"%s\"", text);
    return OK;
}

static enum err answer_bundle(struct app *app, const struct http_request *request, struct http_response *ret_response,
                              struct fault *f)
{
    TRY(authorities_bundle(app->ca->authorities, request->parameters[0], request->parameters[1], &ret_response->body,
                           f));
    ret_response->content_type = "application/x-pem-file";
    ret_response->max_age_seconds = BUNDLE_MAX_AGE_SECONDS;
    return etag_set(ret_response, f);
}

struct http_response api_authority_bundle(struct app *app, const struct http_request *request)
{
    return api_answer(answer_bundle, NULL, app, request);
}
