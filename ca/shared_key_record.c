/* shared_key_record.c: the rows of shared keys. */
#include "ca/shared_key.h"

/* Of a shared key's row, 2 has the serial of its certificate besides. */
enum { SEALING_KEY_VERSION = 1, SHARED_KEY_VERSION = 1, SHARED_KEY_CERTIFIED_VERSION = 2 };

static void key_of(char letter, const char *cluster, const char *name, struct bytes *out)
{
    key_prefix(letter, out);
    key_name(cluster, out);
    bytes_append_text(out, name);
}

void key_sealing_key(const char *cluster, const char *node, struct bytes *out)
{
    key_of('n', cluster, node, out);
}

void key_shared_key(const char *cluster, const char *name, struct bytes *out)
{
    key_of('k', cluster, name, out);
}

/* ---- sealing keys ---- */

void sealing_key_pack(const struct sealing_key *key, struct bytes *out)
{
    pack_u8(out, SEALING_KEY_VERSION);
    pack_text(out, key->cluster);
    pack_text(out, key->node);
    pack_fixed(out, SPAN_OF(key->serial));
    pack_fixed(out, SPAN_OF(key->public_key));
    pack_span(out, bytes_span(&key->signature));
    pack_i64(out, key->created_at);
}

void sealing_key_cleanup(struct sealing_key *key)
{
    bytes_free(&key->signature);
}

enum err sealing_key_unpack(struct span row, struct sealing_key *ret_key, struct fault *f)
{
    struct unpack in;
    TRY(row_begin(row, SEALING_KEY_VERSION, "a sealing key's row", &in, f));
    AUTO(sealing_key) key = {0};
    unpack_text(&in, key.cluster, sizeof key.cluster);
    unpack_text(&in, key.node, sizeof key.node);
    unpack_fixed(&in, key.serial, sizeof key.serial);
    unpack_fixed(&in, key.public_key, sizeof key.public_key);
    TRY(bytes_copy(unpack_span(&in), &key.signature, f));
    key.created_at = unpack_i64(&in);
    TRY(unpack_finish(&in, "a sealing key's row", f));
    *ret_key = key;
    key = (struct sealing_key){0};
    return OK;
}

/* ---- shared keys ---- */

static void receiver_pack(const struct shared_receiver *receiver, struct bytes *out)
{
    pack_text(out, receiver->name);
    pack_fixed(out, SPAN_OF(receiver->sealing_key));
    pack_u8(out, receiver->holds);
    pack_text(out, receiver->sender);
    pack_fixed(out, SPAN_OF(receiver->serial));
    pack_span(out, bytes_span(&receiver->sealed));
    pack_span(out, bytes_span(&receiver->signature));
}

void shared_key_pack(const struct shared_key *key, struct bytes *out)
{
    pack_u8(out, key->certified ? SHARED_KEY_CERTIFIED_VERSION : SHARED_KEY_VERSION);
    pack_text(out, key->cluster);
    pack_text(out, key->name);
    pack_u32(out, key->generation);
    pack_text(out, key->custodian);
    pack_span(out, bytes_span(&key->spki));
    pack_i64(out, key->claimed_at);
    if (key->certified)
        pack_fixed(out, SPAN_OF(key->serial));
    pack_u8(out, (uint8_t)key->receivers_count);
    for (size_t i = 0; i < key->receivers_count; i++)
        receiver_pack(&key->receivers[i], out);
}

void shared_key_cleanup(struct shared_key *key)
{
    bytes_free(&key->spki);
    for (size_t i = 0; i < key->receivers_count; i++) {
        bytes_free(&key->receivers[i].sealed);
        bytes_free(&key->receivers[i].signature);
    }
}

static enum err receiver_unpack(struct unpack *in, struct shared_receiver *receiver, struct fault *f)
{
    unpack_text(in, receiver->name, sizeof receiver->name);
    unpack_fixed(in, receiver->sealing_key, sizeof receiver->sealing_key);
    uint8_t holds = unpack_u8(in);
    in->failed |= holds > 1;
    receiver->holds = holds;
    unpack_text(in, receiver->sender, sizeof receiver->sender);
    unpack_fixed(in, receiver->serial, sizeof receiver->serial);
    TRY(bytes_copy(unpack_span(in), &receiver->sealed, f));
    return bytes_copy(unpack_span(in), &receiver->signature, f);
}

enum err shared_key_unpack(struct span row, struct shared_key *ret_key, struct fault *f)
{
    struct unpack in;
    bool certified = row.size > 0 && row.data[0] == SHARED_KEY_CERTIFIED_VERSION;
    TRY(row_begin(row, certified ? SHARED_KEY_CERTIFIED_VERSION : SHARED_KEY_VERSION, "a shared key's row", &in, f));
    AUTO(shared_key) key = {0};
    unpack_text(&in, key.cluster, sizeof key.cluster);
    unpack_text(&in, key.name, sizeof key.name);
    key.generation = unpack_u32(&in);
    unpack_text(&in, key.custodian, sizeof key.custodian);
    TRY(bytes_copy(unpack_span(&in), &key.spki, f));
    key.claimed_at = unpack_i64(&in);
    key.certified = certified;
    if (certified)
        unpack_fixed(&in, key.serial, sizeof key.serial);
    size_t count = unpack_u8(&in);
    if (count > SHARED_RECEIVERS_MAX)
        return fault_set(f, CODE_DAMAGED, "a shared key's row lists %zu receivers", count);
    while (key.receivers_count < count)
        TRY(receiver_unpack(&in, &key.receivers[key.receivers_count++], f));
    TRY(unpack_finish(&in, "a shared key's row", f));
    *ret_key = key;
    key = (struct shared_key){0};
    return OK;
}
