/* Enrolment against a service that is played here: complete, repeated, interrupted at any moment, and lied to. */
#include <curl/curl.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ca/base/encode.h"
#include "ca/x509/request.h"
#include "client/commands.h"
#include "client/context.h"
#include "client/files.h"
#include "client/issued.h"
#include "client/keys.h"
#include "tests/unit/client/fixture.h"
#include "tests/unit/client/pki.h"

enum { DAY = 86400, PROFILES = 2 };

static const char *const profile_names[PROFILES] = {"node-identity", "etcd-member"};

enum lie {
    NO_LIE,
    LIE_LOST,
    LIE_OTHER_NODE,
    LIE_OTHER_KEY,
    LIE_OTHER_CA,
    LIE_PROFILE_PATH,
    LIE_SERVICE_CA,
    LIE_NO_BUNDLE,
    LIE_UNAVAILABLE
};

/* The service: it keeps what it issued to a profile, as the real one does for one token and one key. */
struct service {
    struct pair service_ca, etcd_ca, tls, other;
    struct bytes service_ca_pem, etcd_ca_pem;
    struct bytes issued[PROFILES];
    uint8_t spki_sha256[PROFILES][SHA256_SIZE];
    enum lie lie;
    const char *node; /* that the token is for */
    unsigned posts, gets, conflicts;
    struct tls_server *server;
};

static struct service *service;
static char *folder;

/* ---- the service ---- */

static void answer_write(struct bytes *response, const char *status, json_t *take_body)
{
    char *text = json_dumps(take_body, JSON_COMPACT);
    bytes_appendf(response, "HTTP/1.1 %s\r\nContent-Type: application/%s\r\n\r\n%s", status,
                  status[0] == '2' ? "json" : "problem+json", text);
    free(text);
    json_decref(take_body);
}

static void enrolment_answer(struct service *s, struct bytes *response)
{
    s->gets++;
    AUTO(bytes) wrong = {0};
    pair_ca_write(&s->other, "ensign", time(NULL), &wrong);
    answer_write(response, "200 OK",
                 json_pack("{s:s,s:s,s:[{s:s,s:s,s:s,s:n},{s:s,s:s,s:s,s:n}],s:s,s:{s:s}}", "cluster", "vagrant",
                           "node", s->node, "certificates", "profile", profile_names[0], "authority", "service-ca",
                           "key_algorithm", "ecdsa-p256", "serial", "profile",
                           s->lie == LIE_PROFILE_PATH ? "../../escape" : profile_names[1], "authority", "etcd-ca",
                           "key_algorithm", "ecdsa-p256", "serial", "log_verifier", "origin+00000000+AA==", "service",
                           "ca", bytes_text(s->lie == LIE_SERVICE_CA ? &wrong : &s->service_ca_pem)));
}

static void leaf_write(struct service *s, size_t profile, const struct public_key *key, struct bytes *out)
{
    struct fault f = {0};
    bool identity = profile == 0;
    struct certificate_content content = {.key_usage = USAGE_DIGITAL_SIGNATURE,
                                          .extended_key_usage = identity ? EXTENDED_CLIENT_AUTH
                                                                         : EXTENDED_SERVER_AUTH | EXTENDED_CLIENT_AUTH,
                                          .not_before = time(NULL) - 300,
                                          .not_after = time(NULL) + DAY};
    strcpy(content.subject.common_name, s->lie == LIE_OTHER_NODE ? "etcdtwo" : "etcdone");
    if (!identity)
        assert_int_equal(alternative_names_add_dns(&content.names, "etcdone", &f), OK);
    const struct pair *signer = s->lie == LIE_OTHER_CA ? &s->other : identity ? &s->service_ca : &s->etcd_ca;
    pair_certificate_write(&content, s->lie == LIE_OTHER_KEY ? &s->other.public_key : key, signer,
                           identity ? "ensign" : "etcd-ca", time(NULL), out);
    certificate_content_cleanup(&content);
}

static void certificate_answer(struct service *s, const char *request, struct bytes *response)
{
    struct fault f = {0};
    s->posts++;
    json_t *body = json_loads(strstr(request, "\r\n\r\n") + 4, 0, NULL);
    size_t profile = strcmp(json_string_value(json_object_get(body, "profile")), profile_names[0]) != 0;
    AUTO(request) csr = {0};
    assert_int_equal(request_parse_pem(span_text(json_string_value(json_object_get(body, "csr"))), &csr, &f), OK);
    json_decref(body);
    bool first = s->issued[profile].size == 0;
    if (first) {
        leaf_write(s, profile, &csr.public_key, &s->issued[profile]);
        memcpy(s->spki_sha256[profile], csr.public_key.spki_sha256, SHA256_SIZE);
    } else if (memcmp(s->spki_sha256[profile], csr.public_key.spki_sha256, SHA256_SIZE) != 0) {
        s->conflicts++;
        answer_write(response, "409 Conflict", json_pack("{s:s,s:s}", "code", "key_conflict", "detail", "another key"));
        return;
    }
    if (s->lie == LIE_LOST) {
        bytes_append_text(response, "HTTP/1.1 500 Gone\r\n\r\n");
        return;
    }
    const struct bytes *ca = profile == 0 ? &s->service_ca_pem : &s->etcd_ca_pem;
    AUTO(bytes) chain = {0};
    bytes_append_span(&chain, bytes_span(&s->issued[profile]));
    bytes_append_span(&chain, bytes_span(ca));
    answer_write(response, first ? "201 Created" : "200 OK",
                 json_pack("{s:s,s:s,s:s}", "certificate", bytes_text(&s->issued[profile]), "chain", bytes_text(&chain),
                           "bundle", bytes_text(ca)));
}

static void bundle_answer(const struct bytes *bundle, struct bytes *response)
{
    bytes_appendf(response, "HTTP/1.1 200 OK\r\nContent-Type: application/x-pem-file\r\n\r\n%s", bytes_text(bundle));
}

static void respond(void *context, const char *request, struct bytes *response)
{
    struct service *s = context;
    if (s->lie == LIE_UNAVAILABLE)
        answer_write(response, "503 Away", json_pack("{s:s,s:s}", "code", "signer_down", "detail", "away"));
    else if (s->lie == LIE_NO_BUNDLE && strstr(request, "/bundle "))
        answer_write(response, "500 Broken", json_pack("{s:s,s:s}", "code", "damaged", "detail", "a broken row"));
    else if (strncmp(request, "GET /v1/enrolment ", 18) == 0)
        enrolment_answer(s, response);
    else if (strncmp(request, "POST /v1/clusters/vagrant/certificates ", 39) == 0)
        certificate_answer(s, request, response);
    else if (strncmp(request, "GET /v1/clusters/ensign/authorities/service-ca/bundle ", 54) == 0)
        bundle_answer(&s->service_ca_pem, response);
    else if (strncmp(request, "GET /v1/clusters/vagrant/authorities/etcd-ca/bundle ", 52) == 0)
        bundle_answer(&s->etcd_ca_pem, response);
    else
        answer_write(response, "404 Not Found", json_pack("{s:s}", "code", "not_found"));
}

static X509 *x509_read(const struct bytes *pem)
{
    BIO *in = BIO_new_mem_buf(pem->data, (int)pem->size);
    X509 *certificate = PEM_read_bio_X509(in, NULL, NULL, NULL);
    BIO_free(in);
    assert_non_null(certificate);
    return certificate;
}

static void service_listen(struct service *s)
{
    struct fault f = {0};
    struct certificate_content content = {.key_usage = USAGE_DIGITAL_SIGNATURE,
                                          .extended_key_usage = EXTENDED_SERVER_AUTH,
                                          .not_before = time(NULL) - 300,
                                          .not_after = time(NULL) + DAY,
                                          .subject.common_name = "localhost"};
    AUTO(bytes) leaf = {0};
    assert_int_equal(alternative_names_add_dns(&content.names, "localhost", &f), OK);
    pair_certificate_write(&content, &s->tls.public_key, &s->service_ca, "ensign", time(NULL), &leaf);
    certificate_content_cleanup(&content);
    const struct made_certificate shown = {x509_read(&leaf), s->tls.key};
    const struct made_certificate ca = {x509_read(&s->service_ca_pem), NULL};
    const struct made_certificate *const chain[] = {&ca, NULL};
    s->server = tls_server_start(&shown, chain, respond, s);
    X509_free(shown.certificate);
    X509_free(ca.certificate);
}

static int service_start(void **state)
{
    (void)state;
    service = calloc(1, sizeof *service);
    assert_non_null(service);
    service->node = "etcdone";
    pair_make(&service->service_ca);
    pair_make(&service->etcd_ca);
    pair_make(&service->tls);
    pair_make(&service->other);
    pair_ca_write(&service->service_ca, "ensign", time(NULL), &service->service_ca_pem);
    pair_ca_write(&service->etcd_ca, "etcd-ca", time(NULL), &service->etcd_ca_pem);
    service_listen(service);
    folder = folder_make();
    struct token token = {.id = {1}, .secret = {2}};
    memcpy(token.pin, service->service_ca.public_key.spki_sha256, sizeof token.pin);
    AUTO(bytes) text = {0};
    token_text(&token, &text);
    file_write(folder, "token", 0600, bytes_text(&text));
    return 0;
}

static int service_stop(void **state)
{
    (void)state;
    free(tls_server_stop(service->server));
    pair_drop(&service->service_ca);
    pair_drop(&service->etcd_ca);
    pair_drop(&service->tls);
    pair_drop(&service->other);
    bytes_free(&service->service_ca_pem);
    bytes_free(&service->etcd_ca_pem);
    for (size_t i = 0; i < PROFILES; i++)
        bytes_free(&service->issued[i]);
    free(service);
    folder_drop(folder);
    return 0;
}

/* ---- the client ---- */

static const char *inside(const char *name)
{
    return path_inside(folder, name);
}

static enum err enroll_run(struct fault *f)
{
    char server[64];
    snprintf(server, sizeof server, "https://localhost:%u", tls_server_port(service->server));
    const struct arguments arguments = {.values = {[OPTION_SERVER] = server,
                                                   [OPTION_TOKEN_FILE] = inside("token"),
                                                   [OPTION_OUT] = inside("node"),
                                                   [OPTION_TIMEOUT] = "1s"}};
    return enroll(&arguments, f);
}

static bool exists(const char *name)
{
    return faccessat(AT_FDCWD, inside(name), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The key and the certificate of an installed set belong together. */
static void pair_installed(const char *name)
{
    char path[128];
    struct fault f = {0};
    AUTO(bytes) key_pem = {0};
    AUTO(bytes) certificate_pem = {0};
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
    snprintf(path, sizeof path, "node/%s/tls.key", name);
    assert_int_equal(file_read_private(inside(path), &key_pem, &f), OK);
    snprintf(path, sizeof path, "node/%s/tls.crt", name);
    assert_int_equal(file_read(inside(path), &certificate_pem, &f), OK);
    assert_int_equal(key_read_pem(bytes_span(&key_pem), &key, &f), OK);
    CLEANUP(X509_auto) X509 *certificate = x509_read(&certificate_pem);
    assert_int_equal(X509_check_private_key(certificate, key), 1);
    snprintf(path, sizeof path, "node/%s/ca.crt", name);
    assert_true(exists(path));
}

static void all_installed(void)
{
    for (size_t i = 0; i < PROFILES; i++)
        pair_installed(profile_names[i]);
    assert_false(exists("node/.pending"));
    assert_false(exists("node/.new-etcd-member"));
}

static void test_complete(void **state)
{
    (void)state;
    struct fault f = {0};
    if (enroll_run(&f) != OK)
        fail_msg("%s", f.text);
    all_installed();
    assert_int_equal(service->posts, PROFILES);
    AUTO(context) context = {0};
    assert_int_equal(context_load(inside("node/context"), &context, &f), OK);
    assert_memory_equal(context.pin, service->service_ca.public_key.spki_sha256, SHA256_SIZE);
    assert_true(context.key.size > 0);
}

static void test_again_changes_nothing(void **state)
{
    (void)state;
    static const char *const names[] = {"node/context", "node/etcd-member", "node/etcd-member/tls.key",
                                        "node/node-identity/tls.crt", "node"};
    struct stat before[ARRAY_SIZE(names)], after;
    struct fault f = {0};
    assert_int_equal(enroll_run(&f), OK);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_int_equal(lstat(inside(names[i]), &before[i]), 0);
    assert_int_equal(enroll_run(&f), OK);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_int_equal(lstat(inside(names[i]), &after), 0);
        assert_int_equal(after.st_ino, before[i].st_ino);
        assert_memory_equal(&after.st_mtim, &before[i].st_mtim, sizeof after.st_mtim);
        assert_memory_equal(&after.st_ctim, &before[i].st_ctim, sizeof after.st_ctim);
    }
    assert_int_equal(service->gets, 2);
    assert_int_equal(service->posts, PROFILES);
}

static void test_damaged_set_is_replaced(void **state)
{
    (void)state;
    struct fault f = {0};
    assert_int_equal(enroll_run(&f), OK);
    bytes_free(&service->issued[1]); /* a new token, so to speak: the first key seen counts */
    file_write(folder, "node/etcd-member/tls.crt", 0644, "damaged");
    assert_int_equal(enroll_run(&f), OK);
    all_installed();
    assert_int_equal(service->posts, PROFILES + 1);
}

/* The cluster got another CA: what is installed is no longer complete, and the same token does not replace it. */
static void test_other_ca(void **state)
{
    (void)state;
    struct fault f = {0};
    assert_int_equal(enroll_run(&f), OK);
    pair_drop(&service->etcd_ca);
    pair_make(&service->etcd_ca);
    bytes_free(&service->etcd_ca_pem);
    pair_ca_write(&service->etcd_ca, "etcd-ca", time(NULL), &service->etcd_ca_pem);
    assert_int_equal(enroll_run(&f), ERR_CONFLICT);
    assert_int_equal(f.code, CODE_KEY_CONFLICT);
    pair_installed("etcd-member");   /* the old set stays until there is a new one */
    bytes_free(&service->issued[1]); /* a new token, so to speak */
    service->lie = LIE_NO_BUNDLE;    /* a service that cannot tell is no reason to replace anything */
    unsigned posts = service->posts;
    fault_clear(&f);
    assert_int_equal(enroll_run(&f), ERR_IO);
    assert_int_equal(service->posts, posts);
    service->lie = NO_LIE;
    fault_clear(&f);
    assert_int_equal(enroll_run(&f), OK);
    all_installed();
    AUTO(bytes) bundle = {0};
    assert_int_equal(file_read(inside("node/etcd-member/ca.crt"), &bundle, &f), OK);
    assert_string_equal(bytes_text(&bundle), bytes_text(&service->etcd_ca_pem));
}

static void test_folder_of_another_node(void **state)
{
    (void)state;
    struct fault f = {0};
    struct stat before, after;
    assert_int_equal(enroll_run(&f), OK);
    assert_int_equal(lstat(inside("node/etcd-member/tls.crt"), &before), 0);
    service->node = "etcdtwo";
    assert_int_equal(enroll_run(&f), ERR_CONFLICT);
    assert_non_null(strstr(f.text, "\"etcdone\""));
    assert_non_null(strstr(f.text, "\"etcdtwo\""));
    assert_int_equal(lstat(inside("node/etcd-member/tls.crt"), &after), 0);
    assert_int_equal(after.st_ino, before.st_ino);
    assert_int_equal(service->posts, PROFILES);
    assert_false(exists("node/.pending"));
}

static void test_profile_given_twice(void **state)
{
    (void)state;
    struct fault f = {0};
    char server[64];
    snprintf(server, sizeof server, "https://localhost:%u", tls_server_port(service->server));
    const struct arguments arguments = {
        .values = {[OPTION_SERVER] = server, [OPTION_TOKEN_FILE] = inside("token"), [OPTION_OUT] = inside("node")},
        .profiles = {"etcd-member", "etcd-member"},
        .profiles_count = 2};
    assert_int_equal(enroll(&arguments, &f), OK);
    pair_installed("etcd-member");
    assert_int_equal(service->posts, 1);
    assert_false(exists("node/node-identity"));
}

static void test_lies(void **state)
{
    (void)state;
    static const enum lie lies[] = {LIE_OTHER_NODE, LIE_OTHER_KEY, LIE_OTHER_CA, LIE_PROFILE_PATH, LIE_SERVICE_CA};
    for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
        struct fault f = {0};
        service->lie = lies[i];
        bytes_free(&service->issued[0]);
        if (enroll_run(&f) != ERR_AUTH || f.code != CODE_UNTRUSTED)
            fail_msg("lie %d: %s", (int)lies[i], f.text);
        assert_false(exists("node/node-identity"));
        assert_false(exists("node/context"));
        assert_false(exists("escape"));
    }
    struct fault f = {0};
    service->lie = NO_LIE;
    bytes_free(&service->issued[0]);
    assert_int_equal(enroll_run(&f), OK);
    all_installed();
}

static void test_links_in_the_folder(void **state)
{
    (void)state;
    assert_int_equal(mkdir(inside("victim"), 0700), 0);
    assert_int_equal(mkdir(inside("node"), 0700), 0);
    static const char *const names[] = {"node/.pending", "node/etcd-member"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct fault f = {0};
        assert_int_equal(symlink("../victim", inside(names[i])), 0);
        assert_int_equal(enroll_run(&f), ERR_IO);
        assert_int_equal(unlink(inside(names[i])), 0);
        assert_int_equal(rmdir(inside("victim")), 0); /* nothing was put there */
        assert_int_equal(mkdir(inside("victim"), 0700), 0);
    }
    struct fault f = {0};
    assert_int_equal(chmod(inside("node"), 0770), 0);
    assert_int_equal(enroll_run(&f), ERR_IO);
    assert_non_null(strstr(f.text, "writable by others"));
    assert_int_equal(chmod(inside("node"), 0700), 0);
    assert_int_equal(enroll_run(&f), OK);
    all_installed();
}

/* Keys and requests are on the disk before the service sees them, so an answer that was lost comes again. */
static void test_answer_lost(void **state)
{
    (void)state;
    struct fault f = {0};
    service->lie = LIE_LOST;
    assert_int_not_equal(enroll_run(&f), OK);
    assert_true(service->issued[0].size > 0);
    assert_true(exists("node/.pending/node-identity/tls.key"));
    assert_false(exists("node/node-identity"));
    service->lie = NO_LIE;
    assert_int_equal(enroll_run(&f), OK);
    assert_int_equal(service->posts, PROFILES + 1);
    assert_int_equal(service->conflicts, 0);
    all_installed();
}

/* The control: without the stored key, the next run comes with another one. */
static void test_key_lost(void **state)
{
    (void)state;
    struct fault f = {0};
    service->lie = LIE_LOST;
    assert_int_not_equal(enroll_run(&f), OK);
    service->lie = NO_LIE;
    assert_int_equal(unlink(inside("node/.pending/node-identity/tls.key")), 0);
    assert_int_equal(unlink(inside("node/.pending/node-identity/request.csr")), 0);
    assert_int_equal(enroll_run(&f), ERR_CONFLICT);
    assert_int_equal(f.code, CODE_KEY_CONFLICT);
    assert_int_equal(code_exit(f.code), 6);
}

static void test_not_ready(void **state)
{
    (void)state;
    struct fault f = {0};
    service->lie = LIE_UNAVAILABLE;
    assert_int_equal(enroll_run(&f), ERR_IO);
    assert_int_equal(f.code, CODE_SIGNER_DOWN);
    service->lie = NO_LIE;
    assert_int_equal(enroll_run(&f), OK);
    all_installed();
}

/* Killed at any moment and run again: the same keys, so no conflict, and one complete set each. */
static void test_killed(void **state)
{
    (void)state;
    enum { KILLS = 60 };
    unsigned interrupted = 0;
    for (int i = 0; i < KILLS; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct fault f = {0};
            _exit(freopen("/dev/null", "w", stderr) && enroll_run(&f) == OK ? 0 : 1);
        }
        const struct timespec wait = {0, (i + 1) * 700000L};
        nanosleep(&wait, NULL);
        kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        interrupted += WIFSIGNALED(status) && exists("node/.pending");
        for (size_t p = 0; p < PROFILES; p++) {
            char path[64];
            snprintf(path, sizeof path, "node/%s", profile_names[p]);
            if (exists(path))
                pair_installed(profile_names[p]);
        }
    }
    struct fault f = {0};
    assert_int_equal(enroll_run(&f), OK);
    all_installed();
    assert_int_equal(service->conflicts, 0);
    assert_true(interrupted > 0);
}

static int library_start(void **state)
{
    (void)state;
    umask(0);
    signal(SIGPIPE, SIG_IGN); /* as the program does */
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -1;
}

static int library_stop(void **state)
{
    (void)state;
    curl_global_cleanup();
    return 0;
}

#define WITH_SERVICE(test) cmocka_unit_test_setup_teardown(test, service_start, service_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVICE(test_complete),
        WITH_SERVICE(test_again_changes_nothing),
        WITH_SERVICE(test_damaged_set_is_replaced),
        WITH_SERVICE(test_other_ca),
        WITH_SERVICE(test_folder_of_another_node),
        WITH_SERVICE(test_profile_given_twice),
        WITH_SERVICE(test_lies),
        WITH_SERVICE(test_links_in_the_folder),
        WITH_SERVICE(test_answer_lost),
        WITH_SERVICE(test_key_lost),
        WITH_SERVICE(test_not_ready),
        WITH_SERVICE(test_killed),
    };
    return cmocka_run_group_tests(tests, library_start, library_stop);
}
