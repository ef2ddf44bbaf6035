/* commands.h: the command table, and what its rows run. One file per noun: cmd_<noun>.c. */
#ifndef ENSIGN_CLIENT_COMMANDS_H
#define ENSIGN_CLIENT_COMMANDS_H

#include "ca/base/document.h"
#include "client/command.h"

typedef enum err command_run(const struct arguments *arguments, struct fault *f);

/* What people write, from a file or, for "-", from standard input. */
MUST_USE enum err document_read(const char *path, struct document **ret_document, struct fault *f);

/* Where the sets of this node are (--out, else below --root or /), and the root that is installed below: NULL with
 * --out alone. Owned path. */
MUST_USE enum err sets_place(const struct arguments *arguments, struct bytes *ret_sets, const char **ret_root,
                             struct fault *f);

command_run clock_show, clock_acknowledge;
command_run cluster_adopt, cluster_create, cluster_update, cluster_list, cluster_show, cluster_certificates;
command_run cluster_plan, cluster_apply, cluster_upgrade, cluster_status, cluster_reset, cluster_remove;
command_run cluster_check, cluster_kubeconfig, cluster_release_lease;
command_run etcd_snapshot_save, etcd_snapshot_restore;
command_run rotate_create, rotate_status;
command_run restore_show, restore_acknowledge;
command_run tokens_create, tokens_list, tokens_revoke;
command_run enroll, agent;
command_run certificate_list, certificate_show, certificate_request, certificate_check_expiration, certificate_revoke;
command_run ca_show, ca_bundle, ca_crl, ca_import, ca_reissue;
command_run identity_create;
command_run audit_verify, audit_checkpoint;
command_run user_create;
command_run shared_key_sync, shared_key_show, shared_key_renew, shared_key_reset;
command_run recovery_keygen, recovery_open;
command_run whoami;
command_run completion_run, help_run, version_run;

extern const struct command commands[]; /* ended by a row without a name */

#endif
