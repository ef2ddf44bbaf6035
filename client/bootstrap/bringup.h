/* bringup.h: hosts that become a cluster: looked at, planned for, and worked on stage by stage. Whoever is killed in
 * between is gone on with by the next one, which looks again.
 *
 *     AUTO(bringup) bringup = {0};
 *     TRY(bringup_open(&bringup, &hosts, &cluster, f));     before the hosts are looked at
 *     TRY(hosts_look(&hosts, …));
 *     TRY(bringup_plan(&bringup, &choice, f));              the hosts have answered, all of them
 *     TRY(bringup_apply(&bringup, &choice, f));
 */
#ifndef ENSIGN_CLIENT_BOOTSTRAP_BRINGUP_H
#define ENSIGN_CLIENT_BOOTSTRAP_BRINGUP_H

#include "client/bootstrap/hosts.h"
#include "client/bootstrap/plan.h"
#include "client/session.h"

struct bringup {
    struct hosts *hosts;
    struct session *session; /* for tokens; NULL: nothing is applied */
    struct profiles profiles;
    struct catalogue catalogue;
    struct materials materials;
    struct step_view *views; /* one per host */
    const char ***paths;     /* the same */
    struct plan plan;
    char kubernetes_version[32];
    struct bytes vrrp_password; /* empty: none is needed */
};

/* Borrows the hosts, which must be open, and makes them ask for what a plan needs. */
MUST_USE enum err bringup_open(struct bringup *bringup, struct hosts *hosts, struct session *session, struct fault *f);
void bringup_cleanup(struct bringup *bringup);

MUST_USE enum err bringup_plan(struct bringup *bringup, const struct plan_choice *choice, struct fault *f);

/* Does what is planned, and waits at each gate. The fault names the stage; what went wrong on which host is told by
 * messages. */
MUST_USE enum err bringup_apply(struct bringup *bringup, const struct plan_choice *choice, struct fault *f);

/* Each host, asked once for all that its gates wait for.
 *   ret_health  one per host: OK, or what was expected and seen; owned array, free() */
MUST_USE enum err bringup_health(struct bringup *bringup, struct outcome **ret_health, struct fault *f);

/* One step on these hosts, whether it is planned or not. `chosen` has an entry per host. */
MUST_USE enum err bringup_step(struct bringup *bringup, const struct step_kind *kind, const bool *chosen,
                               struct fault *f);

/* One step on one host, which reads `input` on its standard input. */
MUST_USE enum err bringup_step_on(struct bringup *bringup, const struct step_kind *kind, size_t host, const char *input,
                                  struct fault *f);

/* What goes between a step and this program, all borrowed. {0}: nothing. */
struct step_talk {
    const char *input;         /* the function's standard input, on each host */
    struct span body;          /* the same of its descriptor 8, as it is and however large */
    int output_file;           /* > 0: what the function prints goes there, and into no log: of one host */
    struct bytes *ret_outputs; /* one per host: what it printed, with output_file on standard error. NULL: not wanted */
};
MUST_USE enum err bringup_step_talk(struct bringup *bringup, const struct step_kind *kind, const bool *chosen,
                                    const struct step_talk *talk, struct fault *f);

#endif
