#include "client/pin.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "ca/base/encode.h"

static const char prefix[] = "sha256:";

static void free_cleanup(unsigned char **p)
{
    OPENSSL_free(*p);
}

static bool pin_matches(X509 *certificate, const uint8_t pin[SHA256_SIZE])
{
    CLEANUP(free_cleanup) unsigned char *spki = NULL;
    int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &spki);
    uint8_t hash[SHA256_SIZE];
    return size > 0 && SHA256(spki, (size_t)size, hash) && CRYPTO_memcmp(hash, pin, sizeof hash) == 0;
}

static X509 *pinned_ca(STACK_OF(X509) * chain, const uint8_t pin[SHA256_SIZE])
{
    for (int i = 0; i < sk_X509_num(chain); i++) {
        X509 *certificate = sk_X509_value(chain, i);
        if (pin_matches(certificate, pin) && X509_check_ca(certificate) > 0 && X509_self_signed(certificate, 1) == 1)
            return certificate;
    }
    return NULL;
}

static int pin_verify(X509_STORE_CTX *verification, void *argument)
{
    struct pin_check *check = argument;
    X509 *ca = pinned_ca(X509_STORE_CTX_get0_untrusted(verification), check->pin);
    check->ca_found = ca != NULL;
    check->error = X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN;
    STACK_OF(X509) *trusted = ca ? sk_X509_new_null() : NULL;
    int verified = 0;
    if (trusted && sk_X509_push(trusted, ca) > 0 && X509_STORE_CTX_set_purpose(verification, X509_PURPOSE_SSL_SERVER)) {
        X509_STORE_CTX_set0_trusted_stack(verification, trusted);
        verified = X509_verify_cert(verification) == 1;
        check->error = X509_STORE_CTX_get_error(verification);
    }
    if (!verified) {
        X509_STORE_CTX_set_error(verification, check->error);
        ERR_clear_error(); /* curl takes the first error of the queue for the reason, and OpenSSL adds the right one */
    }
    X509_STORE_CTX_set0_trusted_stack(verification, NULL); /* what follows is only the clean-up of OpenSSL */
    sk_X509_free(trusted);
    return verified;
}

void pin_install(SSL_CTX *tls, struct pin_check *check)
{
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(tls, pin_verify, check);
}

void pin_text(const uint8_t pin[SHA256_SIZE], char ret_text[PIN_TEXT_SIZE])
{
    memcpy(ret_text, prefix, sizeof prefix);
    hex_text(span(pin, SHA256_SIZE), ret_text + sizeof prefix - 1, PIN_TEXT_SIZE - sizeof prefix + 1);
}

enum err pin_parse(const char *text, uint8_t ret_pin[SHA256_SIZE], struct fault *f)
{
    if (strncmp(text, prefix, sizeof prefix - 1) != 0)
        return fault_set(f, CODE_INVALID, "a pin is \"%s\" and %d hexadecimal digits", prefix, 2 * SHA256_SIZE);
    return hex_decode(text + sizeof prefix - 1, ret_pin, SHA256_SIZE, f);
}
