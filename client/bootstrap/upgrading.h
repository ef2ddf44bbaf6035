/* upgrading.h: an upgrade (upgrade.h) as it is done: one part on one host after the other, no further than the first
 * that fails. Whoever is killed in between is gone on with by the next one. */
#ifndef ENSIGN_CLIENT_BOOTSTRAP_UPGRADING_H
#define ENSIGN_CLIENT_BOOTSTRAP_UPGRADING_H

#include "client/bootstrap/bringup.h"
#include "client/bootstrap/upgrade.h"

/* ERR_INPUT: a host is not healthy; messages tell which. Nodes where an upgrade was interrupted are not asked, nor,
 * where there is one, the first control plane, which counts the nodes that are Ready: both are asked when they are
 * done. */
MUST_USE enum err upgrading_health(struct bringup *bringup, struct fault *f);

/* The bringup is of the cluster as it is to be: kubeadm's configuration is rendered of it. */
MUST_USE enum err upgrading_apply(struct bringup *bringup, const struct upgrade *upgrade, const struct plan *plan,
                                  struct fault *f);

#endif
