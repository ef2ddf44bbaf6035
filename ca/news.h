/* news.h: who waits for a change of something that concerns a node, and is woken by it. Nobody polls the database.
 *
 * A reader joins, looks at how things are, and waits when that is nothing new; what changes from its joining on wakes
 * it. A change of a row that concerns one node wakes that node's reader, one that concerns a cluster those of all its
 * nodes. Being woken says that there may be something new, not what.
 *
 *   g lineages   their node      p CRLs   the cluster
 *
 * What is kept in memory too (inventories, CAs, marks of rotations) is told by news_ring() when it is there.  Threads:
 * any. */
#ifndef ENSIGN_CA_NEWS_H
#define ENSIGN_CA_NEWS_H

#include <pthread.h>

#include "ca/ledger.h"

struct news;

/* On the stack of who waits. */
struct news_reader {
    const char *cluster, *node; /* borrowed */
    pthread_cond_t woken;
    bool rung, dismissed;
    struct news_reader *previous, *next;
};

MUST_USE enum err news_new(struct news **ret_news, struct fault *f);
void news_free(struct news *news); /* when nobody reads */
/* How many may wait at a time; 256 at first. Before others use it. */
void news_limit(struct news *news, unsigned readers_max);

ledger_observer news_observe; /* context: the struct news */
/* node NULL: all of the cluster */
void news_ring(struct news *news, const char *cluster, const char *node);

/* False: too many wait, or nobody may any more. A node has one reader: one that joins dismisses the one before. */
bool news_join(struct news *news, struct news_reader *reader, const char *cluster, const char *node);
/* Waits until something rings, since joining or since this returned last. False: the time is over, or the reader was
 * dismissed. until_milliseconds: of the monotonic clock */
bool news_wait(struct news *news, struct news_reader *reader, int64_t until_milliseconds);
void news_leave(struct news *news, struct news_reader *reader);

size_t news_readers(struct news *news); /* that have joined */
/* Dismisses all; from now on nobody joins. */
void news_stop(struct news *news);

#endif
