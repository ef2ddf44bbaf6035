/* import.h: CAs that exist already: read from files, their keys sealed to the service's signer, sent.
 *
 * A key is read here and leaves this process sealed (libsodium: crypto_box_seal) to the key that the signer made when
 * it started; the service between them cannot open it. The signer's key comes from the service, over the connection
 * that is checked against the context's pin. */
#ifndef ENSIGN_CLIENT_IMPORT_H
#define ENSIGN_CLIENT_IMPORT_H

#include "ca/x509/certificate.h"
#include "client/session.h"

struct import {
    struct bytes pem;               /* of the certificate */
    struct certificate certificate; /* the same */
    struct bytes pkcs8;             /* DER; a secret */
    json_t *item;                   /* of the body that is sent: where the sealed key goes; borrowed */
};
/* The first certificate of the file: kubeadm, too, looks at no other. The key may be PKCS#8 or the traditional form,
 * either also encrypted. passphrase_path NULL: there is none. */
MUST_USE enum err import_read(const char *certificate_path, const char *key_path, const char *passphrase_path,
                              struct import *ret_import, struct fault *f);
void import_cleanup(struct import *import);

/* {"name", "certificate"}, a new value, which becomes the import's item; NULL when memory runs out. */
json_t *import_json(struct import *import, const char *name);

/* POSTs the body that holds the items of all imports. Should the signer be started again meanwhile, it seals and sends
 * them once more. */
MUST_USE enum err import_post(struct session *session, const char *path, const json_t *body, struct import *imports,
                              size_t count, struct document **ret_answer, struct fault *f);

#endif
