#include "client/enrolment.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ca/base/encode.h"
#include "client/files.h"
#include "client/issued.h"
#include "client/keys.h"
#include "client/text.h"

static const char pending_folder[] = ".pending";
static const char identity_profile[] = "node-identity";

void enrolment_cleanup(struct enrolment *enrolment)
{
    document_free(enrolment->answer);
}

/* ---- what there is to do ---- */

static void item_read(const struct node *entry, struct enrolment *enrolment)
{
    struct node profile_node = node_get(entry, "profile"), algorithm_node = node_get(entry, "key_algorithm");
    const char *name = "", *algorithm_name = "";
    if (!node_string(&profile_node, NODE_REQUIRED, &name) ||
        !node_string(&algorithm_node, NODE_REQUIRED, &algorithm_name))
        return;
    const struct profile *profile = profiles_find(enrolment->profiles, name);
    enum key_algorithm algorithm = key_algorithm_by_name(algorithm_name);
    if (!profile || !file_name_valid(name))
        node_error(&profile_node, "this program does not know the profile \"%s\"", name);
    else if (algorithm == KEY_NONE)
        node_error(&algorithm_node, "this program does not know the algorithm \"%s\"", algorithm_name);
    else
        enrolment->items[enrolment->items_count++] =
            (struct enrolment_item){.profile = profile, .algorithm = algorithm};
}

static void shared_read(const struct node *root, struct enrolment *enrolment)
{
    struct node list = node_get(root, "shared_keys");
    size_t count = node_count(&list, NODE_OPTIONAL, ENROLMENT_SHARED_MAX);
    for (size_t i = 0; i < count; i++) {
        struct node entry = node_at(&list, i);
        const char *name = NULL;
        if (node_string(&entry, NODE_REQUIRED, &name) && file_name_valid(name))
            enrolment->shared[enrolment->shared_count++] = name;
        else if (name)
            node_error(&entry, "this is no name of a key");
    }
}

/* The CA that the service names as its own must be the one that the connection was checked against. */
static void service_ca_check(const struct node *root, const uint8_t pin[SHA256_SIZE])
{
    struct node service = node_get(root, "service"), ca_node = node_get(&service, "ca");
    const char *pem = NULL;
    if (!node_string(&ca_node, NODE_REQUIRED, &pem))
        return;
    struct fault why = {0};
    AUTO(certificate) ca = {0};
    if (certificate_parse_pem(span_text(pem), &ca, &why) != OK)
        node_error(&ca_node, "%s", why.text);
    else if (CRYPTO_memcmp(ca.public_key.spki_sha256, pin, SHA256_SIZE) != 0)
        node_error(&ca_node, "this is not the CA that the token names");
}

enum err enrolment_fetch(struct enrolment *enrolment, struct fault *f)
{
    TRY(api_json(enrolment->session->api, "GET", "/v1/enrolment", NULL, &enrolment->answer, f));
    struct node root = document_root(enrolment->answer, f);
    struct node cluster = node_get(&root, "cluster"), node = node_get(&root, "node");
    struct node verifier = node_get(&root, "log_verifier"), list = node_get(&root, "certificates");
    node_string(&cluster, NODE_REQUIRED, &enrolment->cluster);
    node_string(&node, NODE_REQUIRED, &enrolment->node);
    node_string(&verifier, NODE_REQUIRED, &enrolment->log_verifier);
    service_ca_check(&root, enrolment->session->context.pin);
    size_t count = node_count(&list, NODE_REQUIRED, PROFILES_MAX);
    for (size_t i = 0; i < count; i++) {
        struct node entry = node_at(&list, i);
        item_read(&entry, enrolment);
    }
    shared_read(&root, enrolment);
    return answer_finish("this enrolment", f);
}

/* The common name of an installed certificate; empty when there is none that can be read. */
static void installed_name(int folder, const char *profile, char ret_name[ATTRIBUTE_MAX + 1])
{
    CLEANUP(fd_cleanup) int inner = -1;
    AUTO(bytes) pem = {0};
    AUTO(certificate) certificate = {0};
    struct fault ignored = {0};
    ret_name[0] = '\0';
    if (folder_open_at(folder, profile, false, &inner, &ignored) == OK &&
        file_read_at(inner, "tls.crt", &pem, &ignored) == OK &&
        certificate_parse_pem(bytes_span(&pem), &certificate, &ignored) == OK)
        strcpy(ret_name, certificate.body.content.subject.common_name);
}

enum err enrolment_check_owner(const struct enrolment *enrolment, struct fault *f)
{
    for (size_t i = 0; i < enrolment->profiles->count; i++) {
        const struct profile *profile = &enrolment->profiles->items[i];
        if (profile->common_name_from != COMMON_NAME_NODE)
            continue;
        char name[ATTRIBUTE_MAX + 1];
        struct distinguished_name own = {0};
        profile_subject(profile, enrolment->node, NULL, &own);
        installed_name(enrolment->folder, profile->name, name);
        if (name[0] && strcmp(name, own.common_name) != 0)
            return fault_set(f, CODE_CONFLICT,
                             "the folder holds the %s certificate of \"%s\", and the token is for \"%s\": choose "
                             "another folder with --out, or remove it",
                             profile->name, name, enrolment->node);
    }
    return OK;
}

static bool item_listed(const struct enrolment_item *items, size_t count, const struct profile *profile)
{
    for (size_t i = 0; i < count; i++)
        if (items[i].profile == profile)
            return true;
    return false;
}

/* A profile may be asked for that the node's roles do not bring along: whether it gets it is the service's decision. */
enum err enrolment_choose(struct enrolment *enrolment, const char *const *names, size_t count, struct fault *f)
{
    enum key_algorithm algorithm = enrolment->items_count > 0 ? enrolment->items[0].algorithm : KEY_ECDSA_P256;
    struct enrolment_item chosen[PROFILES_MAX];
    size_t chosen_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct profile *profile = profiles_find(enrolment->profiles, names[i]);
        if (!profile)
            return fault_set(f, CODE_USAGE, "there is no profile \"%s\"", names[i]);
        if (!item_listed(chosen, chosen_count, profile))
            chosen[chosen_count++] = (struct enrolment_item){.profile = profile, .algorithm = algorithm};
    }
    if (count > 0) {
        memcpy(enrolment->items, chosen, chosen_count * sizeof chosen[0]);
        enrolment->items_count = chosen_count;
    }
    return OK;
}

/* ---- one certificate ---- */

static enum err issued_verify(const struct enrolment *enrolment, const struct enrolment_item *item, EVP_PKEY *key,
                              const struct issued *issued, struct issued_facts *ret_facts, struct fault *f)
{
    AUTO(bytes) spki = {0};
    TRY(key_spki(key, &spki, f));
    const struct expectation expectation = {item->profile, enrolment->node, bytes_span(&spki),
                                            enrolment->session->context.pin, time(NULL)};
    return issued_check(issued, &expectation, ret_facts, f);
}

static enum err installed_read(int folder, EVP_PKEY **ret_key, struct issued *issued, struct fault *f)
{
    CLEANUP(secret_cleanup) struct bytes key_pem = {0};
    TRY(file_read_at(folder, "tls.key", &key_pem, f));
    TRY(file_read_at(folder, "tls.crt", &issued->certificate, f));
    TRY(file_read_at(folder, "chain.crt", &issued->chain, f));
    TRY(file_read_at(folder, "ca.crt", &issued->bundle, f));
    return key_read_pem(bytes_span(&key_pem), ret_key, f);
}

/* OK: the set that is installed is whole and what would be asked for. */
static enum err installed_verify(const struct enrolment *enrolment, const struct enrolment_item *item,
                                 struct issued *issued, struct issued_facts *ret_facts, struct fault *f)
{
    CLEANUP(fd_cleanup) int folder = -1;
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
    TRY(folder_open_at(enrolment->folder, item->profile->name, false, &folder, f));
    TRY(installed_read(folder, &key, issued, f));
    return issued_verify(enrolment, item, key, issued, ret_facts, f);
}

/* How a set stands that is, or is not, installed. */
struct standing {
    bool stays, revoked;
    struct fault why; /* not to stay; CODE_NOT_FOUND: there is none */
};

/* What only the service knows of a set that is whole: the CAs of today, and what was revoked. Unless it says so,
 * nothing is replaced. */
static enum err installed_ask(const struct enrolment *enrolment, const struct profile *profile,
                              const struct issued *issued, const char *serial, struct standing *standing,
                              struct fault *f)
{
    AUTO(bytes) bundle = {0};
    const char *cluster = issued_by_service(profile) ? CLUSTER_SERVICE : enrolment->cluster;
    TRY(session_bundle(enrolment->session, cluster, profile->issuer, &bundle, f));
    TRY(session_revoked(enrolment->session, serial, &standing->revoked, f));
    enum err err = OK;
    if (standing->revoked)
        err = fault_set(&standing->why, CODE_CONFLICT, "%s was revoked", serial);
    else if (!span_equal(bytes_span(&bundle), bytes_span(&issued->bundle)))
        err = fault_set(&standing->why, CODE_CONFLICT, "the CA certificates of %s in cluster %s are others now",
                        profile->issuer, cluster);
    standing->stays = err == OK;
    return OK;
}

static enum err installed_look(const struct enrolment *enrolment, const struct enrolment_item *item,
                               struct standing *ret_standing, struct fault *f)
{
    AUTO(issued) issued = {0};
    struct issued_facts facts;
    *ret_standing = (struct standing){0};
    enum err err = installed_verify(enrolment, item, &issued, &facts, &ret_standing->why);
    if (err == ERR_IO) { /* it may be whole: somebody else's folder, a link, a disk */
        *f = ret_standing->why;
        return err;
    }
    return err == OK ? installed_ask(enrolment, item->profile, &issued, facts.serial, ret_standing, f) : OK;
}

/* The key of an earlier run if there is one, else a new one, on the disk before it is used. */
static enum err pending_key(int pending, enum key_algorithm algorithm, struct bytes *ret_pem, struct fault *f)
{
    enum err err = file_read_at(pending, "tls.key", ret_pem, f);
    if (err != ERR_ABSENT)
        return err;
    fault_clear(f);
    TRY(key_make_pem(algorithm, ret_pem, f));
    return file_put_at(pending, "tls.key", FILE_MODE_PRIVATE, FILE_NEW, bytes_span(ret_pem), f);
}

static enum err pending_request(int pending, EVP_PKEY *key, struct bytes *ret_csr, struct fault *f)
{
    enum err err = file_read_at(pending, "request.csr", ret_csr, f);
    if (err != ERR_ABSENT)
        return err;
    fault_clear(f);
    TRY(key_request_pem(key, ret_csr, f));
    return file_put_at(pending, "request.csr", FILE_MODE_PRIVATE, FILE_NEW, bytes_span(ret_csr), f);
}

static enum err certificate_fetch(const struct enrolment *enrolment, const struct enrolment_item *item,
                                  const struct bytes *csr, struct issued *ret_issued, struct fault *f)
{
    CLEANUP(json_cleanup)
    json_t *body = json_pack("{s:s, s:s, s:s*}", "profile", item->profile->name, "csr", bytes_text(csr), "replaces",
                             item->replaces);
    AUTO(bytes) path = {0};
    cluster_path(&path, enrolment->cluster, "/certificates");
    TRY(bytes_check(&path, f));
    if (!body || (enrolment->lifetime_seconds > 0 &&
                  json_object_set_new(body, "lifetime_seconds", json_integer(enrolment->lifetime_seconds)) != 0))
        return fault_set(f, CODE_INVALID, "the stored request of %s is not text; remove it", item->profile->name);
    CLEANUP(document_auto) struct document *answer = NULL;
    TRY(api_json(enrolment->session->api, "POST", bytes_text(&path), body, &answer, f));
    return issued_read(answer, ret_issued, f);
}

static enum err set_install(const struct enrolment *enrolment, const struct enrolment_item *item,
                            const struct bytes *key_pem, const struct issued *issued, struct fault *f)
{
    const struct folder_file files[] = {
        {"tls.key", FILE_MODE_PRIVATE, bytes_span(key_pem)},
        {"tls.crt", FILE_MODE_PUBLIC, bytes_span(&issued->certificate)},
        {"chain.crt", FILE_MODE_PUBLIC, bytes_span(&issued->chain)},
        {"ca.crt", FILE_MODE_PUBLIC, bytes_span(&issued->bundle)},
    };
    return folder_put_at(enrolment->folder, item->profile->name, files, ARRAY_SIZE(files), f);
}

/* Of a CA that nobody in the cluster trusts yet it would be of no use. */
static enum err bundle_impose(const struct enrolment_item *item, struct issued *issued, struct fault *f)
{
    if (item->bundle.size == 0)
        return OK;
    bytes_free(&issued->bundle);
    return bytes_copy(item->bundle, &issued->bundle, f);
}

static enum err certificate_get(const struct enrolment *enrolment, const struct enrolment_item *item, int pending,
                                struct fault *f)
{
    CLEANUP(secret_cleanup) struct bytes key_pem = {0};
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
    AUTO(bytes) csr = {0};
    AUTO(issued) issued = {0};
    struct issued_facts facts;
    TRY(pending_key(pending, item->algorithm, &key_pem, f));
    TRY(key_read_pem(bytes_span(&key_pem), &key, f));
    TRY(pending_request(pending, key, &csr, f));
    TRY(certificate_fetch(enrolment, item, &csr, &issued, f));
    TRY(bundle_impose(item, &issued, f));
    TRY(issued_verify(enrolment, item, key, &issued, &facts, f));
    TRY(set_install(enrolment, item, &key_pem, &issued, f));
    char until[TIME_TEXT_SIZE];
    time_text(facts.not_after, until);
    message("%s: issued %s (valid until %s)", item->profile->name, facts.serial, until);
    return OK;
}

/* What an interrupted run left behind goes only once the set is installed. */
static enum err leftovers_remove(const struct enrolment *enrolment, const char *name, struct fault *f)
{
    TRY(folder_tidy_at(enrolment->folder, name, f));
    CLEANUP(fd_cleanup) int pending = -1;
    enum err err = folder_open_at(enrolment->folder, pending_folder, false, &pending, f);
    if (err == ERR_ABSENT) {
        fault_clear(f);
        return OK;
    }
    TRY(err);
    TRY(folder_remove_at(pending, name, f));
    unlinkat(enrolment->folder, pending_folder, AT_REMOVEDIR); /* stays while others are pending */
    return OK;
}

/* By a new key, or that of a run that was interrupted: *ret_kept. */
static enum err set_attempt(const struct enrolment *enrolment, const struct enrolment_item *item, bool *ret_kept,
                            struct fault *f)
{
    CLEANUP(fd_cleanup) int pending = -1;
    CLEANUP(fd_cleanup) int mine = -1;
    TRY(folder_open_at(enrolment->folder, pending_folder, true, &pending, f));
    TRY(folder_open_at(pending, item->profile->name, true, &mine, f));
    *ret_kept = faccessat(mine, "tls.key", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    return certificate_get(enrolment, item, mine, f);
}

/* A key of before may have become one that nobody gets a certificate for: others know it. */
static enum err set_replace(const struct enrolment *enrolment, const struct enrolment_item *item, struct fault *f)
{
    const char *name = item->profile->name;
    bool kept = false;
    enum err err = set_attempt(enrolment, item, &kept, f);
    if (err == ERR_DENIED && kept && api_key_refused(f)) {
        message("%s: the service refuses the key of an earlier run; asking with a new one", name);
        fault_clear(f);
        TRY(leftovers_remove(enrolment, name, f));
        err = set_attempt(enrolment, item, &kept, f);
    }
    TRY(err);
    return leftovers_remove(enrolment, name, f);
}

enum err enrolment_complete(const struct enrolment *enrolment, const struct enrolment_item *item, struct fault *f)
{
    const char *name = item->profile->name;
    struct standing standing;
    TRY(installed_look(enrolment, item, &standing, f));
    if (standing.stays) {
        message("%s: unchanged", name);
        return leftovers_remove(enrolment, name, f);
    }
    if (standing.why.code != CODE_NOT_FOUND) {
        char line[600];
        fault_line(&standing.why, line, sizeof line);
        message("%s: asking for another one, because %s", name, line);
    }
    if (standing.revoked)
        TRY(enrolment_tidy(enrolment, name, f)); /* its key may still wait there */
    return set_replace(enrolment, item, f);
}

/* ---- renewal ---- */

/* The key of a renewal that is done would be asked for again, and refused as not fresh. */
enum err enrolment_tidy(const struct enrolment *enrolment, const char *name, struct fault *f)
{
    CLEANUP(fd_cleanup) int set = -1;
    CLEANUP(fd_cleanup) int pending = -1;
    CLEANUP(fd_cleanup) int mine = -1;
    CLEANUP(secret_cleanup) struct bytes key = {0};
    CLEANUP(secret_cleanup) struct bytes pending_pem = {0};
    TRY(folder_open_at(enrolment->folder, name, false, &set, f));
    TRY(file_read_at(set, "tls.key", &key, f));
    struct fault ignored = {0};
    bool waits = folder_open_at(enrolment->folder, pending_folder, false, &pending, &ignored) == OK &&
                 folder_open_at(pending, name, false, &mine, &ignored) == OK &&
                 file_read_at(mine, "tls.key", &pending_pem, &ignored) == OK;
    return waits && !span_equal(bytes_span(&key), bytes_span(&pending_pem)) ? OK : leftovers_remove(enrolment, name, f);
}

enum err enrolment_renew(const struct enrolment *enrolment, const struct enrolment_item *item, struct fault *f)
{
    TRY(enrolment_tidy(enrolment, item->profile->name, f));
    return set_replace(enrolment, item, f);
}

/* ---- the node's context ---- */

enum err enrolment_context(const struct enrolment *enrolment, struct fault *f)
{
    if (faccessat(enrolment->folder, "context", F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
        faccessat(enrolment->folder, identity_profile, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        return OK;
    const struct context_text text = {.server = enrolment->session->context.server,
                                      .log_verifier = enrolment->log_verifier,
                                      .pin = enrolment->session->context.pin,
                                      .by_file = true,
                                      .certificate = "node-identity/tls.crt",
                                      .key = "node-identity/tls.key"};
    AUTO(bytes) document = {0};
    TRY(context_write(&text, &document, f));
    return file_put_at(enrolment->folder, "context", FILE_MODE_PRIVATE, FILE_NEW, bytes_span(&document), f);
}
