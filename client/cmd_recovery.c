/* cmd_recovery.c: the key that is kept offline and opens what the control planes of a cluster share. */
#include <string.h>
#include <time.h>

#include "ca/base/encode.h"
#include "client/commands.h"
#include "client/envelope.h"
#include "client/files.h"
#include "client/session.h"
#include "client/text.h"

enum err recovery_keygen(const struct arguments *arguments, struct fault *f)
{
    AUTO(sealing_pair) pair = {0};
    CLEANUP(secret_cleanup) struct bytes text = {0};
    AUTO(bytes) public_key = {0};
    TRY(sealing_pair_make(&pair, f));
    sealing_pair_write(&pair, &text);
    base64url_append(&public_key, SPAN_OF(pair.public_key));
    bytes_append_text(&public_key, "\n");
    TRY(bytes_check(&text, f));
    TRY(bytes_check(&public_key, f));
    TRY(file_put(arguments->operands[0], FILE_MODE_PRIVATE, FILE_NEW, bytes_span(&text), f));
    return output_text(bytes_span(&public_key), f);
}

/* What an envelope of the answer says; the texts borrow from it. */
struct parts {
    const char *sender, *certificate;
    struct bytes spki, sealed, signature;
    int64_t generation;
};

static void parts_cleanup(struct parts *parts)
{
    bytes_free(&parts->spki);
    bytes_free(&parts->sealed);
    bytes_free(&parts->signature);
}

static enum err parts_read(const struct document *answer, struct parts *parts, struct fault *f)
{
    struct node root = document_root(answer, f), envelope = node_get(&root, "envelope");
    if (json_is_null(envelope.value))
        return fault_set(f, CODE_NOT_FOUND,
                         "nobody has sealed this key to the cluster's recovery key, or this caller may not have the "
                         "envelope: it is for admins");
    struct node generation = node_get(&root, "generation"), sender = node_get(&envelope, "sender");
    struct node certificate = node_get(&envelope, "certificate");
    node_integer(&generation, NODE_REQUIRED, 1, INT32_MAX, &parts->generation);
    node_string(&sender, NODE_REQUIRED, &parts->sender);
    node_string(&certificate, NODE_REQUIRED, &parts->certificate);
    answer_bytes(&root, "spki", &parts->spki);
    answer_bytes(&envelope, "sealed", &parts->sealed);
    answer_bytes(&envelope, "signature", &parts->signature);
    return answer_finish("an envelope", f);
}

static enum err key_open(struct session *session, const char *cluster, const char *name, const struct parts *parts,
                         const struct sealing_pair *pair, struct bytes *ret_pem, struct fault *f)
{
    uint8_t pin[SHA256_SIZE];
    AUTO(bytes) service_ca = {0};
    AUTO(certificate) signer = {0};
    TRY(session_pin(session, pin, f));
    TRY(session_bundle(session, CLUSTER_SERVICE, AUTHORITY_SERVICE, &service_ca, f));
    TRY(signer_read(span_text(parts->certificate), parts->sender, bytes_span(&service_ca), pin, time(NULL), &signer,
                    f));
    const struct envelope_subject subject = {
        cluster, name, (uint32_t)parts->generation, "@recovery", pair->public_key, bytes_span(&parts->spki)};
    return envelope_open(&signer, parts->sender, &subject, bytes_span(&parts->sealed), bytes_span(&parts->signature),
                         pair, ret_pem, f);
}

enum err recovery_open(const struct arguments *arguments, struct fault *f)
{
    const char *cluster = arguments->values[OPTION_CLUSTER], *out = arguments->values[OPTION_OUT];
    const char *name = arguments->values[OPTION_NAME] ? arguments->values[OPTION_NAME] : "sa";
    CLEANUP(secret_cleanup) struct bytes text = {0};
    CLEANUP(secret_cleanup) struct bytes pem = {0};
    CLEANUP(document_auto) struct document *answer = NULL;
    AUTO(sealing_pair) pair = {0};
    AUTO(parts) parts = {0};
    AUTO(session) session = {0};
    AUTO(bytes) path = {0};
    TRY(file_read_private(arguments->values[OPTION_KEY_FILE], &text, f));
    TRY(sealing_pair_read(bytes_span(&text), &pair, f));
    TRY(file_check(out, FILE_MODE_PRIVATE, FILE_NEW, f));
    TRY(session_open(arguments, &session, f));
    cluster_path(&path, cluster, "/shared-keys/");
    percent_append(&path, name);
    TRY(bytes_check(&path, f));
    TRY(api_json(session.api, "GET", bytes_text(&path), NULL, &answer, f));
    TRY(parts_read(answer, &parts, f));
    TRY(key_open(&session, cluster, name, &parts, &pair, &pem, f));
    TRY(file_put(out, FILE_MODE_PRIVATE, FILE_NEW, bytes_span(&pem), f));
    message("%s: key \"%s\" of cluster %s, generation %lld", out, name, cluster, (long long)parts.generation);
    return OK;
}
