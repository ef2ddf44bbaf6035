#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/commands.h"
#include "client/files.h"
#include "client/issued.h"
#include "client/keys.h"
#include "client/session.h"
#include "client/text.h"

enum { LIFETIME_SECONDS = 90 * 86400 };

static const struct column columns[] = {
    {"NAME", "name", false},
    {"KIND", "kind", false},
    {"CLUSTER", "cluster", false},
    {"NODE", "node", false},
};

enum err whoami(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    const struct output output = {session.format, columns, ARRAY_SIZE(columns)};
    return session_show(&session, "/v1/whoami", &output, f);
}

static enum err answer_check(const struct session *session, const char *name, EVP_PKEY *key,
                             const struct issued *issued, struct fault *f)
{
    AUTO(profiles) profiles = {0};
    TRY(profiles_shipped(&profiles, f));
    const struct profile *profile = profiles_find(&profiles, "identity");
    if (!profile)
        return fault_set(f, CODE_INTERNAL, "this program has no profile \"identity\"");
    AUTO(bytes) spki = {0};
    TRY(key_spki(key, &spki, f));
    const struct expectation expectation = {profile, name, bytes_span(&spki), session->context.pin, time(NULL)};
    struct issued_facts facts;
    return issued_check(issued, &expectation, &facts, f);
}

static enum err identity_request(struct session *session, const struct arguments *arguments, EVP_PKEY *key,
                                 struct issued *ret_issued, struct fault *f)
{
    AUTO(bytes) csr = {0};
    TRY(key_request_pem(key, &csr, f));
    CLEANUP(json_cleanup)
    json_t *body = json_pack("{s:s, s:s, s:s, s:I}", "name", arguments->operands[0], "role",
                             arguments->values[OPTION_ROLE], "csr", bytes_text(&csr), "lifetime_seconds",
                             (json_int_t)option_seconds(arguments, OPTION_LIFETIME, LIFETIME_SECONDS));
    if (!body)
        return fault_set(f, CODE_USAGE, "the name of the identity is not UTF-8");
    CLEANUP(document_auto) struct document *answer = NULL;
    TRY(api_json(session->api, "POST", "/v1/identities", body, &answer, f));
    AUTO(issued) issued = {0};
    TRY(issued_read(answer, &issued, f));
    TRY(answer_check(session, arguments->operands[0], key, &issued, f));
    *ret_issued = issued;
    issued = (struct issued){0};
    return OK;
}

static enum err context_put(const struct session *session, const struct issued *issued, const struct bytes *key_pem,
                            const char *path, struct fault *f)
{
    const struct context_text text = {.server = session->context.server,
                                      .log_verifier = session->context.log_verifier,
                                      .pin = session->context.pin,
                                      .certificate = bytes_text(&issued->certificate),
                                      .key = bytes_text(key_pem)};
    CLEANUP(secret_cleanup) struct bytes document = {0};
    TRY(context_write(&text, &document, f));
    return file_put(path, FILE_MODE_PRIVATE, FILE_NEW, bytes_span(&document), f);
}

enum err identity_create(const struct arguments *arguments, struct fault *f)
{
    const char *name = arguments->operands[0], *out = arguments->values[OPTION_OUT];
    char standard[DNS_NAME_MAX + 16];
    if (!out &&
        (!file_name_valid(name) || (size_t)snprintf(standard, sizeof standard, "%s.context", name) >= sizeof standard))
        return fault_set(f, CODE_USAGE, "this name cannot be the name of a file: give --out FILE");
    out = out ? out : standard;
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    if (!session.context.has_pin || server_is_socket(session.context.server))
        return fault_set(f, CODE_USAGE,
                         "the new context gets the address and pin of this one: use a context with an https server");
    TRY(file_check(out, FILE_MODE_PRIVATE, FILE_NEW, f)); /* before a certificate is issued that could not be kept */
    CLEANUP(secret_cleanup) struct bytes key_pem = {0};
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
    TRY(key_make_pem(KEY_ECDSA_P256, &key_pem, f));
    TRY(key_read_pem(bytes_span(&key_pem), &key, f));
    AUTO(issued) issued = {0};
    TRY(identity_request(&session, arguments, key, &issued, f));
    TRY(context_put(&session, &issued, &key_pem, out, f));
    message("%s: a context for %s (%s), to be handed over in confidence", out, name, arguments->values[OPTION_ROLE]);
    return OK;
}
