#include "server/tls.h"

#include <openssl/crypto.h>
#include <openssl/x509.h>
#include <string.h>

#include "ca/base/encode.h"
#include "server/file.h"

enum { TLS_FILE_MAX = 65536 };

AUTO_POINTER(PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free)

void tls_cleanup(struct tls *tls)
{
    if (tls->key_pem.data)
        OPENSSL_cleanse(tls->key_pem.data, tls->key_pem.size);
    bytes_free(&tls->key_pem);
    bytes_free(&tls->chain_pem);
}

static enum err key_pem(EVP_PKEY *key, struct bytes *ret_pem, struct fault *f)
{
    CLEANUP(PKCS8_PRIV_KEY_INFO_auto) PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
    uint8_t *der = NULL;
    int size = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;
    if (size < 0)
        return fault_openssl(f, "cannot write a private key");
    pem_append(ret_pem, "PRIVATE KEY", span(der, (size_t)size));
    OPENSSL_clear_free(der, (size_t)size);
    return bytes_check(ret_pem, f);
}

static enum err csr_pem(EVP_PKEY *key, struct bytes *ret_pem, struct fault *f)
{
    static const struct distinguished_name nobody = {0}; /* the decision says who it is */
    AUTO(bytes) der = {0};
    TRY(request_make(key, &nobody, NULL, &der, f));
    pem_append(ret_pem, "CERTIFICATE REQUEST", bytes_span(&der));
    return bytes_check(ret_pem, f);
}

enum err credential_issue(struct ca *ca, const struct issue_request *request, struct bytes *ret_key_pem,
                          struct issue_result *ret_result, struct fault *f)
{
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
    AUTO(bytes) csr = {0}, private_key = {0};
    struct issue_request complete = *request;
    TRY(key_generate(KEY_ECDSA_P256, &key, f));
    TRY(key_pem(key, &private_key, f));
    TRY(csr_pem(key, &csr, f));
    complete.csr_pem = bytes_span(&csr);
    TRY(issue(ca, &complete, ret_result, f));
    *ret_key_pem = private_key;
    private_key = (struct bytes){0};
    return OK;
}

static enum err tls_path(const char *state, char *ret_path, struct fault *f)
{
    return path_join(state, "tls.pem", ret_path, f);
}

/* The key first, then the chain, each written again as it was read. */
static enum err blocks_read(struct span text, struct tls *tls, struct fault *f)
{
    char label[PEM_LABEL_SIZE];
    AUTO(bytes) leaf = {0};
    for (int i = 0; i < 3; i++) {
        AUTO(bytes) der = {0};
        TRY(pem_next(&text, label, &der, f));
        if (strcmp(label, i == 0 ? "PRIVATE KEY" : "CERTIFICATE") != 0)
            return fault_set(f, CODE_MALFORMED, "tls.pem is not a key, its certificate and a CA");
        pem_append(i == 0 ? &tls->key_pem : &tls->chain_pem, label, bytes_span(&der));
        if (i == 1)
            TRY(bytes_copy(bytes_span(&der), &leaf, f));
        OPENSSL_cleanse(der.data, der.size);
    }
    AUTO(certificate) certificate = {0};
    TRY(certificate_parse(bytes_span(&leaf), &certificate, f));
    tls->not_before = certificate.body.content.not_before;
    tls->not_after = certificate.body.content.not_after;
    return OK;
}

enum err tls_load(const char *state, struct tls *ret_tls, struct fault *f)
{
    char path[PATH_SIZE];
    AUTO(bytes) text = {0};
    struct tls tls = {0};
    TRY(tls_path(state, path, f));
    TRY(file_read(path, TLS_FILE_MAX, &text, f));
    enum err err = blocks_read(bytes_span(&text), &tls, f);
    OPENSSL_cleanse(text.data, text.size);
    if (err != OK)
        tls_cleanup(&tls);
    else
        *ret_tls = tls;
    return err;
}

static enum err tls_issue(struct ca *ca, struct bytes *ret_pem, struct fault *f)
{
    static const struct issue_request request = {
        .caller = {.kind = REQUESTER_SERVICE, .name = "ensignd"},
        .profile = "service",
        .cluster = CLUSTER_SERVICE,
        .node = "",
        .identity = "",
    };
    AUTO(issue_result) result = {0};
    TRY(credential_issue(ca, &request, ret_pem, &result, f));
    pem_append(ret_pem, "CERTIFICATE", bytes_span(&result.record.certificate));
    pem_append(ret_pem, "CERTIFICATE", bytes_span(&result.authority->record.certificate));
    return bytes_check(ret_pem, f);
}

enum err tls_renew(struct ca *ca, const char *state, struct tls *ret_tls, struct fault *f)
{
    char path[PATH_SIZE];
    AUTO(bytes) pem = {0};
    TRY(tls_path(state, path, f));
    TRY(tls_issue(ca, &pem, f));
    enum err err = file_replace(path, bytes_span(&pem), 0600, f);
    OPENSSL_cleanse(pem.data, pem.size);
    TRY(err);
    return tls_load(state, ret_tls, f);
}

int64_t tls_renewal_time(const struct tls *tls)
{
    return tls->not_before + (tls->not_after - tls->not_before) / 3 * 2;
}
