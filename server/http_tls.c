#include "server/http_tls.h"

#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_ID_SIZE = 32 };

static enum err fault_gnutls(struct fault *f, int status, const char *what)
{
    return fault_set(f, CODE_INVALID, "%s of the service is not usable: %s", what, gnutls_strerror(status));
}

static gnutls_datum_t datum(struct span data)
{
    return (gnutls_datum_t){(unsigned char *)(uintptr_t)data.data, (unsigned)data.size};
}

static enum err chain_load(struct tls_identity *identity, struct span pem, struct fault *f)
{
    gnutls_datum_t text = datum(pem);
    unsigned count = TLS_CHAIN_MAX;
    int status = gnutls_pcert_list_import_x509_raw(identity->chain, &count, &text, GNUTLS_X509_FMT_PEM,
                                                   GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);
    if (status < 0)
        return fault_gnutls(f, status, "the TLS certificate");
    identity->chain_count = count;
    return OK;
}

static enum err key_load(struct tls_identity *identity, struct span pem, struct fault *f)
{
    gnutls_datum_t text = datum(pem);
    int status = gnutls_privkey_init(&identity->key);
    if (status == 0)
        status = gnutls_privkey_import_x509_raw(identity->key, &text, GNUTLS_X509_FMT_PEM, NULL, 0);
    return status < 0 ? fault_gnutls(f, status, "the TLS key") : OK;
}

static enum err pair_check(const struct tls_identity *identity, struct fault *f)
{
    gnutls_pubkey_t public_key = NULL;
    unsigned char leaf[KEY_ID_SIZE], own[KEY_ID_SIZE];
    size_t leaf_size = sizeof leaf, own_size = sizeof own;
    int status = gnutls_pubkey_init(&public_key);
    if (status == 0)
        status = gnutls_pubkey_import_privkey(public_key, identity->key, 0, 0);
    if (status == 0)
        status = gnutls_pubkey_get_key_id(public_key, GNUTLS_KEYID_USE_SHA256, own, &own_size);
    if (status == 0)
        status = gnutls_pubkey_get_key_id(identity->chain[0].pubkey, GNUTLS_KEYID_USE_SHA256, leaf, &leaf_size);
    gnutls_pubkey_deinit(public_key);
    if (status < 0)
        return fault_gnutls(f, status, "the TLS key");
    if (memcmp(leaf, own, sizeof leaf) != 0)
        return fault_set(f, CODE_INVALID, "the TLS key of the service does not belong to its certificate");
    return OK;
}

static enum err identity_fill(struct tls_identity *identity, struct span chain_pem, struct span key_pem,
                              struct fault *f)
{
    TRY(chain_load(identity, chain_pem, f));
    TRY(key_load(identity, key_pem, f));
    return pair_check(identity, f);
}

enum err tls_identity_load(struct span chain_pem, struct span key_pem, struct tls_identity **ret_identity,
                           struct fault *f)
{
    struct tls_identity *identity = calloc(1, sizeof *identity);
    if (!identity)
        return fault_no_memory(f);
    identity->references = 1;
    enum err err = identity_fill(identity, chain_pem, key_pem, f);
    if (err != OK)
        tls_identity_release(identity);
    else
        *ret_identity = identity;
    return err;
}

struct tls_identity *tls_identity_share(struct tls_identity *identity)
{
    identity->references++;
    return identity;
}

void tls_identity_release(struct tls_identity *identity)
{
    if (!identity || --identity->references > 0)
        return;
    for (unsigned i = 0; i < identity->chain_count; i++)
        gnutls_pcert_deinit(&identity->chain[i]);
    gnutls_privkey_deinit(identity->key);
    free(identity);
}
