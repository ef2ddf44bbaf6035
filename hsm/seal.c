#include "hsm/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ca/base/document.h"
#include "ca/base/encode.h"

enum {
    KEY_SIZE = crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
    NONCE_SIZE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    TAG_SIZE = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    SALT_SIZE = crypto_pwhash_argon2id_SALTBYTES,
    HEX_KEY_SIZE = 2 * KEY_SIZE,
    BLOB_VERSION = 1,
    BLOB_OVERHEAD = 1 + NONCE_SIZE + TAG_SIZE,
    STATE_VERSION = 1,
    PASSPHRASE_MIN = 12,
    PASSPHRASE_MAX = 1024,
};

static const char blob_purpose[] = "ensign sealed key v1";
static const char check_text[] = "ensign seal";
enum { CHECK_SIZE = BLOB_OVERHEAD + sizeof check_text };

/* The contents of `state/seal`. */
struct parameters {
    bool passphrase;
    uint8_t salt[SALT_SIZE];
    struct seal_cost cost;
    uint8_t check[CHECK_SIZE];
};

/* ---- sealing ---- */

static struct span purpose(void)
{
    return span(blob_purpose, sizeof blob_purpose - 1);
}

enum err seal_wrap(const struct seal *seal, const struct secret *plain, struct bytes *ret_blob, struct fault *f)
{
    uint8_t nonce[NONCE_SIZE];
    randombytes_buf(nonce, sizeof nonce);
    AUTO(bytes) blob = {.data = malloc(BLOB_OVERHEAD + plain->size + 1), .capacity = BLOB_OVERHEAD + plain->size + 1};
    if (!blob.data)
        return fault_no_memory(f);
    bytes_append(&blob, (uint8_t[]){BLOB_VERSION}, 1);
    bytes_append_span(&blob, SPAN_OF(nonce));
    crypto_aead_xchacha20poly1305_ietf_encrypt(blob.data + blob.size, NULL, plain->data, plain->size, purpose().data,
                                               purpose().size, NULL, nonce, seal->key.data);
    blob.size = BLOB_OVERHEAD + plain->size;
    blob.data[blob.size] = 0;
    *ret_blob = blob;
    blob = (struct bytes){0};
    return OK;
}

enum err seal_unwrap(const struct seal *seal, struct span blob, struct secret *ret_plain, struct fault *f)
{
    if (blob.size < BLOB_OVERHEAD || blob.data[0] != BLOB_VERSION)
        return fault_set(f, CODE_DAMAGED, "a sealed key is cut short or of an unknown version");
    AUTO(secret) plain = {0};
    TRY(secret_new(blob.size - BLOB_OVERHEAD, &plain, f));
    const uint8_t *nonce = blob.data + 1, *ciphertext = nonce + NONCE_SIZE;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain.data, NULL, NULL, ciphertext, plain.size + TAG_SIZE,
                                                   purpose().data, purpose().size, nonce, seal->key.data) != 0)
        return fault_set(f, CODE_DAMAGED, "a sealed key is damaged, or sealed with another seal key");
    *ret_plain = plain;
    plain = (struct secret){0};
    return OK;
}

void seal_cleanup(struct seal *seal)
{
    secret_cleanup(&seal->key);
}

/* ---- where the seal key comes from ---- */

static enum err source_path(const struct seal_config *config, char ret_path[SECRET_PATH_SIZE], struct fault *f)
{
    const char *folder = "", *separator = "";
    if (config->source == SEAL_NONE)
        return fault_set(f, CODE_SEALED, "no seal key is given: name a key file, a passphrase file or a credential");
    if (config->source == SEAL_CREDENTIAL) {
        folder = getenv("CREDENTIALS_DIRECTORY");
        separator = "/";
        if (!folder)
            return fault_set(f, CODE_SEALED, "there are no credentials: start as a systemd unit with LoadCredential=");
        if (strchr(config->path, '/'))
            return fault_set(f, CODE_SEALED, "a credential's name has no slash: %s", config->path);
    }
    if (snprintf(ret_path, SECRET_PATH_SIZE, "%s%s%s", folder, separator, config->path) >= SECRET_PATH_SIZE)
        return fault_set(f, CODE_SEALED, "the path of the seal key is too long");
    return OK;
}

/* A copy of the state folder, a backup say, must not bring its key along. */
static enum err path_check_outside(const char *path, const char *state, struct fault *f)
{
    char folder[SECRET_PATH_SIZE], real_folder[PATH_MAX], real_state[PATH_MAX];
    TRY(secret_folder(path, folder, f));
    if (!realpath(folder, real_folder))
        return fault_errno(f, "%s, the folder of the seal key, cannot be found", folder);
    if (!realpath(state, real_state))
        return fault_errno(f, "the state folder %s cannot be found", state);
    size_t length = strlen(real_state);
    if (strncmp(real_folder, real_state, length) == 0 && (real_folder[length] == '/' || real_folder[length] == '\0'))
        return fault_set(f, CODE_SEALED, "%s is inside the state folder: keep the seal key elsewhere", path);
    return OK;
}

static enum err key_from_file(enum secret_kind kind, const char *path, struct secret *key, struct fault *f)
{
    AUTO(secret) text = {0};
    TRY(secret_read(kind, path, HEX_KEY_SIZE, &text, f));
    size_t decoded = 0;
    if (text.size != HEX_KEY_SIZE ||
        sodium_hex2bin(key->data, key->size, (const char *)text.data, text.size, NULL, &decoded, NULL) != 0 ||
        decoded != KEY_SIZE)
        return fault_set(f, CODE_SEALED, "%s is not a seal key, which is one line of %d hexadecimal digits", path,
                         HEX_KEY_SIZE);
    return OK;
}

static enum err key_from_passphrase(const char *path, const struct parameters *parameters, struct secret *key,
                                    struct fault *f)
{
    AUTO(secret) text = {0};
    TRY(secret_read(SECRET_FILE, path, PASSPHRASE_MAX, &text, f));
    if (text.size < PASSPHRASE_MIN)
        return fault_set(f, CODE_SEALED, "the passphrase in %s is shorter than %d characters: choose a longer one",
                         path, PASSPHRASE_MIN);
    if (crypto_pwhash(key->data, key->size, (const char *)text.data, text.size, parameters->salt,
                      parameters->cost.operations, parameters->cost.memory_bytes, crypto_pwhash_ALG_ARGON2ID13) != 0)
        return fault_set(f, CODE_NO_MEMORY, "no memory for the %" PRIu64 " MiB that hashing the passphrase takes",
                         parameters->cost.memory_bytes >> 20);
    return OK;
}

static enum err key_load(enum seal_source source, const char *path, const struct parameters *parameters,
                         struct seal *ret_seal, struct fault *f)
{
    AUTO(seal) seal = {0};
    TRY(secret_new(KEY_SIZE, &seal.key, f));
    if (parameters->passphrase)
        TRY(key_from_passphrase(path, parameters, &seal.key, f));
    else
        TRY(key_from_file(source == SEAL_CREDENTIAL ? SECRET_CREDENTIAL : SECRET_FILE, path, &seal.key, f));
    *ret_seal = seal;
    seal = (struct seal){0};
    return OK;
}

/* ---- the file `seal` of the state folder ---- */

static enum err state_path(const char *state, char ret_path[SECRET_PATH_SIZE], struct fault *f)
{
    if (snprintf(ret_path, SECRET_PATH_SIZE, "%s/seal", state) >= SECRET_PATH_SIZE)
        return fault_set(f, CODE_SEALED, "the path of the state folder is too long");
    return OK;
}

static bool node_hex(const struct node *object, const char *key, uint8_t *ret_data, size_t size)
{
    struct node node = node_get(object, key);
    const char *text = NULL;
    struct fault unused = {0};
    if (!node_string(&node, NODE_REQUIRED, &text))
        return false;
    if (hex_decode(text, ret_data, size, &unused) == OK)
        return true;
    node_error(&node, "expected %zu hexadecimal digits", 2 * size);
    return false;
}

static void parameters_read_passphrase(const struct node *root, struct parameters *parameters)
{
    struct node operations = node_get(root, "opslimit"), memory = node_get(root, "memlimit");
    int64_t operations_value = 0, memory_value = 0;
    node_hex(root, "salt", parameters->salt, sizeof parameters->salt);
    node_integer(&operations, NODE_REQUIRED, crypto_pwhash_argon2id_OPSLIMIT_MIN, 64, &operations_value);
    node_integer(&memory, NODE_REQUIRED, crypto_pwhash_argon2id_MEMLIMIT_MIN, INT64_C(4) << 30, &memory_value);
    parameters->cost = (struct seal_cost){(uint64_t)operations_value, (uint64_t)memory_value};
}

static enum err parameters_load(const char *state, struct parameters *ret_parameters, struct fault *f)
{
    static const char *const keys[] = {"version", "kdf", "salt", "opslimit", "memlimit", "check", NULL};
    static const char *const kdfs[] = {"none", "argon2id", NULL};
    char path[SECRET_PATH_SIZE];
    TRY(state_path(state, path, f));
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return fault_set(f, CODE_SEALED, "%s is not a state folder (it has no file `seal`): make one with init", state);
    CLEANUP(document_auto) struct document *document = NULL;
    TRY(document_load(path, &document, f));

    struct parameters parameters = {0};
    struct node root = document_root(document, f);
    struct node version = node_get(&root, "version"), kdf = node_get(&root, "kdf");
    int64_t version_value = 0;
    size_t kdf_index = 0;
    node_allow(&root, keys);
    node_integer(&version, NODE_REQUIRED, STATE_VERSION, STATE_VERSION, &version_value);
    node_word(&kdf, NODE_REQUIRED, kdfs, &kdf_index);
    parameters.passphrase = kdf_index == 1;
    if (parameters.passphrase)
        parameters_read_passphrase(&root, &parameters);
    node_hex(&root, "check", parameters.check, sizeof parameters.check);
    TRY(fault_if_reasons(f, CODE_SEALED, "%s is damaged: restore it from a backup", path));
    *ret_parameters = parameters;
    return OK;
}

static enum err parameters_save(const struct parameters *parameters, const char *state, struct fault *f)
{
    char path[SECRET_PATH_SIZE], check[2 * CHECK_SIZE + 1], salt[2 * SALT_SIZE + 1];
    TRY(state_path(state, path, f));
    hex_text(SPAN_OF(parameters->check), check, sizeof check);
    hex_text(SPAN_OF(parameters->salt), salt, sizeof salt);
    AUTO(bytes) text = {0};
    bytes_appendf(&text, "{\n  \"version\": %d,\n", STATE_VERSION);
    if (parameters->passphrase)
        bytes_appendf(&text,
                      "  \"kdf\": \"argon2id\",\n  \"salt\": \"%s\",\n  \"opslimit\": %" PRIu64
                      ",\n  \"memlimit\": %" PRIu64 ",\n",
                      salt, parameters->cost.operations, parameters->cost.memory_bytes);
    else
        bytes_append_text(&text, "  \"kdf\": \"none\",\n");
    bytes_appendf(&text, "  \"check\": \"%s\"\n}\n", check);
    TRY(bytes_check(&text, f));
    return secret_create(path, bytes_span(&text), f);
}

/* ---- creating and opening ---- */

static enum err check_make(const struct seal *seal, uint8_t ret_check[CHECK_SIZE], struct fault *f)
{
    AUTO(secret) plain = {0};
    AUTO(bytes) blob = {0};
    TRY(secret_new(sizeof check_text, &plain, f));
    memcpy(plain.data, check_text, sizeof check_text);
    TRY(seal_wrap(seal, &plain, &blob, f));
    memcpy(ret_check, blob.data, CHECK_SIZE);
    return OK;
}

static enum err key_file_make(const char *path, struct fault *f)
{
    AUTO(secret) key = {0};
    AUTO(secret) text = {0};
    TRY(secret_new(KEY_SIZE, &key, f));
    TRY(secret_new(HEX_KEY_SIZE + 1, &text, f));
    randombytes_buf(key.data, key.size);
    sodium_bin2hex((char *)text.data, text.size, key.data, key.size);
    text.data[HEX_KEY_SIZE] = '\n';
    return secret_create(path, span(text.data, text.size), f);
}

enum err seal_create_cost(const struct seal_config *config, const char *state, const struct seal_cost *cost,
                          struct seal *ret_seal, struct fault *f)
{
    char key_path[SECRET_PATH_SIZE], path[SECRET_PATH_SIZE];
    TRY(source_path(config, key_path, f));
    TRY(path_check_outside(key_path, state, f));
    TRY(state_path(state, path, f));
    if (access(path, F_OK) == 0)
        return fault_set(f, CODE_CONFLICT, "%s exists: this state folder has a seal already", path);
    if (config->source == SEAL_KEY_FILE && access(key_path, F_OK) < 0 && errno == ENOENT)
        TRY(key_file_make(key_path, f));

    AUTO(seal) seal = {0};
    struct parameters parameters = {.passphrase = config->source == SEAL_PASSPHRASE_FILE, .cost = *cost};
    randombytes_buf(parameters.salt, sizeof parameters.salt);
    TRY(key_load(config->source, key_path, &parameters, &seal, f));
    TRY(check_make(&seal, parameters.check, f));
    TRY(parameters_save(&parameters, state, f));
    *ret_seal = seal;
    seal = (struct seal){0};
    return OK;
}

enum err seal_create(const struct seal_config *config, const char *state, struct seal *ret_seal, struct fault *f)
{
    static const struct seal_cost moderate = {crypto_pwhash_argon2id_OPSLIMIT_MODERATE,
                                              crypto_pwhash_argon2id_MEMLIMIT_MODERATE};
    return seal_create_cost(config, state, &moderate, ret_seal, f);
}

static enum err check_test(const struct seal *seal, const struct parameters *parameters, const char *key_path,
                           struct fault *f)
{
    AUTO(secret) plain = {0};
    struct fault unused = {0};
    if (seal_unwrap(seal, SPAN_OF(parameters->check), &plain, &unused) != OK ||
        !span_equal(span(plain.data, plain.size), SPAN_OF(check_text)))
        return fault_set(f, CODE_SEALED,
                         "the seal key in %s does not open this state folder: give the one that "
                         "it was made with",
                         key_path);
    return OK;
}

enum err seal_open(const struct seal_config *config, const char *state, struct seal *ret_seal, struct fault *f)
{
    char key_path[SECRET_PATH_SIZE];
    struct parameters parameters;
    TRY(source_path(config, key_path, f));
    TRY(path_check_outside(key_path, state, f));
    TRY(parameters_load(state, &parameters, f));
    if (parameters.passphrase != (config->source == SEAL_PASSPHRASE_FILE))
        return fault_set(f, CODE_SEALED, "this state folder is sealed with a %s: give that one",
                         parameters.passphrase ? "passphrase" : "key file or credential");
    AUTO(seal) seal = {0};
    TRY(key_load(config->source, key_path, &parameters, &seal, f));
    TRY(check_test(&seal, &parameters, key_path, f));
    *ret_seal = seal;
    seal = (struct seal){0};
    return OK;
}
