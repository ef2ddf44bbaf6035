#include "hsm/import.h"

#include <sodium.h>

enum { PLAIN_MAX = 16 * 1024 }; /* an RSA-4096 key takes less than 3 KiB */

enum err import_key_new(struct import_key *ret_key, struct fault *f)
{
    AUTO(secret) private_key = {0};
    TRY(secret_new(crypto_box_SECRETKEYBYTES, &private_key, f));
    crypto_box_keypair(ret_key->public_key, private_key.data);
    ret_key->private_key = private_key;
    private_key = (struct secret){0};
    return OK;
}

enum err import_key_open(const struct import_key *key, struct span box, struct secret *ret_plain, struct fault *f)
{
    if (box.size <= crypto_box_SEALBYTES || box.size > crypto_box_SEALBYTES + PLAIN_MAX)
        return fault_set(f, CODE_INVALID, "a sealed CA key of %zu bytes", box.size);
    AUTO(secret) plain = {0};
    TRY(secret_new(box.size - crypto_box_SEALBYTES, &plain, f));
    if (crypto_box_seal_open(plain.data, box.data, box.size, key->public_key, key->private_key.data) != 0)
        return fault_set(f, CODE_CONFLICT,
                         "the CA key was not sealed to the signer that runs now: ask for its key and seal again");
    *ret_plain = plain;
    plain = (struct secret){0};
    return OK;
}

void import_key_cleanup(struct import_key *key)
{
    secret_cleanup(&key->private_key);
}
