/* served.h: which certificate a server shows, as whoever connects sees it. */
#ifndef ENSIGN_CLIENT_AGENT_SERVED_H
#define ENSIGN_CLIENT_AGENT_SERVED_H

#include "ca/x509/certificate.h"

/* Connects to "host:port" ("[::1]:2379") and takes the handshake as far as the server's certificate; what comes behind
 * it, as a client certificate that is missing, does not matter, and nothing of it is believed.
 * ERR_IO (CODE_UNREACHABLE): nobody answers, or without TLS, within a few seconds. */
MUST_USE enum err served_certificate(const char *endpoint, struct bytes *ret_der, struct fault *f);

#endif
