/* token.h: a join token: "ensign1." and the base64url of id, secret, and the pin of the service that it is for. The
 * service gets the id and the hash of the secret when the token is made; the secret itself only when it is used. */
#ifndef ENSIGN_CLIENT_TOKEN_H
#define ENSIGN_CLIENT_TOKEN_H

#include "ca/base/span.h"
#include "ca/x509/public_key.h"

enum { TOKEN_ID_SIZE = 16, TOKEN_SECRET_SIZE = 32 };

struct token {
    uint8_t id[TOKEN_ID_SIZE];
    uint8_t secret[TOKEN_SECRET_SIZE];
    uint8_t pin[SHA256_SIZE]; /* SHA-256 of the SubjectPublicKeyInfo of the service's CA */
};

MUST_USE enum err token_make(const uint8_t pin[SHA256_SIZE], struct token *ret_token, struct fault *f);
void token_text(const struct token *token, struct bytes *out);
void token_secret_sha256(const struct token *token, uint8_t ret_hash[SHA256_SIZE]);

/* White space around the token is allowed; anything else is ERR_INPUT, with a text that does not repeat it. */
MUST_USE enum err token_parse(struct span text, struct token *ret_token, struct fault *f);
void token_cleanup(struct token *token); /* wipes it */

#endif
