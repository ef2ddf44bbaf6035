#include <sys/stat.h>
#include <time.h>

#include "ca/x509/request.h"
#include "client/commands.h"
#include "client/files.h"
#include "client/issued.h"
#include "client/keys.h"
#include "client/pages.h"
#include "client/session.h"
#include "client/text.h"

static const struct column list_columns[] = {
    {"SERIAL", "serial", false},      {"CLUSTER", "cluster", false},
    {"NODE", "node", false},          {"PROFILE", "profile", false},
    {"STATE", "state", false},        {"NOT AFTER", "not_after", false},
    {"IDENTITY", "identity", true},   {"SUBJECT", "subject", true},
    {"AUTHORITY", "authority", true}, {"REQUESTED BY", "requested_by", true},
};
static const struct column show_columns[] = {
    {"SERIAL", "serial", false},
    {"CLUSTER", "cluster", false},
    {"AUTHORITY", "authority", false},
    {"NODE", "node", false},
    {"IDENTITY", "identity", false},
    {"ROLE", "role", false},
    {"PROFILE", "profile", false},
    {"SUBJECT", "subject", false},
    {"DNS", "dns", false},
    {"ADDRESSES", "addresses", false},
    {"KEY USAGE", "key_usage", false},
    {"EXTENDED KEY USAGE", "extended_key_usage", false},
    {"STATE", "state", false},
    {"NOT BEFORE", "not_before", false},
    {"NOT AFTER", "not_after", false},
    {"ISSUED", "issued_at", false},
    {"REQUESTED BY", "requested_by", false},
    {"SHA-256", "sha256", true},
    {"SPKI SHA-256", "spki_sha256", true},
    {"LOG SEQUENCE", "log_sequence", true},
};
static const struct column decision_columns[] = {
    {"PROFILE", "decision.profile", false},
    {"CLUSTER", "decision.cluster", false},
    {"AUTHORITY", "decision.authority", false},
    {"NODE", "decision.node", false},
    {"IDENTITY", "decision.identity", false},
    {"SUBJECT", "decision.subject", false},
    {"DNS", "decision.dns", false},
    {"ADDRESSES", "decision.addresses", false},
    {"KEY USAGE", "decision.key_usage", false},
    {"EXTENDED KEY USAGE", "decision.extended_key_usage", false},
    {"NOT BEFORE", "decision.not_before", false},
    {"NOT AFTER", "decision.not_after", false},
};

/* ---- list, show ---- */

enum err certificate_list(const struct arguments *arguments, struct fault *f)
{
    static const struct {
        const char *name;
        enum option_name option;
    } filters[] = {
        {"cluster", OPTION_CLUSTER},
        {"node", OPTION_NODE},
        {"profile", OPTION_PROFILE},
        {"state", OPTION_STATE},
        {"expiring_within", OPTION_EXPIRING_WITHIN},
    };
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    AUTO(bytes) path = {0};
    bytes_append_text(&path, "/v1/certificates");
    for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
        query_append(&path, filters[i].name, arguments->values[filters[i].option]);
    TRY(bytes_check(&path, f));
    CLEANUP(json_cleanup) json_t *list = NULL;
    TRY(pages_fetch(session.api, bytes_text(&path), option_number(arguments, OPTION_LIMIT, 0), &list, f));
    const struct output output = {session.format, list_columns, ARRAY_SIZE(list_columns)};
    return output_list(&output, list, f);
}

enum err certificate_show(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    AUTO(bytes) path = {0};
    bytes_append_text(&path, "/v1/certificates/");
    percent_append(&path, arguments->operands[0]);
    TRY(bytes_check(&path, f));
    const struct output output = {session.format, show_columns, ARRAY_SIZE(show_columns)};
    return session_show(&session, bytes_text(&path), &output, f);
}

/* ---- request ---- */

/* The key of the file, or a new one, which is stored before it is used. A dry run stores nothing. */
static enum err key_of_file(const char *path, enum key_algorithm algorithm, bool store, EVP_PKEY **ret_key,
                            struct fault *f)
{
    CLEANUP(secret_cleanup) struct bytes pem = {0};
    enum err err = file_read_private(path, &pem, f);
    if (err == ERR_ABSENT) {
        fault_clear(f);
        TRY(key_make_pem(algorithm, &pem, f));
        err = store ? file_put(path, FILE_MODE_PRIVATE, FILE_NEW, bytes_span(&pem), f) : OK;
    }
    TRY(err);
    return key_read_pem(bytes_span(&pem), ret_key, f);
}

static bool same_file(const char *a, const char *b)
{
    struct stat first, second;
    return a && b && stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

/* The certificate must find its place, and not that of the key, once it is issued. */
static enum err out_check(const struct arguments *arguments, struct fault *f)
{
    const char *out = arguments->values[OPTION_OUT];
    if (!out || arguments->values[OPTION_DRY_RUN])
        return OK;
    if (same_file(out, arguments->values[OPTION_KEY]) || same_file(out, arguments->values[OPTION_CSR]))
        return fault_set(f, CODE_USAGE, "--out is the file of the key or request, which it would replace");
    return file_check(out, FILE_MODE_PUBLIC, FILE_REPLACE, f);
}

static enum err csr_take(const struct arguments *arguments, struct bytes *ret_csr, struct fault *f)
{
    const char *csr = arguments->values[OPTION_CSR], *key_file = arguments->values[OPTION_KEY];
    if (!csr == !key_file)
        return fault_set(f, CODE_USAGE, "give either --csr FILE or --key FILE");
    if (csr && arguments->values[OPTION_KEY_ALGORITHM])
        return fault_set(f, CODE_USAGE, "--key-algorithm is for --key: the request has its key already");
    if (csr)
        return file_read(csr, ret_csr, f);
    const char *word = arguments->values[OPTION_KEY_ALGORITHM];
    enum key_algorithm algorithm = word ? key_algorithm_by_name(word) : KEY_ECDSA_P256;
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
    TRY(key_of_file(key_file, algorithm, !arguments->values[OPTION_DRY_RUN], &key, f));
    return key_request_pem(key, ret_csr, f);
}

/* The name in the subject is the node's that was asked for, or the one that a token is for: then the answer says it. */
static enum err answer_check(const struct session *session, const struct arguments *arguments, struct span csr,
                             const struct document *answer, struct issued *ret_issued, struct fault *f)
{
    AUTO(profiles) profiles = {0};
    TRY(profiles_shipped(&profiles, f));
    const struct profile *profile = profiles_find(&profiles, arguments->values[OPTION_PROFILE]);
    if (!profile)
        return fault_set(f, CODE_UNSUPPORTED, "this program does not know the profile, so it cannot check the answer");
    AUTO(request) request = {0};
    TRY(request_parse_pem(csr, &request, f));
    const char *told = json_string_value(json_object_get(document_json(answer), "node"));
    const char *node = arguments->values[OPTION_NODE] ? arguments->values[OPTION_NODE] : told;
    const char *name = arguments->values[OPTION_USER] ? arguments->values[OPTION_USER] : node;
    struct profile expected;
    profile_with_groups(profile, arguments->groups, arguments->groups_count, &expected);
    const struct expectation expectation = {&expected, name ? name : "", request.public_key.spki, session->context.pin,
                                            time(NULL)};
    struct issued_facts facts;
    AUTO(issued) issued = {0};
    TRY(issued_read(answer, &issued, f));
    TRY(issued_check(&issued, &expectation, &facts, f));
    *ret_issued = issued;
    issued = (struct issued){0};
    return OK;
}

static enum err result_write(const struct session *session, const struct arguments *arguments,
                             const struct issued *issued, const struct document *answer, struct fault *f)
{
    const char *out = arguments->values[OPTION_OUT];
    if (out)
        TRY(file_put(out, FILE_MODE_PUBLIC, FILE_REPLACE, bytes_span(&issued->certificate), f));
    if (arguments->values[OPTION_OUTPUT]) {
        const struct output output = {session->format, show_columns, ARRAY_SIZE(show_columns)};
        return output_object(&output, document_json(answer), f);
    }
    return out ? OK : output_text(bytes_span(&issued->certificate), f);
}

static json_t *request_body(const struct arguments *arguments, const struct bytes *csr)
{
    bool dry = arguments->values[OPTION_DRY_RUN];
    CLEANUP(json_cleanup)
    json_t *body =
        json_pack("{s:s, s:s, s:s*, s:s*}", "profile", arguments->values[OPTION_PROFILE], "csr", bytes_text(csr),
                  "node", arguments->values[OPTION_NODE], "user", arguments->values[OPTION_USER]);
    if (body && dry)
        json_object_set_new(body, "dry_run", json_true());
    return json_add_texts(body, "groups", arguments->groups, arguments->groups_count) ? TAKE(body) : NULL;
}

enum err certificate_request(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    TRY(session_pin(&session, session.context.pin, f));
    AUTO(bytes) csr = {0};
    TRY(csr_take(arguments, &csr, f));
    TRY(out_check(arguments, f));
    CLEANUP(json_cleanup) json_t *body = request_body(arguments, &csr);
    AUTO(bytes) path = {0};
    cluster_path(&path, arguments->values[OPTION_CLUSTER], "/certificates");
    TRY(bytes_check(&path, f));
    if (!body)
        return fault_set(f, CODE_USAGE, "a name or the request is not UTF-8");
    CLEANUP(document_auto) struct document *answer = NULL;
    TRY(api_json(session.api, "POST", bytes_text(&path), body, &answer, f));
    if (arguments->values[OPTION_DRY_RUN]) {
        const struct output output = {session.format, decision_columns, ARRAY_SIZE(decision_columns)};
        return output_object(&output, document_json(answer), f);
    }
    AUTO(issued) issued = {0};
    TRY(answer_check(&session, arguments, bytes_span(&csr), answer, &issued, f));
    return result_write(&session, arguments, &issued, answer, f);
}
