/* rotations.c: the last mark of each place, in memory: an agent's question must not read all rotations. */
#include <pthread.h>
#include <search.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ca/rotation.h"

enum { PLACE_HASH_SIZE = 16 };

struct rotations {
    pthread_rwlock_t lock;
    void *marks; /* of tsearch(3) */
};

/* As they are many, without their names. */
struct last_mark {
    uint8_t place[PLACE_HASH_SIZE]; /* first: by this they are compared */
    uint8_t id[ROTATION_ID_SIZE];
    uint8_t serial[SERIAL_SIZE];
};

static int marks_compare(const void *a, const void *b)
{
    return memcmp(a, b, PLACE_HASH_SIZE);
}

static void place_hash(const struct place *place, uint8_t ret_hash[PLACE_HASH_SIZE])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, PLACE_HASH_SIZE);
    const char *const names[] = {place->cluster, place->node, place->profile};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        crypto_generichash_update(&state, (const uint8_t *)names[i], strlen(names[i]) + 1);
    crypto_generichash_final(&state, ret_hash, PLACE_HASH_SIZE);
}

/* NULL when memory runs out. Under the lock. */
static struct last_mark *mark_at(struct rotations *rotations, const struct last_mark *wanted)
{
    struct last_mark **found = tfind(wanted, &rotations->marks, marks_compare);
    if (found)
        return *found;
    struct last_mark *made = malloc(sizeof *made);
    if (!made)
        return NULL;
    *made = *wanted;
    found = tsearch(made, &rotations->marks, marks_compare);
    if (!found)
        free(made);
    return found ? *found : NULL;
}

enum err rotations_add(struct rotations *rotations, const char *cluster, const uint8_t id[ROTATION_ID_SIZE],
                       const struct mark *mark, struct fault *f)
{
    const struct place place = {cluster, mark->node, mark->profile};
    struct last_mark wanted;
    place_hash(&place, wanted.place);
    memcpy(wanted.id, id, sizeof wanted.id);
    memcpy(wanted.serial, mark->serial, sizeof wanted.serial);
    pthread_rwlock_wrlock(&rotations->lock);
    struct last_mark *last = mark_at(rotations, &wanted);
    if (last && memcmp(last->id, wanted.id, sizeof wanted.id) < 0)
        *last = wanted;
    pthread_rwlock_unlock(&rotations->lock);
    return last ? OK : fault_no_memory(f);
}

bool rotations_marked(struct rotations *rotations, const struct place *place, const uint8_t serial[SERIAL_SIZE],
                      uint8_t ret_id[ROTATION_ID_SIZE])
{
    struct last_mark wanted;
    place_hash(place, wanted.place);
    pthread_rwlock_rdlock(&rotations->lock);
    struct last_mark **found = tfind(&wanted, &rotations->marks, marks_compare);
    bool marked = found && memcmp((*found)->serial, serial, SERIAL_SIZE) == 0;
    if (marked)
        memcpy(ret_id, (*found)->id, ROTATION_ID_SIZE);
    pthread_rwlock_unlock(&rotations->lock);
    return marked;
}

/* ---- loading ---- */

struct load {
    struct rotations *rotations;
    struct rotation_key key;
    struct fault *f;
    enum err err;
};

static bool load_mark(void *context, const struct mark *mark)
{
    struct load *load = context;
    load->err = rotations_add(load->rotations, load->key.cluster, load->key.id, mark, load->f);
    return load->err == OK;
}

static bool load_row(void *context, struct span key, struct span row)
{
    struct load *load = context;
    if (!rotation_key_parse(key, &load->key))
        load->err = fault_set(load->f, CODE_DAMAGED, "a key of a rotation has a wrong size");
    else if (load->key.marks) {
        enum err err = marks_unpack(row, load_mark, load, load->f);
        load->err = load->err == OK ? err : load->err;
    }
    return load->err == OK;
}

static void rotations_auto(struct rotations **rotations)
{
    rotations_free(*rotations);
}

enum err rotations_load(struct store *store, struct rotations **ret_rotations, struct fault *f)
{
    CLEANUP(rotations_auto) struct rotations *rotations = calloc(1, sizeof *rotations);
    AUTO(bytes) from = {0};
    AUTO(bytes) to = {0};
    if (!rotations)
        return fault_no_memory(f);
    pthread_rwlock_init(&rotations->lock, NULL);
    key_prefix('r', &from);
    key_prefix_end('r', &to);
    TRY(bytes_check(&from, f));
    TRY(bytes_check(&to, f));
    struct load load = {.rotations = rotations, .f = f};
    TRY(store_scan(store, bytes_span(&from), bytes_span(&to), false, load_row, &load, f));
    TRY(load.err);
    *ret_rotations = TAKE(rotations);
    return OK;
}

void rotations_free(struct rotations *rotations)
{
    if (!rotations)
        return;
    tdestroy(rotations->marks, free);
    pthread_rwlock_destroy(&rotations->lock);
    free(rotations);
}
