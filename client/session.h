/* session.h: what most commands begin with: the context, the connection, the form of the output. */
#ifndef ENSIGN_CLIENT_SESSION_H
#define ENSIGN_CLIENT_SESSION_H

#include "client/api.h"
#include "client/command.h"
#include "client/output.h"
#include "policies/cluster.h"

struct session {
    struct context context;
    struct api *api;
    enum output_format format;
};

/* The session must not move: the connection borrows its context. */
MUST_USE enum err session_open(const struct arguments *arguments, struct session *session, struct fault *f);
void session_cleanup(struct session *session);

/* The pin of the service: the context's; over the Unix socket, which needs none, the one of the CA that it shows. */
MUST_USE enum err session_pin(struct session *session, uint8_t ret_pin[SHA256_SIZE], struct fault *f);

/* The CA certificates of an authority, PEM. */
MUST_USE enum err session_bundle(struct session *session, const char *cluster, const char *authority,
                                 struct bytes *ret_bundle, struct fault *f);

/* The inventory as the service has it. */
MUST_USE enum err session_cluster(struct session *session, const char *name, struct cluster *ret_cluster,
                                  struct fault *f);

/* Whether the service says that this certificate was revoked. One that it does not know was not. */
MUST_USE enum err session_revoked(struct session *session, const char *serial, bool *ret_revoked, struct fault *f);

/* GET, and the answer as the output asks for it. */
MUST_USE enum err session_show(struct session *session, const char *path, const struct output *output, struct fault *f);
MUST_USE enum err session_show_list(struct session *session, const char *path, const struct output *output,
                                    struct fault *f);

/* The whole of a command that lists what --cluster has below this tail. */
MUST_USE enum err cluster_list_run(const struct arguments *arguments, const char *tail, const struct column *columns,
                                   size_t columns_count, struct fault *f);

/* "/v1/clusters/" cluster [tail] */
void cluster_path(struct bytes *out, const char *cluster, const char *tail);

#endif
