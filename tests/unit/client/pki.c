#include "tests/unit/client/pki.h"

#include <stdio.h>
#include <string.h>

#include "ca/base/encode.h"
#include "tests/unit/client/fixture.h"

enum { DAY = 86400 };

void pair_make(struct pair *pair)
{
    struct fault f = {0};
    assert_int_equal(key_generate(KEY_ECDSA_P256, &pair->key, &f), OK);
    assert_int_equal(key_spki(pair->key, &pair->spki, &f), OK);
    assert_int_equal(public_key_parse(bytes_span(&pair->spki), &pair->public_key, &f), OK);
}

void pair_drop(struct pair *pair)
{
    EVP_PKEY_free(pair->key);
    bytes_free(&pair->spki);
}

void pair_certificate_write(const struct certificate_content *content, const struct public_key *subject,
                            const struct pair *signer, const char *signer_name, int64_t now, struct bytes *out)
{
    struct fault f = {0};
    AUTO(bytes) name = {0};
    AUTO(bytes) draft = {0};
    AUTO(bytes) der = {0};
    struct distinguished_name issuer_name = {0};
    snprintf(issuer_name.common_name, sizeof issuer_name.common_name, "%s", signer_name);
    assert_int_equal(distinguished_name_encode(&issuer_name, &name, &f), OK);
    struct issuer issuer = {.name = bytes_span(&name), .algorithm = KEY_ECDSA_P256};
    memcpy(issuer.key_identifier, signer->public_key.key_identifier, sizeof issuer.key_identifier);
    uint8_t serial[SERIAL_SIZE];
    serial_make(now, 0, serial);
    assert_int_equal(draft_build(content, &issuer, subject, serial, &draft, &f), OK);
    assert_int_equal(draft_sign(bytes_span(&draft), signer->key, KEY_ECDSA_P256, &der, &f), OK);
    pem_append(out, "CERTIFICATE", bytes_span(&der));
}

void pair_ca_write(const struct pair *pair, const char *name, int64_t now, struct bytes *out)
{
    struct fault f = {0};
    struct certificate_content content = {.key_usage = USAGE_DIGITAL_SIGNATURE | USAGE_KEY_CERT_SIGN | USAGE_CRL_SIGN,
                                          .not_before = now - DAY,
                                          .not_after = now + 100 * DAY,
                                          .authority = true};
    snprintf(content.subject.common_name, sizeof content.subject.common_name, "%s", name);
    assert_int_equal(alternative_names_add_dns(&content.names, name, &f), OK);
    pair_certificate_write(&content, &pair->public_key, pair, name, now, out);
    certificate_content_cleanup(&content);
}
