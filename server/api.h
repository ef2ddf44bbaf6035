/* api.h: the handlers of the API, one file per resource, and what they share.
 *
 * A handler is a line: it names the function that makes its answer and the query parameters that it takes. That
 * function returns an error as all functions do, and api_answer() makes a problem of it. */
#ifndef ENSIGN_SERVER_API_H
#define ENSIGN_SERVER_API_H

#include "ca/adopt.h"
#include "ca/issue.h"
#include "server/app.h"

/* Fills in ret_response, which is {.status = 200} before. */
typedef enum err api_function(struct app *app, const struct http_request *request, struct http_response *ret_response,
                              struct fault *f);

/* query_names ends with NULL; NULL: no query parameters. */
struct http_response api_answer(api_function *function, const char *const *query_names, struct app *app,
                                const struct http_request *request);

/* ---- routes that make something (api_create.c) ---- */

/* As api_function, with the caller's Idempotency-Key, which is NULL when there is none. When the change was committed
 * with it, ret_response is filled in already: see api_created(). */
typedef enum err api_create_function(struct app *app, const struct http_request *request,
                                     struct idempotency *idempotency, struct http_response *ret_response,
                                     struct fault *f);
/* The answer 201 about what was made (ca/idempotency.h). */
typedef enum err api_render(struct app *app, const void *made, struct http_response *ret_response, struct fault *f);

/* As api_answer(); a request whose answer is kept gets it again. */
struct http_response api_create(api_create_function *function, api_render *render, struct app *app,
                                const struct http_request *request);
/* Whether the commit made the answer. */
bool api_created(const struct http_response *response);

/* Reads an optional query parameter; adds a reason when it is no integer of min..max. */
void query_integer(const struct http_request *request, const char *name, int64_t min, int64_t max, int64_t *ret_value,
                   struct fault *f);

/* Reads a member of exactly this many bytes in hexadecimal; true when it was read. */
bool node_hex(const struct node *node, enum node_presence presence, uint8_t *ret_data, size_t size);

/* Gives the response the ETag of its body, the hash of its bytes (api_authority.c). */
MUST_USE enum err etag_set(struct http_response *response, struct fault *f);

/* What join tokens begin with. */
#define TOKEN_PREFIX "ensign1."

/* ---- CAs that are brought along (api_adopt.c) ---- */

/* What an adoption borrows from, beside the body. */
struct adoption_body {
    struct adoption adoption;
    struct bytes certificates[ADOPTED_AUTHORITIES_MAX], boxes[ADOPTED_AUTHORITIES_MAX];
    struct found_certificate *found;
};
/* Reads the member "adopt" of a body; what is wrong becomes reasons. */
MUST_USE enum err adoption_body_read(const struct node *adopt, struct adoption_body *ret_body, struct fault *f);
void adoption_body_cleanup(struct adoption_body *body);

/* ---- what a caller may see (auth.c) ---- */

/* Tokens and nodes see only their own cluster and node. What they may not see is for them not there. */
bool caller_sees_cluster(const struct caller *caller, const char *cluster);
bool caller_sees_node(const struct caller *caller, const char *cluster, const char *node);
/* The cluster of that name, if the caller sees it: a reference, for cluster_release(). ERR_ABSENT. */
MUST_USE enum err caller_cluster(struct app *app, const struct caller *caller, const char *name,
                                 const struct cluster **ret_cluster, struct fault *f);

/* ---- the answer of an issue (api_certificate.c) ---- */

/* 201 with its Location, or 200 when it was stored before. made is a struct issue_result. */
api_render certificate_answer;

/* ---- the webhook of API servers (api_revocation.c) ---- */

enum { REVIEW_CREDENTIALS_MAX = 16 };
/* Reads a SubjectAccessReview of authorization.k8s.io/v1, of which there may be more than is known here.
 *   ret_credentials  a list of texts, or NULL; borrowed.  ERR_INPUT */
MUST_USE enum err review_read(const struct document *document, json_t **ret_credentials, struct fault *f);

/* ---- the handlers ---- */

http_handler api_cluster_create, api_cluster_list, api_cluster_get, api_cluster_update;
http_handler api_authority_list, api_authority_bundle, api_authority_crl;
http_handler api_authority_import, api_authority_reissue, api_import_key_get;
http_handler api_catalogue_get;
http_handler api_token_create, api_token_list, api_token_revoke;
http_handler api_enrolment_get;
http_handler api_sealing_key_put;
http_handler api_shared_key_get, api_shared_key_claim, api_shared_key_seal, api_shared_key_acknowledge;
http_handler api_shared_key_certify, api_shared_key_reset;
http_handler api_lease_take, api_lease_release, api_lease_list;
http_handler api_rotation_create, api_rotation_list, api_rotation_get;
http_handler api_work_get;
http_handler api_certificate_issue, api_certificate_list, api_certificate_get;
http_handler api_deployed_put, api_deployed_list;
http_handler api_revocation_make, api_revocation_make_all, api_revocation_fingerprints, api_revocation_review;
http_handler api_identity_create, api_identity_whoami;
http_handler api_audit_checkpoint, api_audit_entries, api_audit_key, api_audit_witness;
http_handler api_clock_get, api_clock_acknowledge;
http_handler api_restore_get, api_restore_acknowledge;
http_handler api_health_live, api_health_ready;
http_handler api_openapi_get;
http_handler api_metrics;

#endif
