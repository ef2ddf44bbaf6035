/* config.h: ensignd.yaml. Unknown keys are errors; all errors are reported at once with file:line:column.
 *
 *     apiVersion: ensign/v1
 *     kind: Config
 *     state: /var/lib/ensign            # made by `ensignd init`; relative paths are relative to this file's folder
 *     listen: 0.0.0.0:8443              # ADDR:PORT, "[::]:8443" for IPv6; port 0: the kernel chooses (state/run/port)
 *     seal: {keyFile: /etc/ensign/seal.key}    # or passphraseFile: F, or credential: NAME
 *     socket: run/ensignd.sock          # Unix socket for root, relative to state; default as here
 *     log: {level: info}                # debug | info | warning | error
 *     limits:
 *       connections: 2000
 *       connectionsPerAddress: 200
 *       agentsWaiting: 256              # for something to do; more are told when to ask again
 *       failures: {burst: 1000, perMinute: 600}   # wrong tokens and unknown certificates, of one address (IPv6: /64)
 *       refusals: {burst: 1000, perMinute: 60}    # by role or policy, of one identity; each is a leaf of the log
 *       requests: {burst: 1000, perMinute: 6000}  # of one identity; default: no limit
 *       renewalsPerHour: 30             # of a certificate that is neither due nor to be replaced; 0: no limit
 *       # Beyond these callers get 429 with Retry-After. What else succeeds is limited by `requests` alone.
 *     metrics: {anonymous: false}       # true: anybody may GET /metrics; else auditors, operators, admins, the socket
 *     clock: {maxOffline: 30d}          # a clock later than this after the last mark must be acknowledged (ca/clock.h)
 *     blockedKeys: blocked-keys         # public keys that nobody may use (ca/blocklist.h); read at start
 */
#ifndef ENSIGN_SERVER_CONFIG_H
#define ENSIGN_SERVER_CONFIG_H

#include "ca/base/document.h"
#include "hsm/seal.h"
#include "server/throttle.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

struct config {
    char state[4096];
    char listen_host[256];
    unsigned listen_port;
    char socket[108]; /* sun_path */
    struct seal_config seal;
    enum log_level log_level;
    unsigned connections_max, connections_per_address_max, agents_waiting_max, renewals_per_hour;
    int64_t max_offline_seconds;
    struct throttle_rate failures, refusals, requests;
    bool metrics_anonymous;
    char blocked_keys[4096]; /* path; empty: none */
};

MUST_USE enum err config_load(const char *path, struct config *ret_config, struct fault *f);

/* "0.0.0.0:8443", "[::]:8443": an address and a port. */
bool listen_parse(const char *text, char *ret_host, size_t size, unsigned *ret_port);

#endif
