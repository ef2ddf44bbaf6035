/* Rows of the keys that control planes share: a row that is read is written as the same bytes, within the limits. */
#include "ca/shared_key.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"

static void sealing_key_hold(struct span row)
{
    struct sealing_key key;
    AUTO(bytes) again = {0};
    struct fault *f = fuzz_fault();
    fuzz_fresh(&key, sizeof key);
    if (!fuzz_kept(sealing_key_unpack(row, &key, f), f, &key, sizeof key))
        return;
    sealing_key_pack(&key, &again);
    HOLDS(span_equal(bytes_span(&again), row));
    sealing_key_cleanup(&key);
}

static void shared_key_hold(struct span row)
{
    static struct shared_key key;
    AUTO(bytes) again = {0};
    struct fault *f = fuzz_fault();
    fuzz_fresh(&key, sizeof key);
    if (!fuzz_kept(shared_key_unpack(row, &key, f), f, &key, sizeof key))
        return;
    HOLDS(key.receivers_count <= SHARED_RECEIVERS_MAX);
    for (size_t i = 0; i < key.receivers_count; i++)
        HOLDS(shared_key_receiver(&key, key.receivers[i].name));
    shared_key_pack(&key, &again);
    HOLDS(span_equal(bytes_span(&again), row));
    shared_key_cleanup(&key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span row = span(data, size);
    if (fuzz_choice(&row, 2) == 0)
        sealing_key_hold(row);
    else
        shared_key_hold(row);
    return 0;
}

void fuzz_seeds(void)
{
    AUTO(bytes) sealing_row = {0}, shared_row = {0}, claimed_row = {0}, certified_row = {0};
    AUTO(sealing_key)
    sealing = {.cluster = "lab", .node = "masterone", .serial = {1}, .public_key = {2}, .created_at = 3};
    AUTO(shared_key)
    shared = {.cluster = "lab", .name = "sa", .generation = 1, .custodian = "masterone", .claimed_at = 4};
    bytes_append_text(&sealing.signature, "signature");
    sealing_key_pack(&sealing, &sealing_row);
    fuzz_seed_choice(0, bytes_span(&sealing_row));
    bytes_append_text(&shared.spki, "spki");
    shared_key_pack(&shared, &claimed_row);
    fuzz_seed_choice(1, bytes_span(&claimed_row));
    shared.receivers_count = 2;
    shared.receivers[0] = (struct shared_receiver){.name = "masterone", .sealing_key = {2}, .holds = true};
    shared.receivers[1] = (struct shared_receiver){.name = SHARED_RECOVERY, .sealing_key = {3}, .sender = "masterone"};
    bytes_append_text(&shared.receivers[1].sealed, "sealed");
    bytes_append_text(&shared.receivers[1].signature, "signature");
    shared_key_pack(&shared, &shared_row);
    fuzz_seed_choice(1, bytes_span(&shared_row));
    shared.certified = true;
    shared.serial[0] = 5;
    shared_key_pack(&shared, &certified_row);
    fuzz_seed_choice(1, bytes_span(&certified_row));
}
