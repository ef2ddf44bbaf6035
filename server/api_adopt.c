/* api_adopt.c: CAs that somebody has already, with their keys sealed to the signer. */
#include <stdlib.h>
#include <string.h>

#include "ca/base/encode.h"
#include "server/api.h"
#include "server/json.h"

/* ---- reading ---- */

/* One CA: {"name", "certificate", "key"}. Decoded into certificate and box, which are the caller's. */
static enum err imported_read(const struct node *item, struct bytes *certificate, struct bytes *box,
                              struct imported_authority *ret_imported, struct fault *f)
{
    static const char *const keys[] = {"name", "certificate", "key", NULL};
    struct node name = node_get(item, "name"), pem = node_get(item, "certificate"), key = node_get(item, "key");
    const char *pem_text = NULL, *key_text = NULL;
    size_t index = 0;
    struct fault why = {0};
    node_allow(item, keys);
    bool named = node_word(&name, NODE_REQUIRED, cluster_authorities, &index);
    if (node_string(&pem, NODE_REQUIRED, &pem_text) &&
        pem_decode(span_text(pem_text), "CERTIFICATE", certificate, &why) != OK)
        node_error(&pem, "%s", why.text);
    if (node_string(&key, NODE_REQUIRED, &key_text) && base64_decode(span_text(key_text), box, &why) != OK)
        node_error(&key, "%s", why.text);
    if (named)
        *ret_imported =
            (struct imported_authority){cluster_authorities[index], bytes_span(certificate), bytes_span(box)};
    return why.code == CODE_NO_MEMORY ? fault_no_memory(f) : OK;
}

static bool serial_text_valid(const char *text)
{
    size_t length = strspn(text, "0123456789abcdef");
    return length > 0 && length <= 2 * (size_t)SERIAL_SIZE && !text[length];
}

static void found_read(const struct node *item, struct found_certificate *found)
{
    static const char *const keys[] = {"file", "serial", "sha256", "authority", NULL};
    struct node file = node_get(item, "file"), serial = node_get(item, "serial"), sha256 = node_get(item, "sha256"),
                authority = node_get(item, "authority");
    const char *hash = NULL;
    size_t index = 0;
    struct fault why = {0};
    node_allow(item, keys);
    if (node_string(&file, NODE_REQUIRED, &found->file) && strlen(found->file) > FOUND_FILE_MAX)
        node_error(&file, "longer than %d bytes", FOUND_FILE_MAX);
    if (node_string(&serial, NODE_REQUIRED, &found->serial) && !serial_text_valid(found->serial))
        node_error(&serial, "expected up to %d hexadecimal digits", 2 * SERIAL_SIZE);
    if (node_string(&sha256, NODE_REQUIRED, &hash) && hex_decode(hash, found->sha256, sizeof found->sha256, &why) != OK)
        node_error(&sha256, "expected %d hexadecimal digits", 2 * SHA256_SIZE);
    if (node_word(&authority, NODE_OPTIONAL, cluster_authorities, &index))
        found->authority = cluster_authorities[index];
}

static enum err authorities_read(const struct node *list, struct adoption_body *body, struct fault *f)
{
    struct adoption *adoption = &body->adoption;
    size_t count = node_count(list, NODE_REQUIRED, ADOPTED_AUTHORITIES_MAX);
    for (size_t i = 0; i < count; i++) {
        struct node item = node_at(list, i);
        struct imported_authority imported = {0};
        TRY(imported_read(&item, &body->certificates[i], &body->boxes[i], &imported, f));
        if (!imported.name)
            continue;
        if (adoption_find(adoption, imported.name))
            node_error(&item, "another one has this name");
        else
            adoption->authorities[adoption->authorities_count++] = imported;
    }
    return OK;
}

static enum err certificates_read(const struct node *list, struct adoption_body *body, struct fault *f)
{
    size_t count = node_count(list, NODE_OPTIONAL, FOUND_CERTIFICATES_MAX);
    if (count == 0)
        return OK;
    body->found = calloc(count, sizeof *body->found);
    if (!body->found)
        return fault_no_memory(f);
    for (size_t i = 0; i < count; i++) {
        struct node item = node_at(list, i);
        found_read(&item, &body->found[i]);
    }
    body->adoption.certificates = body->found;
    body->adoption.certificates_count = count;
    return OK;
}

enum err adoption_body_read(const struct node *adopt, struct adoption_body *ret_body, struct fault *f)
{
    static const char *const keys[] = {"authorities", "generate_missing", "certificates", NULL};
    struct node authorities = node_get(adopt, "authorities"), generate = node_get(adopt, "generate_missing"),
                certificates = node_get(adopt, "certificates");
    node_allow(adopt, keys);
    node_bool(&generate, NODE_OPTIONAL, &ret_body->adoption.generate_missing);
    TRY(authorities_read(&authorities, ret_body, f));
    return certificates_read(&certificates, ret_body, f);
}

void adoption_body_cleanup(struct adoption_body *body)
{
    for (size_t i = 0; i < ADOPTED_AUTHORITIES_MAX; i++) {
        bytes_free(&body->certificates[i]);
        bytes_free(&body->boxes[i]);
    }
    free(body->found);
}

/* ---- the signer's import key ---- */

static enum err answer_key(struct app *app, const struct http_request *request, struct http_response *ret_response,
                           struct fault *f)
{
    (void)request;
    uint8_t key[IMPORT_PUBLIC_KEY_SIZE];
    AUTO(bytes) text = {0};
    TRY(signer_import_key(app->ca->signer, key, f));
    base64_append(&text, SPAN_OF(key));
    *ret_response =
        http_json(200, json_pack("{ss so}", "algorithm", "x25519", "public_key", json_bytes(bytes_span(&text))));
    return OK;
}

struct http_response api_import_key_get(struct app *app, const struct http_request *request)
{
    return api_answer(answer_key, NULL, app, request);
}

/* ---- import, reissue ---- */

static enum err answer_import(struct app *app, const struct http_request *request, struct http_response *ret_response,
                              struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    AUTO(bytes) certificate = {0}, box = {0};
    struct imported_authority imported = {0};
    TRY(document_parse_json(request->body, &document, f));
    struct node root = document_root(document, f);
    TRY(imported_read(&root, &certificate, &box, &imported, f));
    TRY(fault_if_reasons(f, CODE_INVALID, "the body is not valid"));
    const struct authority *authority = NULL;
    bool created = false;
    TRY(authority_import(app->ca, &request->caller, request->parameters[0], &imported, &created, &authority, f));
    *ret_response = http_json(created ? 201 : 200, json_authority(authority));
    return OK;
}

struct http_response api_authority_import(struct app *app, const struct http_request *request)
{
    return api_answer(answer_import, NULL, app, request);
}

static enum err answer_reissue(struct app *app, const struct http_request *request, struct http_response *ret_response,
                               struct fault *f)
{
    static const char *const no_keys[] = {NULL};
    CLEANUP(document_auto) struct document *document = NULL;
    TRY(document_parse_json(request->body, &document, f));
    struct node root = document_root(document, f);
    node_allow(&root, no_keys);
    TRY(fault_if_reasons(f, CODE_INVALID, "the body is not valid"));
    const struct authority *authority = NULL;
    bool created = false;
    TRY(authority_reissue(app->ca, &request->caller, request->parameters[0], request->parameters[1], &created,
                          &authority, f));
    *ret_response = http_json(created ? 201 : 200, json_authority(authority));
    return OK;
}

struct http_response api_authority_reissue(struct app *app, const struct http_request *request)
{
    return api_answer(answer_reissue, NULL, app, request);
}
