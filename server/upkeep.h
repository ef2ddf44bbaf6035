/* upkeep.h: what a server does beside answering: renews its TLS certificate, says when the clock is not trusted, writes
 * a leaf about the strangers it refused, removes answers that were kept for a day, and makes CRLs anew when they are
 * due, or within seconds when something was revoked that none lists. One thread, which looks each hour and when it is
 * told to. */
#ifndef ENSIGN_SERVER_UPKEEP_H
#define ENSIGN_SERVER_UPKEEP_H

#include "server/app.h"
#include "server/tls.h"

struct upkeep;

/* Borrows app, with its ca and metrics. */
MUST_USE enum err upkeep_new(struct app *app, struct upkeep **ret_upkeep, struct fault *f);
/* The TLS certificate to begin with: that of the state folder, or a new one. Before upkeep_start(). */
MUST_USE enum err upkeep_tls(struct upkeep *upkeep, struct tls *ret_tls, struct fault *f);
/* Needs app->http. */
MUST_USE enum err upkeep_start(struct upkeep *upkeep, struct fault *f);
/* Looks at everything now. */
void upkeep_look(struct upkeep *upkeep);
/* Ends the thread, writes the last leaf, frees. */
void upkeep_stop(struct upkeep *upkeep);

#endif
