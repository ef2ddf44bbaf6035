#include <string.h>

#include "server/api.h"
#include "server/json.h"

/* ---- create ---- */

static const struct {
    const char *word;
    enum requester role;
} roles[] = {{"admin", REQUESTER_ADMIN}, {"operator", REQUESTER_OPERATOR}, {"auditor", REQUESTER_AUDITOR}};

static void role_read(const struct node *node, enum requester *ret_role)
{
    const char *words[ARRAY_SIZE(roles) + 1] = {NULL};
    size_t index = 0;
    for (size_t i = 0; i < ARRAY_SIZE(roles); i++)
        words[i] = roles[i].word;
    if (node_word(node, NODE_REQUIRED, words, &index))
        *ret_role = roles[index].role;
}

/* A name goes into subjects, records and logs: nothing there may be mistaken for something else. */
static void name_read(const struct node *node, const char **ret_name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@-";
    const char *name = NULL;
    if (!node_string(node, NODE_REQUIRED, &name))
        return;
    size_t size = strlen(name);
    if (size == 0 || size > ATTRIBUTE_MAX || strspn(name, letters) != size)
        node_error(node, "a name is 1 to %d letters, digits, dots, hyphens, underscores and @", ATTRIBUTE_MAX);
    else if (strcmp(name, CALLER_ROOT) == 0)
        node_error(node, "\"" CALLER_ROOT "\" is the name of the admin on the service's own machine");
    *ret_name = name;
}

/* The texts borrow from the document. */
static enum err body_read(const struct document *document, struct issue_request *issue, struct fault *f)
{
    static const char *const keys[] = {"name", "role", "csr", "lifetime_seconds", NULL};
    struct node root = document_root(document, f);
    struct node name = node_get(&root, "name"), role = node_get(&root, "role"), csr = node_get(&root, "csr");
    struct node lifetime = node_get(&root, "lifetime_seconds");
    const char *pem = NULL;
    node_allow(&root, keys);
    name_read(&name, &issue->identity);
    role_read(&role, &issue->role);
    if (node_string(&csr, NODE_REQUIRED, &pem))
        issue->csr_pem = span_text(pem);
    node_integer(&lifetime, NODE_OPTIONAL, 1, INT32_MAX, &issue->lifetime_seconds);
    return fault_if_reasons(f, CODE_INVALID, "the body is not valid");
}

static enum err answer_create(struct app *app, const struct http_request *request, struct idempotency *idempotency,
                              struct http_response *ret_response, struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    TRY(document_parse_json(request->body, &document, f));
    struct issue_request asked = {.caller = request->caller,
                                  .profile = "identity",
                                  .cluster = CLUSTER_SERVICE,
                                  .node = "",
                                  .idempotency = idempotency};
    TRY(body_read(document, &asked, f));
    AUTO(issue_result) result = {0};
    TRY(issue(app->ca, &asked, &result, f));
    return api_created(ret_response) ? OK : certificate_answer(app, &result, ret_response, f);
}

struct http_response api_identity_create(struct app *app, const struct http_request *request)
{
    return api_create(answer_create, certificate_answer, app, request);
}

/* ---- whoami ---- */

static enum err answer_whoami(struct app *app, const struct http_request *request, struct http_response *ret_response,
                              struct fault *f)
{
    (void)app, (void)f;
    const struct caller *caller = &request->caller;
    *ret_response =
        http_json(200, json_pack("{ss ss so so}", "kind", requester_word(caller->kind), "name", caller->name, "cluster",
                                 json_bytes(span_text(caller->cluster)), "node", json_bytes(span_text(caller->node))));
    return OK;
}

struct http_response api_identity_whoami(struct app *app, const struct http_request *request)
{
    return api_answer(answer_whoami, NULL, app, request);
}
