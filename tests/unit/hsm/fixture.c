#include "tests/unit/hsm/fixture.h"

#include <ftw.h>
#include <openssl/x509.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

AUTO_POINTER(X509, X509_free)

enum { DAY = 86400 };

void assert_ok_at(enum err err, const struct fault *f, const char *file, int line)
{
    if (err == OK)
        return;
    char text[2048];
    fault_line(f, text, sizeof text);
    print_error("%s\n", text);
    _fail(file, line);
}

/* ---- house ---- */

void house_open(struct house *house)
{
    struct seal seal = {0};
    struct fault f = {0};
    *house = (struct house){.folder = P_tmpdir "/ensign-hsm-XXXXXX", .config.source = SEAL_KEY_FILE};
    assert_non_null(mkdtemp(house->folder));
    snprintf(house->state, sizeof house->state, "%s/state", house->folder);
    snprintf(house->config.path, sizeof house->config.path, "%s/seal.key", house->folder);
    assert_int_equal(mkdir(house->state, 0700), 0);
    assert_ok(seal_create(&house->config, house->state, &seal, &f), &f);
    seal_cleanup(&seal);
}

static int entry_remove(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status, (void)type, (void)place;
    return remove(path);
}

void house_close(struct house *house)
{
    nftw(house->folder, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- signer ---- */

static _Noreturn void signer_child(const struct house *house, int fd, int ready_fd)
{
    struct fault f = {0};
    char text[1024];
    if (signer_run(fd, ready_fd, &house->config, house->state, &f) != OK) {
        fault_line(&f, text, sizeof text);
        dprintf(STDERR_FILENO, "signer: %s\n", text);
    }
    _exit(2);
}

int signer_start(const struct house *house, pid_t *ret_pid)
{
    int channel[2], ready[2];
    char byte = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel), 0);
    assert_int_equal(pipe(ready), 0);
    *ret_pid = fork();
    assert_true(*ret_pid >= 0);
    if (*ret_pid == 0)
        signer_child(house, channel[1], ready[1]);
    close(channel[1]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'R');
    assert_int_equal(read(ready[0], &byte, 1), 0); /* closed: from now on it only serves */
    close(ready[0]);
    return channel[0];
}

void signer_kill(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* ---- authority ---- */

void authority_content(struct certificate_content *ret_content, struct grant *ret_grant)
{
    int64_t now = time(NULL);
    *ret_content = (struct certificate_content){
        .key_usage = USAGE_DIGITAL_SIGNATURE | USAGE_KEY_CERT_SIGN | USAGE_CRL_SIGN,
        .not_before = now - 300,
        .not_after = now + 3650 * (int64_t)DAY,
        .authority = true,
    };
    snprintf(ret_content->subject.common_name, sizeof ret_content->subject.common_name, "etcd-ca");
    *ret_grant = (struct grant){
        .kind = GRANT_AUTHORITY, .extended_key_usage = EXTENDED_SERVER_AUTH, .lifetime_max_seconds = 30 * (int64_t)DAY};
}

void authority_read(struct authority *authority)
{
    struct fault f = {0};
    struct certificate_content content;
    struct grant grant;
    struct public_key key;
    AUTO(bytes) spki = {0};
    const uint8_t *der = authority->certificate.data;
    CLEANUP(X509_auto) X509 *x509 = d2i_X509(NULL, &der, (long)authority->certificate.size);
    assert_non_null(x509);
    authority->public = X509_get_pubkey(x509);
    authority_content(&content, &grant);
    assert_ok(distinguished_name_encode(&content.subject, &authority->issuer_name, &f), &f);
    assert_ok(key_spki(authority->public, &spki, &f), &f);
    assert_ok(public_key_parse(bytes_span(&spki), &key, &f), &f);
    authority->issuer = (struct issuer){.name = bytes_span(&authority->issuer_name), .algorithm = key.algorithm};
    memcpy(authority->issuer.key_identifier, key.key_identifier, sizeof key.key_identifier);
}

void authority_make(struct signer *signer, enum key_algorithm algorithm, struct authority *ret_authority)
{
    struct fault f = {0};
    struct certificate_content content;
    struct grant grant;
    uint8_t serial[SERIAL_SIZE];
    *ret_authority = (struct authority){0};
    authority_content(&content, &grant);
    serial_make(time(NULL), 0, serial);
    assert_ok(signer_make_authority(signer, algorithm, &content, &grant, serial, &ret_authority->blob,
                                    &ret_authority->certificate, &f),
              &f);
    authority_read(ret_authority);
}

void authority_cleanup(struct authority *authority)
{
    bytes_free(&authority->blob);
    bytes_free(&authority->certificate);
    bytes_free(&authority->issuer_name);
    EVP_PKEY_free(authority->public);
}

void key_pkcs8(EVP_PKEY *key, struct bytes *ret_pkcs8)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
    uint8_t *der = NULL;
    int size = i2d_PKCS8_PRIV_KEY_INFO(info, &der);
    assert_true(size > 0);
    bytes_append(ret_pkcs8, der, (size_t)size);
    OPENSSL_free(der);
    PKCS8_PRIV_KEY_INFO_free(info);
}

void foreign_make(enum key_algorithm algorithm, struct bytes *ret_certificate, struct bytes *ret_pkcs8)
{
    struct fault f = {0};
    struct certificate_content content;
    struct grant grant;
    struct public_key key;
    const uint8_t serial[SERIAL_SIZE] = {1};
    AUTO(bytes) spki = {0}, name = {0}, draft = {0};
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *pair = NULL;
    authority_content(&content, &grant);
    assert_ok(key_generate(algorithm, &pair, &f), &f);
    assert_ok(key_spki(pair, &spki, &f), &f);
    assert_ok(public_key_parse(bytes_span(&spki), &key, &f), &f);
    assert_ok(distinguished_name_encode(&content.subject, &name, &f), &f);
    struct issuer issuer = {.name = bytes_span(&name), .algorithm = algorithm};
    memcpy(issuer.key_identifier, key.key_identifier, sizeof issuer.key_identifier);
    assert_ok(draft_build(&content, &issuer, &key, serial, &draft, &f), &f);
    assert_ok(draft_sign(bytes_span(&draft), pair, algorithm, ret_certificate, &f), &f);
    key_pkcs8(pair, ret_pkcs8);
}

void box_make(const uint8_t public_key[IMPORT_PUBLIC_KEY_SIZE], struct span plain, struct bytes *ret_box)
{
    uint8_t box[8192];
    assert_true(plain.size + crypto_box_SEALBYTES <= sizeof box);
    assert_int_equal(crypto_box_seal(box, plain.data, plain.size, public_key), 0);
    bytes_append(ret_box, box, plain.size + crypto_box_SEALBYTES);
}

/* ---- drafts ---- */

void leaf_content(const char *name, struct certificate_content *ret_content)
{
    int64_t now = time(NULL);
    *ret_content = (struct certificate_content){.key_usage = USAGE_DIGITAL_SIGNATURE,
                                                .extended_key_usage = EXTENDED_SERVER_AUTH,
                                                .not_before = now - 300,
                                                .not_after = now + DAY};
    snprintf(ret_content->subject.common_name, sizeof ret_content->subject.common_name, "%s", name);
}

/* One key for all leaves: what is tested is the CA's. */
static const struct public_key *leaf_key(void)
{
    static struct public_key key;
    static uint8_t spki_der[256];
    if (!key.spki.data) {
        struct fault f = {0};
        EVP_PKEY *pair = NULL;
        AUTO(bytes) spki = {0};
        assert_ok(key_generate(KEY_ECDSA_P256, &pair, &f), &f);
        assert_ok(key_spki(pair, &spki, &f), &f);
        EVP_PKEY_free(pair);
        assert_true(spki.size <= sizeof spki_der);
        memcpy(spki_der, spki.data, spki.size);
        assert_ok(public_key_parse(span(spki_der, spki.size), &key, &f), &f);
    }
    return &key;
}

void draft_make(const struct authority *authority, const struct certificate_content *content, struct bytes *ret_draft)
{
    struct fault f = {0};
    uint8_t serial[SERIAL_SIZE];
    serial_make(time(NULL), 0, serial);
    assert_ok(draft_build(content, &authority->issuer, leaf_key(), serial, ret_draft, &f), &f);
}

void leaf_draft(const struct authority *authority, const char *name, struct bytes *ret_draft)
{
    struct certificate_content content;
    leaf_content(name, &content);
    draft_make(authority, &content, ret_draft);
}

bool certificate_good(const struct authority *authority, struct span draft, struct span certificate)
{
    const uint8_t *der = certificate.data;
    CLEANUP(X509_auto) X509 *x509 = d2i_X509(NULL, &der, (long)certificate.size);
    if (!x509 || der != certificate.data + certificate.size || X509_verify(x509, authority->public) != 1)
        return false;
    uint8_t *body = NULL;
    int size = i2d_re_X509_tbs(x509, &body);
    bool same = size > 0 && span_equal(span(body, (size_t)size), draft);
    OPENSSL_free(body);
    return same;
}
