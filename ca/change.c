/* change.c: putting a change together: expectations, writes and the members of its event. */
#include <stdlib.h>
#include <string.h>

#include "ca/ledger.h"

static struct bytes bytes_move(struct bytes *from)
{
    struct bytes moved = *from;
    *from = (struct bytes){0};
    return moved;
}

void change_expect(struct change *change, struct bytes *take_key, uint64_t revision)
{
    if (change->expectations_count == CHANGE_EXPECTATIONS_MAX) {
        change->event.failed = true;
        bytes_free(take_key);
        return;
    }
    change->expectations[change->expectations_count].key = bytes_move(take_key);
    change->expectations[change->expectations_count].revision = revision;
    change->expectations_count++;
}

void change_put(struct change *change, struct bytes *take_key, struct bytes *take_value)
{
    if (change->writes_count == CHANGE_WRITES_MAX) {
        change->event.failed = true;
        bytes_free(take_key);
        bytes_free(take_value);
        return;
    }
    change->writes[change->writes_count].key = bytes_move(take_key);
    change->writes[change->writes_count].value = bytes_move(take_value);
    change->writes_count++;
}

enum err change_check(const struct change *change, struct fault *f)
{
    bool failed = change->event.failed;
    for (size_t i = 0; i < change->expectations_count; i++)
        failed |= change->expectations[i].key.failed;
    for (size_t i = 0; i < change->writes_count; i++)
        failed |= change->writes[i].key.failed || change->writes[i].value.failed;
    return failed ? fault_no_memory(f) : OK;
}

void change_cleanup(struct change *change)
{
    for (size_t i = 0; i < change->expectations_count; i++)
        bytes_free(&change->expectations[i].key);
    for (size_t i = 0; i < change->writes_count; i++) {
        bytes_free(&change->writes[i].key);
        bytes_free(&change->writes[i].value);
    }
    bytes_free(&change->event);
    bytes_free(&change->draft);
}

/* ---- events ---- */

void event_begin(struct bytes *event, const char *name, const char *actor)
{
    bytes_clear(event);
    member_string(event, "event", name);
    member_string(event, "actor", actor);
}
