/* context.h: which service a command talks to, how it is recognised, and who asks.
 *
 *     apiVersion: ensign/v1
 *     kind: Context
 *     server: https://ca.example.com:8443    # or unix:///run/ensign/ensignd.sock, for root
 *     pin: sha256:…                          # of the SubjectPublicKeyInfo of the service's CA
 *     certificate: PEM                       # or certificateFile: PATH, relative to this file
 *     key: PEM                               # or keyFile: PATH
 *     logVerifier: origin+hash+key
 *
 * The file and the key file are 0600. Options come before the environment (ENSIGN_CONTEXT, ENSIGN_SERVER,
 * ENSIGN_TOKEN_FILE), that before the file: $ENSIGN_CONTEXT, else ~/.config/ensign/context, else /etc/ensign/context.
 */
#ifndef ENSIGN_CLIENT_CONTEXT_H
#define ENSIGN_CLIENT_CONTEXT_H

#include "ca/base/document.h"
#include "ca/log/checkpoint.h"
#include "client/token.h"

enum { SERVER_TEXT_MAX = 1023 };

struct context {
    char server[SERVER_TEXT_MAX + 1]; /* "https://host:port" without a path, or "unix:///path" */
    bool has_pin;
    uint8_t pin[SHA256_SIZE];
    struct bytes certificate, key; /* PEM; empty when there are none */
    char log_verifier[LOG_VERIFIER_TEXT_MAX + 1];
    struct bytes token; /* its text; empty when there is none. A token is used instead of a certificate */
};

/* What the options say; NULL where they say nothing. */
struct context_choice {
    const char *context, *server, *token_file;
};

MUST_USE enum err context_open(const struct context_choice *choice, struct context *ret_context, struct fault *f);
MUST_USE enum err context_load(const char *path, struct context *ret_context, struct fault *f);
void context_cleanup(struct context *context); /* wipes it */

bool server_is_socket(const char *server);

/* The document of a context file. certificate and key are PEM, or paths when `by_file` is set. A secret with PEM. */
struct context_text {
    const char *server, *log_verifier;
    const uint8_t *pin;
    bool by_file;
    const char *certificate, *key;
};
MUST_USE enum err context_write(const struct context_text *text, struct bytes *ret_document, struct fault *f);

#endif
