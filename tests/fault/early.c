/* early.c: linked into a control build of ensignd with --wrap=store_commit: a commit is acknowledged at once and made
 * when the next one comes, so that the test of kills must notice. */
#include <pthread.h>
#include <stdlib.h>

#include "ca/store.h"

enum err __real_store_commit(struct store *store, const struct expectation *expectations, size_t expectations_count,
                             const struct write *writes, size_t writes_count, struct fault *f);
enum err __wrap_store_commit(struct store *store, const struct expectation *expectations, size_t expectations_count,
                             const struct write *writes, size_t writes_count, struct fault *f);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct write *held;
static size_t held_count;

static struct span copy(struct span source)
{
    struct bytes copied = {0};
    bytes_append_span(&copied, source);
    return bytes_span(&copied);
}

static void hold(const struct write *writes, size_t count)
{
    held = calloc(count, sizeof *held);
    held_count = held ? count : 0;
    for (size_t i = 0; i < held_count; i++)
        held[i] = (struct write){copy(writes[i].key), copy(writes[i].value), writes[i].erase};
}

/* What was held is leaked: a control does not live long. Expectations were checked by the ledger before. */
enum err __wrap_store_commit(struct store *store, const struct expectation *expectations, size_t expectations_count,
                             const struct write *writes, size_t writes_count, struct fault *f)
{
    (void)expectations, (void)expectations_count;
    pthread_mutex_lock(&lock);
    enum err err = held_count ? __real_store_commit(store, NULL, 0, held, held_count, f) : OK;
    hold(writes, writes_count);
    pthread_mutex_unlock(&lock);
    return err;
}
