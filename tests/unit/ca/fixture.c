#include "tests/unit/ca/fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "ca/base/encode.h"

static const char cluster_text[] = "apiVersion: ensign/v1\n"
                                   "kind: Cluster\n"
                                   "name: lab\n"
                                   "kubernetesVersion: \"1.31\"\n"
                                   "controlPlaneEndpoint: 10.0.0.81:6443\n"
                                   "etcd: {topology: external, certificates: member}\n"
                                   "nodes:\n"
                                   "  - {name: etcdone, addresses: [10.0.0.1], roles: [etcd]}\n"
                                   "  - {name: etcdtwo, addresses: [10.0.0.2], roles: [etcd]}\n"
                                   "  - {name: etcdthree, addresses: [10.0.0.3], roles: [etcd]}\n"
                                   "  - {name: masterone, addresses: [10.0.0.11], roles: [control-plane]}\n";

static void check(enum err err, const struct fault *f)
{
    char line[4096];
    fault_line(f, line, sizeof line);
    if (err != OK)
        fail_msg("%s", line);
}

static struct seal_config seal_config(const struct fixture *fixture)
{
    struct seal_config config = {.source = SEAL_KEY_FILE};
    snprintf(config.path, sizeof config.path, "%s/seal.key", fixture->folder);
    return config;
}

void fixture_signer_start(struct fixture *fixture)
{
    int channel[2], ready[2];
    char byte = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel), 0);
    assert_int_equal(pipe(ready), 0);
    fixture->signer_pid = fork();
    if (fixture->signer_pid == 0) {
        struct fault fault = {0};
        char line[4096];
        struct seal_config config = seal_config(fixture);
        close(channel[0]);
        close(ready[0]);
        enum err err = signer_run(channel[1], ready[1], &config, fixture->database, &fault);
        fault_line(&fault, line, sizeof line);
        fprintf(stderr, "signer: %s\n", line);
        _exit(err == OK ? 0 : 1);
    }
    close(channel[1]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'R');
    close(ready[0]);
    signer_attach(fixture->signer, channel[0]);
}

void fixture_signer_kill(struct fixture *fixture)
{
    kill(fixture->signer_pid, SIGKILL);
    waitpid(fixture->signer_pid, NULL, 0);
}

static void fixture_cluster(struct fixture *fixture)
{
    struct fault f = {0};
    struct document *document = NULL;
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    struct caller admin = {.kind = REQUESTER_ADMIN, .name = "test"};
    bool created = false;
    check(document_parse(span_text(cluster_text), "lab.yaml", &document, &f), &f);
    check(cluster_create(fixture->ca, &admin, document, NULL, &created, &cluster, &f), &f);
    assert_true(created);
    document_free(document);
}

int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct fault f = {0};
    assert_true(sodium_init() >= 0);
    strcpy(fixture->folder, P_tmpdir "/ensign-ca-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    snprintf(fixture->database, sizeof fixture->database, "%s/state", fixture->folder);
    assert_int_equal(mkdir(fixture->database, 0700), 0);
    struct seal_config config = seal_config(fixture);
    struct seal seal = {0};
    check(seal_create(&config, fixture->database, &seal, &f), &f);
    seal_cleanup(&seal);
    check(signer_new(&fixture->signer, &f), &f);
    fixture_signer_start(fixture);
    AUTO(alternative_names) names = {0};
    check(alternative_names_add_dns(&names, "ensign.example", &f), &f);
    fixture->basis = clock_basis(3600);
    check(ca_create(fixture->database, fixture->signer, &names, "ensign.example/log", &f), &f);
    check(ca_open(fixture->database, fixture->signer, &fixture->basis, &fixture->ca, &f), &f);
    fixture_cluster(fixture);
    *state = fixture;
    return 0;
}

void fixture_reopen(struct fixture *fixture)
{
    struct fault f = {0};
    ca_close(fixture->ca);
    fixture->ca = NULL;
    check(ca_open(fixture->database, fixture->signer, &fixture->basis, &fixture->ca, &f), &f);
}

int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    ca_close(fixture->ca);
    fixture_signer_kill(fixture);
    signer_free(fixture->signer);
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", fixture->folder);
    assert_int_equal(system(command), 0);
    free(fixture);
    return 0;
}

struct bytes fixture_csr(void)
{
    struct fault f = {0};
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
    AUTO(bytes) der = {0};
    struct bytes pem = {0};
    struct distinguished_name subject = {0};
    check(key_generate(KEY_ECDSA_P256, &key, &f), &f);
    check(request_make(key, &subject, NULL, &der, &f), &f);
    pem_append(&pem, "CERTIFICATE REQUEST", bytes_span(&der));
    return pem;
}

struct issue_request fixture_request(const char *profile, const char *node, struct span csr)
{
    return (struct issue_request){.caller = {.kind = REQUESTER_OPERATOR, .name = "test"},
                                  .profile = profile,
                                  .cluster = "lab",
                                  .node = node,
                                  .identity = "",
                                  .csr_pem = csr};
}

void fixture_issue(struct fixture *fixture, const char *profile, const char *node, struct issue_result *ret_result)
{
    struct fault f = {0};
    AUTO(bytes) csr = fixture_csr();
    struct issue_request request = fixture_request(profile, node, bytes_span(&csr));
    check(issue(fixture->ca, &request, ret_result, &f), &f);
}

void fixture_token(struct fixture *fixture, const char *node, struct issue_request *request)
{
    struct fault f = {0};
    struct caller caller = {.kind = REQUESTER_OPERATOR, .name = "test"};
    struct token_request token = {.cluster = "lab", .node = node, .lifetime_seconds = 600};
    struct token_record record = {0};
    uint8_t secret[TOKEN_SECRET_SIZE];
    randombytes_buf(token.id, sizeof token.id);
    randombytes_buf(secret, sizeof secret);
    crypto_hash_sha256(token.secret_sha256, secret, sizeof secret);
    check(token_create(fixture->ca, &caller, &token, &record, &f), &f);
    check(token_authenticate(fixture->ca, token.id, secret, &request->caller, &f), &f);
    memcpy(request->token_id, token.id, sizeof token.id);
}
