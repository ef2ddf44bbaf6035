#include "client/context.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/files.h"
#include "client/pin.h"
#include "client/text.h"
#include "policies/words.h"

static const char socket_prefix[] = "unix://";
static const char https_prefix[] = "https://";

void context_cleanup(struct context *context)
{
    bytes_free(&context->certificate);
    secret_cleanup(&context->key);
    secret_cleanup(&context->token);
}

bool server_is_socket(const char *server)
{
    return strncmp(server, socket_prefix, sizeof socket_prefix - 1) == 0;
}

/* https://host[:port] without a user, path or query, or unix:///path. */
static enum err server_read(const char *text, char ret_server[SERVER_TEXT_MAX + 1], struct fault *f)
{
    size_t size = strlen(text);
    bool https = strncmp(text, https_prefix, sizeof https_prefix - 1) == 0;
    if (https && size > 0 && text[size - 1] == '/')
        size--;
    size_t start = sizeof https_prefix - 1;
    bool authority = https && size > start && strcspn(text + start, "/?#@ \\\t\r\n") >= size - start;
    bool path = server_is_socket(text) && text[sizeof socket_prefix - 1] == '/';
    if ((!authority && !path) || size > SERVER_TEXT_MAX)
        return fault_set(f, CODE_INVALID,
                         "\"%.200s\" is not the address of a service: https://HOST:PORT or unix:///SOCKET", text);
    memcpy(ret_server, text, size);
    ret_server[size] = '\0';
    return OK;
}

/* ---- the file ---- */

static enum err path_beside(const char *file, const char *name, char ret_path[PATH_MAX], struct fault *f)
{
    const char *slash = name[0] == '/' ? NULL : strrchr(file, '/');
    int folder_size = slash ? (int)(slash - file + 1) : 0;
    if (snprintf(ret_path, PATH_MAX, "%.*s%s", folder_size, file, name) >= PATH_MAX)
        return fault_set(f, CODE_INVALID, "the path that begins with \"%.100s\" is too long", name);
    return OK;
}

/* Either the PEM itself or a file with it. */
static enum err pem_from(const struct node *root, const char *path, const char *key, const char *file_key, bool secret,
                         struct bytes *ret_pem, struct fault *f)
{
    struct node inline_node = node_get(root, key), file_node = node_get(root, file_key);
    const char *text = NULL, *name = NULL;
    if (node_present(&inline_node) && node_present(&file_node))
        node_error(&file_node, "either %s or %s, not both", key, file_key);
    if (node_string(&inline_node, NODE_OPTIONAL, &text))
        return bytes_copy(span_text(text), ret_pem, f);
    if (!node_string(&file_node, NODE_OPTIONAL, &name))
        return OK;
    char whole[PATH_MAX];
    TRY(path_beside(path, name, whole, f));
    return secret ? file_read_private(whole, ret_pem, f) : file_read(whole, ret_pem, f);
}

static void pin_read(const struct node *root, struct context *context)
{
    char text[PIN_TEXT_SIZE];
    struct node node = node_get(root, "pin");
    struct fault why = {0};
    if (!node_text(&node, NODE_OPTIONAL, text, sizeof text))
        return;
    context->has_pin = pin_parse(text, context->pin, &why) == OK;
    if (!context->has_pin)
        node_error(&node, "%s", why.text);
}

static enum err fields_read(const struct node *root, const char *path, struct context *context, struct fault *f)
{
    static const char *const keys[] = {"apiVersion",      "kind", "server",  "pin",         "certificate",
                                       "certificateFile", "key",  "keyFile", "logVerifier", NULL};
    node_allow(root, keys);
    document_kind(root, "Context");
    struct node server = node_get(root, "server"), verifier = node_get(root, "logVerifier");
    const char *text = NULL;
    struct fault why = {0};
    if (node_string(&server, NODE_REQUIRED, &text) && server_read(text, context->server, &why) != OK)
        node_error(&server, "%s", why.text);
    pin_read(root, context);
    node_text(&verifier, NODE_OPTIONAL, context->log_verifier, sizeof context->log_verifier);
    if (context->server[0] && !server_is_socket(context->server) && !context->has_pin)
        node_error(root, "pin is required with an https server");
    TRY(pem_from(root, path, "certificate", "certificateFile", false, &context->certificate, f));
    TRY(pem_from(root, path, "key", "keyFile", true, &context->key, f));
    if ((context->certificate.size > 0) != (context->key.size > 0))
        node_error(root, "certificate and key go together");
    return fault_if_reasons(f, CODE_INVALID, "\"%s\" is not a valid context file", path);
}

enum err context_load(const char *path, struct context *ret_context, struct fault *f)
{
    CLEANUP(secret_cleanup) struct bytes text = {0};
    TRY(file_read_private(path, &text, f));
    CLEANUP(document_auto) struct document *document = NULL;
    TRY(document_parse(bytes_span(&text), path, &document, f));
    struct node root = document_root(document, f);
    AUTO(context) context = {0};
    TRY(fields_read(&root, path, &context, f));
    *ret_context = context;
    context = (struct context){0};
    return OK;
}

/* ---- options, environment, file ---- */

static const char *choose(const char *option, const char *variable)
{
    const char *value = option ? option : getenv(variable);
    return value && value[0] ? value : NULL;
}

/* The default file that exists; NULL when none does. */
static const char *default_file(char ret_path[PATH_MAX])
{
    const char *home = getenv("HOME");
    if (home && snprintf(ret_path, PATH_MAX, "%s/.config/ensign/context", home) < PATH_MAX &&
        access(ret_path, F_OK) == 0)
        return ret_path;
    return access("/etc/ensign/context", F_OK) == 0 ? "/etc/ensign/context" : NULL;
}

/* The token says which service may see it, whatever the context says. */
static enum err token_take(const char *path, struct context *context, struct fault *f)
{
    CLEANUP(secret_cleanup) struct bytes text = {0};
    TRY(strcmp(path, "-") == 0 ? file_read(path, &text, f) : file_read_private(path, &text, f));
    AUTO(token) token = {0};
    TRY(token_parse(bytes_span(&text), &token, f));
    token_text(&token, &context->token);
    TRY(bytes_check(&context->token, f));
    context->has_pin = true;
    memcpy(context->pin, token.pin, sizeof context->pin);
    return OK;
}

static enum err context_complete(const struct context *context, struct fault *f)
{
    if (!context->server[0])
        return fault_set(f, CODE_USAGE,
                         "which service? Give --context FILE (ENSIGN_CONTEXT), or --server URL with --token-file FILE");
    if (!server_is_socket(context->server) && !context->has_pin)
        return fault_set(f, CODE_USAGE, "nothing says how to recognise %s: a context file or a token holds its pin",
                         context->server);
    return OK;
}

enum err context_open(const struct context_choice *choice, struct context *ret_context, struct fault *f)
{
    const char *path = choose(choice->context, "ENSIGN_CONTEXT"), *server = choose(choice->server, "ENSIGN_SERVER");
    const char *token_file = choose(choice->token_file, "ENSIGN_TOKEN_FILE");
    char standard[PATH_MAX];
    bool alone = server && (token_file || server_is_socket(server)); /* needs nothing of a context */
    if (!path && !alone)
        path = default_file(standard);
    AUTO(context) context = {0};
    if (path)
        TRY(context_load(path, &context, f));
    if (server)
        TRY(server_read(server, context.server, f));
    if (token_file)
        TRY(token_take(token_file, &context, f));
    TRY(context_complete(&context, f));
    *ret_context = context;
    context = (struct context){0};
    return OK;
}

/* ---- writing ---- */

static void text_wipe(char **text)
{
    if (*text)
        OPENSSL_cleanse(*text, strlen(*text));
    free(*text);
}

enum err context_write(const struct context_text *text, struct bytes *ret_document, struct fault *f)
{
    char pin[PIN_TEXT_SIZE];
    pin_text(text->pin, pin);
    CLEANUP(json_cleanup)
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "apiVersion", "ensign/v1", "kind", "Context", "server",
                  text->server, "pin", pin, text->by_file ? "certificateFile" : "certificate", text->certificate,
                  text->by_file ? "keyFile" : "key", text->key, "logVerifier", text->log_verifier);
    CLEANUP(text_wipe) char *written = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    if (!written)
        return fault_no_memory(f);
    struct bytes document = {0};
    bytes_append_text(&document, written);
    bytes_append_text(&document, "\n");
    enum err err = bytes_check(&document, f);
    if (err != OK)
        secret_cleanup(&document);
    else
        *ret_document = document;
    return err;
}
