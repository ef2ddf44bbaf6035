/* http_watch.h: ends connections that take too long in total. libmicrohttpd's own timeout counts idle time only, which
 * a client that sends one byte now and then outlives. Threads: any, one per entry for watch_deadline(). */
#ifndef ENSIGN_SERVER_HTTP_WATCH_H
#define ENSIGN_SERVER_HTTP_WATCH_H

#include "ca/base/span.h"

struct watch;

/* A part of each connection. */
struct watch_entry {
    int fd;
    const char *remote;
    _Atomic int64_t deadline; /* clock_milliseconds(); 0: none */
    _Atomic bool busy;        /* a request is in progress */
    struct watch_entry *previous, *next;
};

MUST_USE enum err watch_new(struct watch **ret_watch, struct fault *f);
void watch_free(struct watch *watch); /* when it has no entries */

void watch_add(struct watch *watch, struct watch_entry *entry);
void watch_remove(struct watch *watch, struct watch_entry *entry); /* before its fd is closed */
size_t watch_count(struct watch *watch);
void watch_deadline(struct watch_entry *entry, int milliseconds); /* from now; 0: none */

/* From now on connections without a request in progress are ended. Waits until there are no others, at most this
 * long. */
void watch_drain(struct watch *watch, int seconds);
bool watch_draining(struct watch *watch);

#endif
