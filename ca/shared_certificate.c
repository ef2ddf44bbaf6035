/* shared_certificate.c: the one certificate of a key that the control planes share. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ca/shared_key.h"

static void shared_key_free(struct shared_key **key)
{
    if (*key)
        shared_key_cleanup(*key);
    free(*key);
}

static enum err key_get(struct ca *ca, const struct cluster *cluster, const char *name, struct shared_key **ret_key,
                        uint64_t *ret_revision, struct fault *f)
{
    CLEANUP(shared_key_free) struct shared_key *key = calloc(1, sizeof *key);
    if (!key)
        return fault_no_memory(f);
    TRY(shared_key_get(ca, cluster, name, key, ret_revision, f));
    *ret_key = TAKE(key);
    return OK;
}

static void claim_of(const struct shared_key *key, struct shared_claim *claim)
{
    memcpy(claim->custodian, key->custodian, sizeof claim->custodian);
    crypto_hash_sha256(claim->spki_sha256, key->spki.data, key->spki.size);
    claim->certified = key->certified;
    memcpy(claim->serial, key->serial, sizeof claim->serial);
}

enum err shared_claim_get(struct ca *ca, const struct cluster *cluster, const char *name,
                          struct shared_claim *ret_claim, struct fault *f)
{
    CLEANUP(shared_key_free) struct shared_key *key = NULL;
    uint64_t revision;
    TRY(key_get(ca, cluster, name, &key, &revision, f));
    claim_of(key, ret_claim);
    return OK;
}

enum err shared_key_certify(struct ca *ca, const struct cluster *cluster, const struct certificate_record *record,
                            struct change *change, struct fault *f)
{
    CLEANUP(shared_key_free) struct shared_key *key = NULL;
    AUTO(bytes) expected = {0};
    AUTO(bytes) name = {0};
    AUTO(bytes) row = {0};
    struct shared_claim claim;
    uint64_t revision = 0;
    TRY(key_get(ca, cluster, record->profile, &key, &revision, f));
    claim_of(key, &claim);
    if (strcmp(claim.custodian, record->node) != 0 || memcmp(claim.spki_sha256, record->spki_sha256, SHA256_SIZE) != 0)
        return fault_set(f, CODE_KEY_CONFLICT, "\"%s\" has taken over key \"%s\" meanwhile",
                         claim.custodian[0] ? claim.custodian : "nobody", record->profile);
    key->certified = true;
    memcpy(key->serial, record->serial, SERIAL_SIZE);
    key_shared_key(cluster->name, record->profile, &expected);
    key_shared_key(cluster->name, record->profile, &name);
    shared_key_pack(key, &row);
    change_expect(change, &expected, revision);
    change_put(change, &name, &row);
    return OK;
}
