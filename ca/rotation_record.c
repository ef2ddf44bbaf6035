/* rotation_record.c: the rows of rotations. */
#include <string.h>

#include "ca/rotation.h"

enum { ROTATION_VERSION = 1, MARKS_VERSION = 1 };

/* ---- keys ---- */

void key_rotation(const char *cluster, const uint8_t id[ROTATION_ID_SIZE], struct bytes *out)
{
    key_prefix('r', out);
    key_name(cluster, out);
    pack_fixed(out, span(id, ROTATION_ID_SIZE));
}

void key_marks(const char *cluster, const uint8_t id[ROTATION_ID_SIZE], uint16_t part, struct bytes *out)
{
    key_rotation(cluster, id, out);
    pack_u16(out, part);
}

bool rotation_key_parse(struct span key, struct rotation_key *ret_key)
{
    const uint8_t *end = key.size > 1 ? memchr(key.data + 1, '\0', key.size - 1) : NULL;
    if (!end)
        return false;
    size_t rest = key.size - (size_t)(end + 1 - key.data);
    if (rest != ROTATION_ID_SIZE && rest != ROTATION_ID_SIZE + sizeof(uint16_t))
        return false;
    ret_key->cluster = (const char *)key.data + 1;
    ret_key->marks = rest > ROTATION_ID_SIZE;
    memcpy(ret_key->id, end + 1, ROTATION_ID_SIZE);
    return true;
}

/* ---- rotations ---- */

void rotation_pack(const struct rotation *rotation, struct bytes *out)
{
    const struct rotation_selector *selector = &rotation->selector;
    pack_u8(out, ROTATION_VERSION);
    pack_fixed(out, SPAN_OF(rotation->id));
    pack_text(out, rotation->cluster);
    pack_i64(out, rotation->created_at);
    pack_text(out, rotation->created_by);
    pack_text(out, rotation->reason);
    pack_text(out, selector->node);
    pack_text(out, selector->profile);
    pack_u8(out, selector->has_serial);
    pack_fixed(out, SPAN_OF(selector->serial));
    pack_i64(out, selector->expiring_within_seconds);
    pack_u8(out, selector->changed);
    pack_u32(out, rotation->places);
}

enum err rotation_unpack(struct span row, struct rotation *ret_rotation, struct fault *f)
{
    struct unpack in;
    struct rotation rotation = {0};
    struct rotation_selector *selector = &rotation.selector;
    TRY(row_begin(row, ROTATION_VERSION, "a rotation", &in, f));
    unpack_fixed(&in, rotation.id, sizeof rotation.id);
    unpack_text(&in, rotation.cluster, sizeof rotation.cluster);
    rotation.created_at = unpack_i64(&in);
    unpack_text(&in, rotation.created_by, sizeof rotation.created_by);
    unpack_text(&in, rotation.reason, sizeof rotation.reason);
    unpack_text(&in, selector->node, sizeof selector->node);
    unpack_text(&in, selector->profile, sizeof selector->profile);
    selector->has_serial = unpack_u8(&in) != 0;
    unpack_fixed(&in, selector->serial, sizeof selector->serial);
    selector->expiring_within_seconds = unpack_i64(&in);
    selector->changed = unpack_u8(&in) != 0;
    rotation.places = unpack_u32(&in);
    TRY(unpack_finish(&in, "a rotation", f));
    *ret_rotation = rotation;
    return OK;
}

/* ---- marks ---- */

void mark_pack(const struct mark *mark, struct bytes *out)
{
    if (out->size == 0)
        pack_u8(out, MARKS_VERSION);
    pack_text(out, mark->node);
    pack_text(out, mark->profile);
    pack_fixed(out, SPAN_OF(mark->serial));
}

enum err marks_unpack(struct span row, mark_visit *visit, void *context, struct fault *f)
{
    struct unpack in;
    TRY(row_begin(row, MARKS_VERSION, "a rotation's marks", &in, f));
    while (in.rest.size > 0 && !in.failed) {
        struct mark mark = {0};
        unpack_text(&in, mark.node, sizeof mark.node);
        unpack_text(&in, mark.profile, sizeof mark.profile);
        unpack_fixed(&in, mark.serial, sizeof mark.serial);
        if (!in.failed && !visit(context, &mark))
            return OK;
    }
    return unpack_finish(&in, "a rotation's marks", f);
}
