/* session.h: what most commands begin with: the context, the connection, the form of the output. */
#ifndef ENSIGN_CLIENT_SESSION_H
#define ENSIGN_CLIENT_SESSION_H

#include "client/api.h"
#include "client/command.h"
#include "client/output.h"

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

/* GET, and the answer as the output asks for it. */
MUST_USE enum err session_show(struct session *session, const char *path, const struct output *output, struct fault *f);
MUST_USE enum err session_show_list(struct session *session, const char *path, const struct output *output,
                                    struct fault *f);

/* "/v1/clusters/" cluster [tail] */
void cluster_path(struct bytes *out, const char *cluster, const char *tail);

#endif
