#include "client/import.h"

#include <sodium.h>
#include <string.h>

#include "ca/base/encode.h"
#include "client/files.h"
#include "client/keys.h"

enum { ATTEMPTS_MAX = 3, BOX_SIZE_MAX = 16 * 1024 };

void import_cleanup(struct import *import)
{
    bytes_free(&import->pem);
    certificate_cleanup(&import->certificate);
    secret_cleanup(&import->pkcs8);
}

/* ---- reading ---- */

/* "FILE: what was wrong" */
static enum err file_fault(const char *path, struct fault *f)
{
    char text[sizeof f->text];
    memcpy(text, f->text, sizeof text);
    return fault_set(f, f->code, "%.200s: %.300s", path, text);
}

static enum err certificate_read(const char *path, struct import *import, struct fault *f)
{
    AUTO(bytes) text = {0}, der = {0};
    char label[PEM_LABEL_SIZE];
    TRY(file_read(path, &text, f));
    struct span rest = bytes_span(&text);
    enum err err = pem_next(&rest, label, &der, f);
    if (err == ERR_ABSENT || (err == OK && strcmp(label, "CERTIFICATE") != 0))
        return fault_set(f, CODE_INVALID, "%.200s: no certificate in PEM", path);
    if (err == OK)
        err = certificate_parse_authority(bytes_span(&der), &import->certificate, f);
    if (err != OK)
        return file_fault(path, f);
    pem_append(&import->pem, "CERTIFICATE", bytes_span(&der));
    return bytes_check(&import->pem, f);
}

static enum err passphrase_read(const char *path, struct bytes *ret_passphrase, struct fault *f)
{
    TRY(file_read_private(path, ret_passphrase, f));
    while (ret_passphrase->size > 0 && strchr("\r\n", ret_passphrase->data[ret_passphrase->size - 1]))
        ret_passphrase->size--;
    return OK;
}

static enum err private_key_read(const char *path, const char *passphrase_path, struct import *import, struct fault *f)
{
    CLEANUP(secret_cleanup) struct bytes text = {0}, passphrase = {0};
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
    TRY(file_read_private(path, &text, f));
    if (passphrase_path)
        TRY(passphrase_read(passphrase_path, &passphrase, f));
    if (key_read_pem_encrypted(bytes_span(&text), passphrase_path ? &passphrase : NULL, &key, f) != OK)
        return file_fault(path, f);
    return key_pkcs8(key, &import->pkcs8, f);
}

enum err import_read(const char *certificate_path, const char *key_path, const char *passphrase_path,
                     struct import *ret_import, struct fault *f)
{
    AUTO(import) import = {0};
    TRY(certificate_read(certificate_path, &import, f));
    TRY(private_key_read(key_path, passphrase_path, &import, f));
    *ret_import = import;
    import = (struct import){0};
    return OK;
}

/* ---- sending ---- */

json_t *import_json(struct import *import, const char *name)
{
    import->item = json_pack("{ss ss}", "name", name, "certificate", bytes_text(&import->pem));
    return import->item;
}

static enum err signer_key_fetch(struct session *session, uint8_t ret_key[crypto_box_PUBLICKEYBYTES], struct fault *f)
{
    CLEANUP(document_auto) struct document *answer = NULL;
    AUTO(bytes) key = {0};
    TRY(api_json(session->api, "GET", "/v1/import-key", NULL, &answer, f));
    const char *text = json_string_value(json_object_get(document_json(answer), "public_key"));
    struct fault why = {0};
    if (!text || base64_decode(span_text(text), &key, &why) != OK || key.size != crypto_box_PUBLICKEYBYTES)
        return fault_set(f, CODE_UNTRUSTED, "the service answered no key of its signer");
    memcpy(ret_key, key.data, crypto_box_PUBLICKEYBYTES);
    return OK;
}

static enum err import_seal(const struct import *import, const uint8_t signer_key[crypto_box_PUBLICKEYBYTES],
                            struct fault *f)
{
    uint8_t box[BOX_SIZE_MAX];
    size_t size = import->pkcs8.size + crypto_box_SEALBYTES;
    AUTO(bytes) text = {0};
    if (sodium_init() < 0 || size > sizeof box ||
        crypto_box_seal(box, import->pkcs8.data, import->pkcs8.size, signer_key) != 0)
        return fault_set(f, CODE_CRYPTO, "a CA key cannot be sealed");
    base64_append(&text, span(box, size));
    TRY(bytes_check(&text, f));
    return json_object_set_new(import->item, "key", json_string(bytes_text(&text))) == 0 ? OK : fault_no_memory(f);
}

enum err import_post(struct session *session, const char *path, const json_t *body, struct import *imports,
                     size_t count, struct document **ret_answer, struct fault *f)
{
    uint8_t sealed_to[crypto_box_PUBLICKEYBYTES], now[crypto_box_PUBLICKEYBYTES];
    TRY(signer_key_fetch(session, now, f));
    for (int attempt = 1;; attempt++) {
        memcpy(sealed_to, now, sizeof sealed_to);
        for (size_t i = 0; i < count; i++)
            TRY(import_seal(&imports[i], sealed_to, f));
        enum err err = api_json(session->api, "POST", path, body, ret_answer, f);
        struct fault why = {0};
        if (err != ERR_CONFLICT || attempt == ATTEMPTS_MAX || signer_key_fetch(session, now, &why) != OK ||
            memcmp(now, sealed_to, sizeof now) == 0)
            return err;
        fault_clear(f);
    }
}
