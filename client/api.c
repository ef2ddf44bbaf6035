#include "client/api.h"

#include <ctype.h>
#include <curl/curl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "ca/base/encode.h"
#include "client/files.h"
#include "client/pin.h"

enum {
    CONNECT_SECONDS = 10,
    TOTAL_SECONDS = 60,
    ANSWER_MAX = DOCUMENT_JSON_SIZE_MAX,
    BACKOFF_FIRST_MILLISECONDS = 200,
    BACKOFF_MAX_MILLISECONDS = 5000,
    RETRY_AFTER_SECONDS_MAX = 3600, /* whatever an answer says */
};

struct api {
    const struct context *context;
    int64_t timeout_milliseconds;
    CURL *curl;
    struct curl_slist *headers;
    struct pin_check check;
    struct answers *answers; /* NULL: nothing is kept */
    char error[CURL_ERROR_SIZE];
};

struct answer {
    long status;
    struct bytes body;
    bool too_large;
    const char *content_type;     /* of the curl handle, until the next request; or of the answer that is kept */
    char etag[ETAG_TEXT_MAX + 1]; /* empty: none, or none that could be kept */
    curl_off_t retry_after_seconds;
};

static void answer_cleanup(struct answer *answer)
{
    bytes_free(&answer->body);
}

void api_auto(struct api **api)
{
    if (!*api)
        return;
    for (struct curl_slist *header = (*api)->headers; header; header = header->next)
        OPENSSL_cleanse(header->data, strlen(header->data));
    curl_slist_free_all((*api)->headers);
    curl_easy_cleanup((*api)->curl);
    free(*api);
}

/* ---- setting up ---- */

static CURLcode tls_prepare(CURL *curl, void *tls, void *argument)
{
    (void)curl;
    struct api *api = argument;
    pin_install(tls, &api->check);
    return CURLE_OK;
}

static struct curl_blob blob(const struct bytes *b)
{
    return (struct curl_blob){b->data, b->size, CURL_BLOB_NOCOPY};
}

static void identity_set(struct api *api)
{
    const struct context *context = api->context;
    if (context->token.size > 0 || context->certificate.size == 0)
        return;
    struct curl_blob certificate = blob(&context->certificate), key = blob(&context->key);
    curl_easy_setopt(api->curl, CURLOPT_SSLCERT_BLOB, &certificate);
    curl_easy_setopt(api->curl, CURLOPT_SSLKEY_BLOB, &key);
    curl_easy_setopt(api->curl, CURLOPT_KEYPASSWD, ""); /* no question on the terminal */
}

static void connection_set(struct api *api)
{
    const char *server = api->context->server, *proxy = getenv("https_proxy");
    curl_easy_setopt(api->curl, CURLOPT_PROXY, proxy && !server_is_socket(server) ? proxy : "");
    if (server_is_socket(server)) {
        curl_easy_setopt(api->curl, CURLOPT_UNIX_SOCKET_PATH, server + sizeof "unix://" - 1);
        curl_easy_setopt(api->curl, CURLOPT_PROTOCOLS_STR, "http");
        return;
    }
    memcpy(api->check.pin, api->context->pin, sizeof api->check.pin);
    curl_easy_setopt(api->curl, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(api->curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(api->curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(api->curl, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(api->curl, CURLOPT_CAINFO, NULL); /* nobody is trusted but the pinned CA */
    curl_easy_setopt(api->curl, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(api->curl, CURLOPT_SSL_CTX_FUNCTION, tls_prepare);
    curl_easy_setopt(api->curl, CURLOPT_SSL_CTX_DATA, api);
    identity_set(api);
}

static enum err header_add(struct api *api, const char *header, struct fault *f)
{
    struct curl_slist *headers = curl_slist_append(api->headers, header);
    if (!headers)
        return fault_no_memory(f);
    api->headers = headers;
    return OK;
}

static enum err headers_set(struct api *api, struct fault *f)
{
    TRY(header_add(api, "Accept: application/json, application/problem+json, */*", f));
    TRY(header_add(api, "Content-Type: application/json", f));
    TRY(header_add(api, "Expect:", f)); /* bodies are small: no round trip for 100 Continue */
    if (api->context->token.size > 0) {
        CLEANUP(secret_cleanup) struct bytes header = {0};
        bytes_appendf(&header, "Authorization: Bearer %s", bytes_text(&api->context->token));
        TRY(bytes_check(&header, f));
        TRY(header_add(api, bytes_text(&header), f));
    }
    return OK;
}

static size_t body_receive(char *data, size_t size, size_t count, void *argument)
{
    struct answer *answer = argument;
    size_t total = size * count;
    answer->too_large = answer->body.size + total > ANSWER_MAX;
    if (answer->too_large)
        return 0;
    bytes_append(&answer->body, data, total);
    return answer->body.failed ? 0 : total;
}

static const char etag_header[] = "ETag:";

static size_t header_receive(char *data, size_t size, size_t count, void *argument)
{
    struct answer *answer = argument;
    const size_t total = size * count, name_size = sizeof etag_header - 1;
    if (total <= name_size || strncasecmp(data, etag_header, name_size) != 0)
        return total;
    struct span value = span((const uint8_t *)data + name_size, total - name_size);
    while (value.size > 0 && isspace(value.data[0]))
        value = span(value.data + 1, value.size - 1);
    while (value.size > 0 && isspace(value.data[value.size - 1]))
        value.size--;
    if (value.size <= ETAG_TEXT_MAX)
        snprintf(answer->etag, sizeof answer->etag, "%.*s", (int)value.size, (const char *)value.data);
    return total;
}

enum err api_open(const struct context *context, int64_t timeout_seconds, struct api **ret_api, struct fault *f)
{
    CLEANUP(api_auto) struct api *api = calloc(1, sizeof *api);
    if (!api)
        return fault_no_memory(f);
    api->context = context;
    api->timeout_milliseconds = timeout_seconds * 1000;
    api->curl = curl_easy_init();
    if (!api->curl)
        return fault_no_memory(f);
    curl_easy_setopt(api->curl, CURLOPT_ERRORBUFFER, api->error);
    curl_easy_setopt(api->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(api->curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(api->curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(api->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(api->curl, CURLOPT_TIMEOUT, (long)TOTAL_SECONDS);
    curl_easy_setopt(api->curl, CURLOPT_USERAGENT, "ensign/" ENSIGN_VERSION);
    curl_easy_setopt(api->curl, CURLOPT_WRITEFUNCTION, body_receive);
    curl_easy_setopt(api->curl, CURLOPT_HEADERFUNCTION, header_receive);
    connection_set(api);
    TRY(headers_set(api, f));
    *ret_api = TAKE(api);
    return OK;
}

static int stop_look(void *argument, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    (void)down_total, (void)down, (void)up_total, (void)up;
    const volatile sig_atomic_t *stop = argument;
    return *stop;
}

void api_stop_at(struct api *api, const volatile sig_atomic_t *stop)
{
    curl_easy_setopt(api->curl, CURLOPT_XFERINFOFUNCTION, stop_look);
    curl_easy_setopt(api->curl, CURLOPT_XFERINFODATA, (void *)(uintptr_t)stop);
    curl_easy_setopt(api->curl, CURLOPT_NOPROGRESS, 0L);
}

void api_remember(struct api *api, struct answers *answers)
{
    api->answers = answers;
}

/* ---- one attempt ---- */

static enum err untrusted(const struct api *api, struct fault *f)
{
    const char *server = api->context->server;
    const char *made_for = api->context->token.size > 0 ? "this token was made for" : "the context names";
    if (!api->check.ca_found)
        return fault_set(f, CODE_UNTRUSTED,
                         "the server at %s is not the service that %s (its CA does not have the pinned key); nothing "
                         "secret was sent",
                         server, made_for);
    if (api->check.error != X509_V_OK)
        return fault_set(f, CODE_UNTRUSTED, "the certificate of %s is not valid: %s", server,
                         X509_verify_cert_error_string(api->check.error));
    return fault_set(f, CODE_UNTRUSTED, "the certificate of %s is for another name: %s", server, api->error);
}

static enum err curl_fault(const struct api *api, CURLcode result, const struct answer *answer, struct fault *f)
{
    const char *why = api->error[0] ? api->error : curl_easy_strerror(result);
    switch (result) {
    case CURLE_PEER_FAILED_VERIFICATION:
        return untrusted(api, f);
    case CURLE_SSL_CERTPROBLEM:
        return fault_set(f, CODE_INVALID, "the certificate and key of the context cannot be used: %s", why);
    case CURLE_OUT_OF_MEMORY:
        return fault_no_memory(f);
    case CURLE_WRITE_ERROR:
        if (answer->too_large)
            return fault_set(f, CODE_UNTRUSTED, "the answer of %s is larger than %d bytes", api->context->server,
                             ANSWER_MAX);
        return fault_no_memory(f);
    default:
        return fault_set(f, CODE_UNREACHABLE, "no answer from %s: %s", api->context->server, why);
    }
}

enum { KEY_SIZE = 16, KEY_TEXT_SIZE = 2 * KEY_SIZE + 1 };

struct exchange {
    const char *method, *path, *url, *body;                      /* body NULL: none */
    char key_header[sizeof "Idempotency-Key: " + KEY_TEXT_SIZE]; /* the same for each attempt; only with a body */
    char *tag_header;               /* "If-Match: …" or, of a GET, "If-None-Match: …"; NULL: none */
    const struct answer_kept *kept; /* of a GET: what we have of it; NULL: nothing */
};

enum repetition { REPEATED_HERE, REPEATED_BY_ANY_RUN }; /* who sends it again */

/* Something between us and the service may say 503 after the service did what it was asked for. The key of a request
 * that another run may send again is its own hash. */
static enum err key_make(struct exchange *exchange, enum repetition repetition, struct fault *f)
{
    uint8_t key[crypto_hash_sha256_BYTES];
    char text[KEY_TEXT_SIZE];
    if (repetition == REPEATED_BY_ANY_RUN) {
        crypto_hash_sha256_state state;
        crypto_hash_sha256_init(&state);
        crypto_hash_sha256_update(&state, (const uint8_t *)exchange->path, strlen(exchange->path) + 1);
        crypto_hash_sha256_update(&state, (const uint8_t *)exchange->body, strlen(exchange->body));
        crypto_hash_sha256_final(&state, key);
    } else if (getrandom(key, KEY_SIZE, 0) != KEY_SIZE) {
        return fault_errno(f, "no random numbers");
    }
    hex_text(span(key, KEY_SIZE), text, sizeof text);
    snprintf(exchange->key_header, sizeof exchange->key_header, "Idempotency-Key: %s", text);
    return OK;
}

static CURLcode attempt(struct api *api, struct exchange *exchange, struct answer *answer)
{
    struct curl_slist with_tag = {exchange->tag_header, api->headers};
    struct curl_slist *headers = exchange->tag_header ? &with_tag : api->headers;
    struct curl_slist with_key = {exchange->key_header, headers};
    answer_cleanup(answer);
    *answer = (struct answer){0};
    api->error[0] = '\0';
    api->check.ca_found = false;
    curl_easy_setopt(api->curl, CURLOPT_URL, exchange->url);
    curl_easy_setopt(api->curl, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(api->curl, CURLOPT_HTTPHEADER, exchange->body ? &with_key : headers);
    if (exchange->body) {
        curl_easy_setopt(api->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(exchange->body));
        curl_easy_setopt(api->curl, CURLOPT_POSTFIELDS, exchange->body);
    }
    curl_easy_setopt(api->curl, CURLOPT_CUSTOMREQUEST, exchange->method);
    curl_easy_setopt(api->curl, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(api->curl, CURLOPT_HEADERDATA, answer);
    CURLcode result = curl_easy_perform(api->curl);
    if (result == CURLE_OK) {
        curl_easy_getinfo(api->curl, CURLINFO_RESPONSE_CODE, &answer->status);
        curl_easy_getinfo(api->curl, CURLINFO_CONTENT_TYPE, &answer->content_type);
        curl_easy_getinfo(api->curl, CURLINFO_RETRY_AFTER, &answer->retry_after_seconds);
    }
    return result;
}

/* ---- until it works ---- */

static int64_t now_milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void wait_milliseconds(int64_t milliseconds)
{
    struct timespec left = {milliseconds / 1000, (milliseconds % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0) {
    }
}

/* Twice as long each time, less up to a half of it, so that many nodes do not come back together. */
static int64_t backoff(int attempts, const struct answer *answer)
{
    int64_t wait = BACKOFF_FIRST_MILLISECONDS << (attempts < 8 ? attempts : 8);
    if (wait > BACKOFF_MAX_MILLISECONDS)
        wait = BACKOFF_MAX_MILLISECONDS;
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, 0) == sizeof random)
        wait -= random % (wait / 2);
    if (answer->retry_after_seconds <= 0)
        return wait;
    return 1000 * (answer->retry_after_seconds < RETRY_AFTER_SECONDS_MAX ? answer->retry_after_seconds
                                                                         : RETRY_AFTER_SECONDS_MAX);
}

static bool worth_another(CURLcode result, long status)
{
    return result == CURLE_COULDNT_CONNECT || (result == CURLE_OK && (status == 429 || status == 503));
}

static enum err exchange_run(struct api *api, struct exchange *exchange, struct answer *ret_answer, struct fault *f)
{
    int64_t deadline = now_milliseconds() + api->timeout_milliseconds;
    for (int attempts = 0;; attempts++) {
        CURLcode result = attempt(api, exchange, ret_answer);
        int64_t wait = backoff(attempts, ret_answer);
        if (!worth_another(result, ret_answer->status) || now_milliseconds() + wait > deadline)
            return result == CURLE_OK ? OK : curl_fault(api, result, ret_answer, f);
        wait_milliseconds(wait);
    }
}

/* ---- answers ---- */

static bool content_is(const struct answer *answer, const char *type)
{
    size_t size = strlen(type);
    return answer->content_type && strncasecmp(answer->content_type, type, size) == 0 &&
           (answer->content_type[size] == '\0' || answer->content_type[size] == ';' ||
            answer->content_type[size] == ' ');
}

static void problem_reasons(const struct node *root, struct fault *f)
{
    struct node errors = node_get(root, "errors");
    size_t count = json_array_size(errors.value);
    for (size_t i = 0; i < count; i++) {
        struct node error = node_at(&errors, i), pointer = node_get(&error, "pointer"),
                    detail = node_get(&error, "detail");
        const char *where = json_string_value(pointer.value), *what = json_string_value(detail.value);
        if (what)
            fault_reason(f, where ? where : "", "%s", what);
    }
}

/* An answer that is no problem document comes from something between us and the service. */
static enum err problem_fault(const struct api *api, const struct answer *answer, struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    struct fault ignored = {0};
    if (!content_is(answer, "application/problem+json") ||
        document_parse_json(bytes_span(&answer->body), &document, &ignored) != OK)
        return fault_set(f, CODE_UNTRUSTED, "%s answered with HTTP status %ld and no explanation", api->context->server,
                         answer->status);
    struct node root = document_root(document, &ignored);
    struct node code_node = node_get(&root, "code"), detail_node = node_get(&root, "detail"),
                id_node = node_get(&root, "request_id");
    const char *code = json_string_value(code_node.value), *detail = json_string_value(detail_node.value),
               *id = json_string_value(id_node.value);
    enum code known = code ? code_by_name(code) : CODE_NONE;
    problem_reasons(&root, f);
    return fault_set(f, known == CODE_NONE ? CODE_INTERNAL : known, "%.380s (request %.40s)",
                     detail ? detail : "the service gives no detail", id ? id : "without an id");
}

/* What is kept takes the place of an answer that says only that it is the same; else the answer is what is kept. */
static enum err answer_settle(struct api *api, const struct exchange *exchange, struct answer *answer, struct fault *f)
{
    enum { NOT_MODIFIED = 304 };
    if (answer->status == NOT_MODIFIED && exchange->kept) {
        answer->status = 200;
        answer->content_type = exchange->kept->content_type;
        bytes_free(&answer->body);
        return bytes_copy(bytes_span(&exchange->kept->body), &answer->body, f);
    }
    if (answer->status < 200 || answer->status >= 300)
        return problem_fault(api, answer, f);
    if (strcmp(exchange->method, "GET") == 0)
        answers_keep(api->answers, exchange->path, answer->etag, answer->content_type ? answer->content_type : "",
                     bytes_span(&answer->body));
    return OK;
}

/* tag  for If-Match; NULL: none */
static enum err send_request(struct api *api, const char *method, const char *path, const json_t *body,
                             enum repetition repetition, const char *tag, struct answer *ret_answer, struct fault *f)
{
    AUTO(bytes) url = {0};
    bytes_append_text(&url, server_is_socket(api->context->server) ? "http://localhost" : api->context->server);
    bytes_append_text(&url, path);
    TRY(bytes_check(&url, f));
    CLEANUP(secret_cleanup) struct bytes text = {0};
    if (body) {
        char *dumped = json_dumps(body, JSON_COMPACT);
        bytes_append_text(&text, dumped ? dumped : "");
        free(dumped);
        TRY(bytes_check(&text, f));
    }
    AUTO(bytes) header = {0};
    const struct answer_kept *kept = strcmp(method, "GET") == 0 ? answers_find(api->answers, path) : NULL;
    bytes_appendf(&header, "%s: %s", kept ? "If-None-Match" : "If-Match", kept ? kept->etag : tag ? tag : "");
    TRY(bytes_check(&header, f));
    struct exchange exchange = {.method = method,
                                .path = path,
                                .url = bytes_text(&url),
                                .body = body ? bytes_text(&text) : NULL,
                                .tag_header = kept || tag ? (char *)header.data : NULL,
                                .kept = kept};
    TRY(key_make(&exchange, repetition, f));
    TRY(exchange_run(api, &exchange, ret_answer, f));
    return answer_settle(api, &exchange, ret_answer, f);
}

static enum err json_parse(const struct answer *answer, const char *method, const char *path,
                           struct document **ret_answer, struct fault *f)
{
    if (!content_is(answer, "application/json"))
        return fault_set(f, CODE_UNTRUSTED, "the answer to %s %s is not JSON", method, path);
    return document_parse_json(bytes_span(&answer->body), ret_answer, f);
}

static enum err json_exchange(struct api *api, const char *method, const char *path, const json_t *body,
                              enum repetition repetition, struct document **ret_answer, struct fault *f)
{
    AUTO(answer) answer = {0};
    TRY(send_request(api, method, path, body, repetition, NULL, &answer, f));
    return json_parse(&answer, method, path, ret_answer, f);
}

enum err api_json(struct api *api, const char *method, const char *path, const json_t *body,
                  struct document **ret_answer, struct fault *f)
{
    return json_exchange(api, method, path, body, REPEATED_HERE, ret_answer, f);
}

enum err api_json_once(struct api *api, const char *path, const json_t *body, struct document **ret_answer,
                       struct fault *f)
{
    return json_exchange(api, "POST", path, body, REPEATED_BY_ANY_RUN, ret_answer, f);
}

enum err api_json_tagged(struct api *api, const char *path, struct document **ret_answer, struct bytes *ret_tag,
                         struct fault *f)
{
    AUTO(answer) answer = {0};
    struct curl_header *tag = NULL;
    TRY(send_request(api, "GET", path, NULL, REPEATED_HERE, NULL, &answer, f));
    if (curl_easy_header(api->curl, "ETag", 0, CURLH_HEADER, -1, &tag) != CURLHE_OK)
        return fault_set(f, CODE_UNTRUSTED, "the answer to GET %s has no ETag", path);
    TRY(bytes_copy(span_text(tag->value), ret_tag, f));
    return json_parse(&answer, "GET", path, ret_answer, f);
}

enum err api_json_match(struct api *api, const char *path, const char *tag, const json_t *body,
                        struct document **ret_answer, struct fault *f)
{
    AUTO(answer) answer = {0};
    TRY(send_request(api, "PUT", path, body, REPEATED_HERE, tag, &answer, f));
    return json_parse(&answer, "PUT", path, ret_answer, f);
}

enum err api_text(struct api *api, const char *path, struct bytes *ret_answer, struct fault *f)
{
    AUTO(answer) answer = {0};
    TRY(send_request(api, "GET", path, NULL, REPEATED_HERE, NULL, &answer, f));
    *ret_answer = answer.body;
    answer.body = (struct bytes){0};
    return OK;
}

enum err api_delete(struct api *api, const char *path, struct fault *f)
{
    AUTO(answer) answer = {0};
    return send_request(api, "DELETE", path, NULL, REPEATED_HERE, NULL, &answer, f);
}

bool api_key_refused(const struct fault *f)
{
    for (size_t i = 0; i < f->reasons_count; i++)
        if (strcmp(f->reasons[i].pointer, "/csr/publicKey") == 0)
            return true;
    return false;
}

void answer_bytes(const struct node *object, const char *key, struct bytes *ret_data)
{
    struct node node = node_get(object, key);
    struct fault why = {0};
    const char *text = NULL;
    if (node_string(&node, NODE_REQUIRED, &text) && base64url_decode(span_text(text), ret_data, &why) != OK)
        node_error(&node, "%s", why.text);
}

enum err answer_finish(const char *what, struct fault *f)
{
    return fault_if_reasons(f, CODE_UNTRUSTED, "the service's answer about %s is not what its API promises", what);
}
