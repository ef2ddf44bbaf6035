#include "client/user.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ca/base/encode.h"
#include "client/files.h"
#include "client/issued.h"
#include "client/keys.h"
#include "client/kubeconfig.h"
#include "client/text.h"
#include "policies/apiserver.h"

/* What the wish comes to in this cluster. */
struct user_work {
    struct session *session;
    const struct user_wish *wish;
    struct profiles profiles;
    struct profile profile; /* the one of the wish, with its groups; borrows */
    char server[SERVER_URL_SIZE];
    struct bytes bundle;  /* today's CA certificates */
    struct bytes pending; /* the path of what waits */
    bool spent;           /* what waits is of no more use */
};

/* What is on the disk before it is sent. */
struct pending {
    struct bytes key, request; /* PEM */
};

static void pending_cleanup(struct pending *pending)
{
    secret_cleanup(&pending->key);
    bytes_free(&pending->request);
}

static void user_work_cleanup(struct user_work *work)
{
    profiles_cleanup(&work->profiles);
    bytes_free(&work->bundle);
    bytes_free(&work->pending);
}

static enum err profile_find(struct user_work *work, struct fault *f)
{
    const struct user_wish *wish = work->wish;
    TRY(profiles_shipped(&work->profiles, f));
    const struct profile *profile = profiles_find(&work->profiles, wish->profile);
    if (!profile)
        return fault_set(f, CODE_INTERNAL, "this program has no profile \"%s\"", wish->profile);
    profile_with_groups(profile, wish->groups, wish->groups_count, &work->profile);
    return OK;
}

static enum err work_prepare(struct user_work *work, struct fault *f)
{
    const struct user_wish *wish = work->wish;
    AUTO(cluster) cluster = {0};
    TRY(session_cluster(work->session, wish->cluster, &cluster, f));
    apiserver_url(&cluster, cluster_first_control_plane(&cluster), work->server);
    TRY(profile_find(work, f));
    bytes_appendf(&work->pending, "%s.", wish->path);
    percent_append(&work->pending, wish->name);
    bytes_appendf(&work->pending, "@%s.pending", cluster.name);
    TRY(bytes_check(&work->pending, f));
    return session_bundle(work->session, wish->cluster, work->profile.issuer, &work->bundle, f);
}

static enum err issued_verify(const struct user_work *work, EVP_PKEY *key, const struct issued *issued,
                              struct issued_facts *ret_facts, struct fault *f)
{
    AUTO(bytes) spki = {0};
    TRY(key_spki(key, &spki, f));
    const struct expectation expectation = {&work->profile, work->wish->name, bytes_span(&spki),
                                            work->session->context.pin, time(NULL)};
    return issued_check(issued, &expectation, ret_facts, f);
}

/* ---- the file that is there ---- */

/* The CA among today's that issued it, PEM; ERR_ABSENT when none did. An expired one is asked about at its end. */
static enum err issuer_find(const struct user_work *work, const struct certificate *leaf, struct bytes *ret_pem,
                            struct fault *f)
{
    struct span rest = bytes_span(&work->bundle);
    const int64_t now = time(NULL), end = leaf->body.content.not_after;
    for (;;) {
        AUTO(certificate) ca = {0};
        struct fault why = {0};
        TRY(bundle_next(&rest, &ca, f));
        if (certificate_check_issuer(leaf, &ca, now < end ? now : end, &why) != OK)
            continue;
        pem_append(ret_pem, "CERTIFICATE", bytes_span(&ca.der));
        return bytes_check(ret_pem, f);
    }
}

/* Whose the file is: anything but this user's, of this cluster and its CA, would be lost. */
static enum err owner_check(const struct user_work *work, const struct kubeconfig_content *content,
                            const struct certificate *leaf, struct bytes *ret_issuer, struct fault *f)
{
    const struct user_wish *wish = work->wish;
    if (strcmp(content->user, wish->name) != 0 || strcmp(content->cluster, wish->cluster) != 0)
        return fault_set(f, CODE_CONFLICT,
                         "\"%s\" is the kubeconfig of %s@%s: choose another file with --kubeconfig, or move it away",
                         wish->path, content->user, content->cluster);
    enum err err = issuer_find(work, leaf, ret_issuer, f);
    if (err != ERR_ABSENT)
        return err;
    fault_clear(f);
    return fault_set(
        f, CODE_CONFLICT,
        "\"%s\" is the kubeconfig of %s@%s, but of another CA, so perhaps of another cluster: move it away", wish->path,
        content->user, content->cluster);
}

/* Why what the file holds cannot stay. */
static enum err content_check(const struct user_work *work, const struct kubeconfig_content *content,
                              const struct certificate *leaf, const struct bytes *issuer, struct fault *f)
{
    const struct certificate_content *dates = &leaf->body.content;
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
    AUTO(issued) issued = {0};
    struct issued_facts facts;
    TRY(bytes_copy(bytes_span(&content->certificate), &issued.certificate, f));
    bytes_append_span(&issued.chain, bytes_span(&content->certificate));
    bytes_append_span(&issued.chain, bytes_span(issuer));
    bytes_append_span(&issued.bundle, bytes_span(&content->bundle));
    TRY(bytes_check(&issued.chain, f));
    TRY(bytes_check(&issued.bundle, f));
    TRY(key_read_pem(bytes_span(&content->key), &key, f));
    TRY(issued_verify(work, key, &issued, &facts, f));
    if (strcmp(content->server, work->server) != 0)
        fault_reason(f, "server", "the cluster is reached at %s now", work->server);
    if (!span_equal(bytes_span(&content->bundle), bytes_span(&work->bundle)))
        fault_reason(f, "bundle", "the CA certificates of the cluster are others now");
    if (dates->not_after - time(NULL) < (dates->not_after - dates->not_before) / 3)
        fault_reason(f, "validity", "less than a third of its life is left");
    return fault_if_reasons(f, CODE_EXPIRING, "it is not what it would be now");
}

/* Only the service knows. */
static enum err revoked_check(const struct user_work *work, const struct certificate *leaf, struct fault *why,
                              struct fault *f)
{
    char serial[SERIAL_TEXT_SIZE];
    bool revoked = false;
    hex_text(SPAN_OF(leaf->body.serial), serial, sizeof serial);
    TRY(session_revoked(work->session, serial, &revoked, f));
    return revoked ? fault_set(why, CODE_EXPIRING, "%s was revoked", serial) : OK;
}

static enum err file_look(const struct user_work *work, struct span text, struct fault *why, int64_t *ret_not_after,
                          struct fault *f)
{
    AUTO(kubeconfig_content) content = {0};
    AUTO(certificate) leaf = {0};
    AUTO(bytes) issuer = {0};
    if (kubeconfig_read(text, &content, why) != OK ||
        certificate_parse_pem(bytes_span(&content.certificate), &leaf, why) != OK)
        return fault_set(f, CODE_CONFLICT,
                         "\"%s\" exists, and is not a kubeconfig of one user as ensign writes it: choose another file "
                         "with --kubeconfig, or move it away",
                         work->wish->path);
    TRY(owner_check(work, &content, &leaf, &issuer, f));
    *ret_not_after = leaf.body.content.not_after;
    enum err err = content_check(work, &content, &leaf, &issuer, why);
    if (err == ERR_NOMEM)
        return fault_no_memory(f);
    if (err == OK)
        err = revoked_check(work, &leaf, why, f);
    return err != OK && why->code == CODE_NONE ? err : OK;
}

/* Whether the file can stay as it is. */
static enum err file_stays(const struct user_work *work, bool *ret_stays, struct fault *f)
{
    CLEANUP(secret_cleanup) struct bytes text = {0};
    struct fault why = {0};
    int64_t not_after = 0;
    char until[TIME_TEXT_SIZE], line[600];
    enum err err = file_read_private(work->wish->path, &text, f);
    if (err == ERR_ABSENT) {
        fault_clear(f);
        return OK;
    }
    TRY(err);
    TRY(file_look(work, bytes_span(&text), &why, &not_after, f));
    *ret_stays = why.code == CODE_NONE;
    time_text(not_after, until);
    fault_line(&why, line, sizeof line);
    if (*ret_stays)
        message("%s: unchanged (valid until %s)", work->wish->path, until);
    else
        message("%s: asking for another certificate, because %s", work->wish->path, line);
    return OK;
}

/* ---- a new one ---- */

static enum err pending_make(const char *path, struct pending *pending, struct fault *f)
{
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
    CLEANUP(secret_cleanup) struct bytes text = {0};
    TRY(key_make_pem(KEY_ECDSA_P256, &pending->key, f));
    TRY(key_read_pem(bytes_span(&pending->key), &key, f));
    TRY(key_request_pem(key, &pending->request, f));
    bytes_append_span(&text, bytes_span(&pending->key));
    bytes_append_span(&text, bytes_span(&pending->request));
    TRY(bytes_check(&text, f));
    return file_put(path, FILE_MODE_PRIVATE, FILE_NEW, bytes_span(&text), f);
}

/* The request stands behind the key. */
static enum err pending_split(const char *path, const struct bytes *text, struct pending *pending, struct fault *f)
{
    const char *begin = bytes_text(text), *request = strstr(begin, "-----BEGIN CERTIFICATE REQUEST-----");
    if (!request)
        return fault_set(f, CODE_INVALID, "\"%s\" is not what an interrupted run leaves: move it away", path);
    TRY(bytes_copy(span(text->data, (size_t)(request - begin)), &pending->key, f));
    return bytes_copy(span_text(request), &pending->request, f);
}

/* What an earlier run left if there is something, else new. */
static enum err pending_take(const struct user_work *work, struct pending *pending, struct fault *f)
{
    const char *path = bytes_text(&work->pending);
    CLEANUP(secret_cleanup) struct bytes text = {0};
    enum err err = file_read_private(path, &text, f);
    if (err == OK)
        return pending_split(path, &text, pending, f);
    if (err != ERR_ABSENT)
        return err;
    fault_clear(f);
    return pending_make(path, pending, f);
}

static json_t *request_body(const struct user_wish *wish, const struct bytes *request)
{
    CLEANUP(json_cleanup)
    json_t *body =
        json_pack("{s:s, s:s, s:s}", "profile", wish->profile, "user", wish->name, "csr", bytes_text(request));
    bool whole = json_add_texts(body, "groups", wish->groups, wish->groups_count);
    if (whole && wish->lifetime_seconds > 0)
        whole = json_object_set_new(body, "lifetime_seconds", json_integer(wish->lifetime_seconds)) == 0;
    return whole ? TAKE(body) : NULL;
}

/* A certificate that cannot be used is not asked for again: it would be the same one, which may have expired since. */
static enum err certificate_fetch(struct user_work *work, const struct pending *pending, struct issued *issued,
                                  struct issued_facts *ret_facts, struct fault *f)
{
    AUTO(bytes) path = {0};
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
    TRY(key_read_pem(bytes_span(&pending->key), &key, f));
    CLEANUP(json_cleanup) json_t *body = request_body(work->wish, &pending->request);
    if (!body)
        return fault_set(f, CODE_USAGE, "the name of the user or of a group is not UTF-8");
    cluster_path(&path, work->wish->cluster, "/certificates");
    TRY(bytes_check(&path, f));
    CLEANUP(document_auto) struct document *answer = NULL;
    TRY(api_json_once(work->session->api, bytes_text(&path), body, &answer, f));
    TRY(issued_read(answer, issued, f));
    enum err err = issued_verify(work, key, issued, ret_facts, f);
    work->spent = err != OK;
    return err;
}

static enum err file_write(const struct user_work *work, const struct issued *issued, const struct bytes *key_pem,
                           struct fault *f)
{
    const struct kubeconfig kubeconfig = {.server = work->server,
                                          .cluster = work->wish->cluster,
                                          .user = work->wish->name,
                                          .bundle = bytes_span(&issued->bundle),
                                          .certificate = bytes_span(&issued->certificate),
                                          .key = bytes_span(key_pem)};
    CLEANUP(secret_cleanup) struct bytes text = {0};
    TRY(kubeconfig_write(&kubeconfig, &text, f));
    return file_put(work->wish->path, FILE_MODE_PRIVATE, FILE_REPLACE, bytes_span(&text), f);
}

static enum err certificate_get(struct user_work *work, struct fault *f)
{
    AUTO(pending) pending = {0};
    AUTO(issued) issued = {0};
    struct issued_facts facts;
    TRY(pending_take(work, &pending, f));
    TRY(certificate_fetch(work, &pending, &issued, &facts, f));
    TRY(file_write(work, &issued, &pending.key, f));
    char until[TIME_TEXT_SIZE];
    time_text(facts.not_after, until);
    message("%s: issued %s to %s (valid until %s)", work->wish->path, facts.serial, work->wish->name, until);
    return OK;
}

/* What waited goes when the key is in the file, or will not be in any. */
static enum err certificate_obtain(struct user_work *work, struct fault *f)
{
    enum err err = certificate_get(work, f);
    if (err == OK || err == ERR_DENIED || work->spent)
        unlink(bytes_text(&work->pending));
    return err;
}

enum err user_kubeconfig(struct session *session, const struct user_wish *wish, struct fault *f)
{
    AUTO(user_work) work = {.session = session, .wish = wish};
    bool stays = false;
    TRY(file_check(wish->path, FILE_MODE_PRIVATE, FILE_REPLACE, f));
    TRY(work_prepare(&work, f));
    TRY(file_stays(&work, &stays, f));
    if (stays) {
        unlink(bytes_text(&work.pending));
        return OK;
    }
    bool kept = access(bytes_text(&work.pending), F_OK) == 0;
    enum err err = certificate_obtain(&work, f);
    if (err == ERR_DENIED && kept && api_key_refused(f)) {
        message("%s: the service refuses the key of an earlier run; asking with a new one", wish->path);
        fault_clear(f);
        err = certificate_obtain(&work, f);
    }
    return err;
}
