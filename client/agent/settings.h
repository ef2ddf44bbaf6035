/* settings.h: /etc/ensign/agent.yaml, which a node may have; all of it is optional.
 *
 *     apiVersion: ensign/v1
 *     kind: Agent
 *     lifetime: 720h                    # what is asked for at a renewal; else the profile's
 *     hooks:                            # instead of client/agent/hooks.h's, by profile or by the CA of a bundle
 *       kubelet: none
 *       etcd-ca: {command: [systemctl, restart, etcd3], timeout: 2m}
 *     check:                            # where the new certificate must be shown; by profile
 *       apiserver: "127.0.0.1:6443"
 *       etcd-member: none
 *     health:                           # after a restart; else by HTTPS
 *       etcd: {command: [/usr/local/bin/etcd-healthy], timeout: 1m}
 *       apiserver: none
 *
 * A command is run without a shell; it has failed when it exits with anything but 0 or takes longer than its timeout
 * (60s). Threads: pure; read-only once made. */
#ifndef ENSIGN_CLIENT_AGENT_SETTINGS_H
#define ENSIGN_CLIENT_AGENT_SETTINGS_H

#include "client/agent/hooks.h"

enum { COMMAND_WORDS_MAX = 32, SETTINGS_MAX = PROFILES_MAX + 8, ENDPOINT_TEXT_MAX = 263 };

struct command_setting {
    const char *name; /* of the profile, CA or program */
    bool none;        /* nothing is run */
    const char *words[COMMAND_WORDS_MAX + 1];
    int64_t timeout_seconds;
};

struct check_setting {
    const char *name;
    bool none;
    const char *endpoint; /* "host:port" */
};

struct settings {
    struct document *document; /* what the texts borrow from; NULL without a file */
    int64_t lifetime_seconds;  /* 0: the profile's */
    struct command_setting hooks[SETTINGS_MAX];
    struct check_setting checks[SETTINGS_MAX];
    struct command_setting health[2];
    size_t hooks_count, checks_count, health_count;
};

/* path  must exist when `required` is set; else an absent file is one that says nothing */
MUST_USE enum err settings_load(const char *path, bool required, const struct profiles *profiles,
                                struct settings *ret_settings, struct fault *f);
MUST_USE enum err settings_read(struct document *take_document, const struct profiles *profiles,
                                struct settings *ret_settings, struct fault *f);
void settings_cleanup(struct settings *settings);

/* NULL: nothing is said of it. */
const struct command_setting *settings_hook(const struct settings *settings, const char *name);
const struct check_setting *settings_check(const struct settings *settings, const char *profile);
const struct command_setting *settings_health(const struct settings *settings, enum hook_health health);

#endif
