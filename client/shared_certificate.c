/* shared_certificate.c: the one certificate of a key that the control planes share, as each of them has it. */
#include <string.h>
#include <time.h>

#include "ca/base/encode.h"
#include "client/files.h"
#include "client/issued.h"
#include "client/keys.h"
#include "client/shared_work.h"
#include "client/text.h"

/* The answer replaces *view. */
static enum err certificate_obtain(struct work *work, struct view *view, struct fault *f)
{
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
    AUTO(bytes) csr = {0};
    AUTO(view) after = {0};
    TRY(key_read_pem(bytes_span(&work->private_pem), &key, f));
    TRY(key_request_pem(key, &csr, f));
    CLEANUP(json_cleanup) json_t *body = json_pack("{ss}", "csr", bytes_text(&csr));
    const int64_t lifetime_seconds = work->keys->lifetime_seconds;
    if (!body ||
        (lifetime_seconds > 0 && json_object_set_new(body, "lifetime_seconds", json_integer(lifetime_seconds)) != 0))
        return fault_no_memory(f);
    TRY(view_ask(work, "POST", "/certificate", body, &after, f));
    view_cleanup(view);
    *view = after;
    after = (struct view){0};
    work->changed = true;
    return OK;
}

enum err shared_certificate_good(const struct work *work, const struct view *view, struct fault *f)
{
    struct node root = document_root(view->answer, f), certificate = node_get(&root, "certificate");
    const char *state = json_is_object(certificate.value) ? member_text(&certificate, "state") : NULL;
    TRY(answer_finish("a certificate", f));
    if (!state || strcmp(state, "revoked") != 0)
        return OK;
    return fault_set(f, CODE_PENDING,
                     "%s: its certificate was revoked: an admin has it made anew with `ensign shared-key reset %s "
                     "--cluster %s`",
                     work->name, work->name, work->cluster);
}

static enum err certificate_read(const struct work *work, const struct view *view, struct issued *ret_issued,
                                 struct issued_facts *ret_facts, struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    struct node root = document_root(view->answer, f), certificate = node_get(&root, "certificate");
    if (!json_is_object(certificate.value))
        return fault_set(f, CODE_PENDING, "%s: \"%s\" has not got the certificate yet", work->name, view->custodian);
    TRY(shared_certificate_good(work, view, f));
    TRY(document_of_node(&certificate, &document, f));
    TRY(issued_read(document, ret_issued, f));
    const struct expectation expectation = {profiles_find(&work->profiles, work->name), work->node,
                                            bytes_span(&work->spki), work->session.context.pin, time(NULL)};
    return issued_check(ret_issued, &expectation, ret_facts, f);
}

enum { SET_FILES = 4 };

static bool set_stands(int folder, const struct folder_file files[SET_FILES])
{
    struct fault ignored = {0};
    bool stands = true;
    for (size_t i = 0; i < SET_FILES && stands; i++) {
        CLEANUP(secret_cleanup) struct bytes there = {0};
        stands = file_read_at(folder, files[i].name, &there, &ignored) == OK &&
                 span_equal(bytes_span(&there), files[i].content);
    }
    return stands;
}

/* The set is as those that enrolment keeps. What is right already is not touched. */
static enum err set_put(struct work *work, const struct issued *issued, struct fault *f)
{
    CLEANUP(fd_cleanup) int folder = -1;
    struct fault ignored = {0};
    const struct folder_file files[SET_FILES] = {
        {"tls.key", FILE_MODE_PRIVATE, bytes_span(&work->private_pem)},
        {"tls.crt", FILE_MODE_PUBLIC, bytes_span(&issued->certificate)},
        {"chain.crt", FILE_MODE_PUBLIC, bytes_span(&issued->chain)},
        {"ca.crt", FILE_MODE_PUBLIC, bytes_span(&issued->bundle)},
    };
    if (folder_open_at(work->keys->folder, work->name, false, &folder, &ignored) == OK && set_stands(folder, files))
        return OK;
    TRY(folder_put_at(work->keys->folder, work->name, files, SET_FILES, f));
    work->changed = true;
    return OK;
}

enum err shared_certificate(struct work *work, struct view *view, struct fault *f)
{
    AUTO(issued) issued = {0};
    struct issued_facts facts;
    char until[TIME_TEXT_SIZE];
    if (!work->certified)
        return OK;
    struct node root = document_root(view->answer, f), certificate = node_get(&root, "certificate");
    bool obtain = json_is_null(certificate.value) && view->custodian && strcmp(view->custodian, work->node) == 0;
    if (obtain)
        TRY(certificate_obtain(work, view, f));
    TRY(certificate_read(work, view, &issued, &facts, f));
    time_text(facts.not_after, until);
    if (obtain)
        message("%s: issued %s (valid until %s)", work->name, facts.serial, until);
    return set_put(work, &issued, f);
}
