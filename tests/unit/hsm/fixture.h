/* fixture.h: a state folder with its seal, a signer process, and drafts for it to sign. */
#ifndef ENSIGN_TESTS_UNIT_HSM_FIXTURE_H
#define ENSIGN_TESTS_UNIT_HSM_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include "hsm/signer.h"

/* Fails the test with the text of the fault. */
#define assert_ok(call, f) assert_ok_at((call), (f), __FILE__, __LINE__)
void assert_ok_at(enum err err, const struct fault *f, const char *file, int line);
#define assert_fault(call, f, expected)                                                                                \
    do {                                                                                                               \
        assert_int_not_equal((call), OK);                                                                              \
        assert_string_equal(code_name((f)->code), code_name(expected));                                                \
        fault_clear(f);                                                                                                \
    } while (0)

/* A folder of its own with `state/` in it, sealed by `seal.key`. */
struct house {
    char folder[64], state[96];
    struct seal_config config;
};
void house_open(struct house *house);
void house_close(struct house *house); /* with everything in it */

/* A signer for the house; returns the server's end of its channel. */
int signer_start(const struct house *house, pid_t *ret_pid);
void signer_kill(pid_t pid); /* and waits for its end */

/* A CA, and a leaf's public key to make drafts for. */
struct authority {
    struct bytes blob, certificate;
    struct issuer issuer;
    struct bytes issuer_name;
    EVP_PKEY *public;
};
/* The content and the grant of every CA in these tests. */
void authority_content(struct certificate_content *ret_content, struct grant *ret_grant);
void authority_make(struct signer *signer, enum key_algorithm algorithm, struct authority *ret_authority);
void authority_read(struct authority *authority); /* fills the rest from the certificate */
void authority_cleanup(struct authority *authority);

/* A CA that the signer does not have: certificate and key (PKCS#8), both DER. */
void foreign_make(enum key_algorithm algorithm, struct bytes *ret_certificate, struct bytes *ret_pkcs8);
void key_pkcs8(EVP_PKEY *key, struct bytes *ret_pkcs8);
/* Sealed as the client does. */
void box_make(const uint8_t public_key[IMPORT_PUBLIC_KEY_SIZE], struct span plain, struct bytes *ret_box);

/* A leaf that every CA here may sign. */
void leaf_content(const char *name, struct certificate_content *ret_content);
void draft_make(const struct authority *authority, const struct certificate_content *content, struct bytes *ret_draft);
void leaf_draft(const struct authority *authority, const char *name, struct bytes *ret_draft);

/* By OpenSSL alone: the certificate is of this draft and signed by this CA. */
bool certificate_good(const struct authority *authority, struct span draft, struct span certificate);

#endif
