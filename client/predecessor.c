#include "client/predecessor.h"

#include <openssl/x509v3.h>
#include <string.h>

#include "ca/base/encode.h"
#include "client/issued.h"
#include "client/keys.h"
#include "client/kubeconfig.h"
#include "client/leaf.h"
#include "policies/cluster.h"

AUTO_POINTER(BIO, BIO_free)
AUTO_POINTER(GENERAL_NAMES, GENERAL_NAMES_free)

/* ---- certificates ---- */

static bool issued_by_bundle(X509 *leaf, struct span bundle)
{
    for (;;) {
        AUTO(certificate) ca = {0};
        struct fault end = {0};
        if (bundle_next(&bundle, &ca, &end) != OK)
            return false;
        if (leaf_signed_by(leaf, &ca.public_key))
            return true;
    }
}

static enum err common_name_check(const X509 *leaf, const char *wanted, struct fault *f)
{
    char name[ATTRIBUTE_MAX + 1] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName, name, sizeof name);
    return strcmp(name, wanted) == 0 ? OK : fault_set(f, CODE_INVALID, "its common name is not \"%s\"", wanted);
}

static bool dns_kept(const ASN1_STRING *name, const struct alternative_names *names)
{
    char text[DNS_NAME_MAX + 1];
    size_t size = (size_t)ASN1_STRING_length(name);
    if (size >= sizeof text)
        return false;
    memcpy(text, ASN1_STRING_get0_data(name), size);
    text[size] = '\0';
    return strlen(text) == size && alternative_names_has_dns(names, text);
}

static bool address_kept(const ASN1_STRING *address, const struct alternative_names *names)
{
    struct address wanted = {.size = (uint8_t)ASN1_STRING_length(address)};
    if ((size_t)ASN1_STRING_length(address) > sizeof wanted.data)
        return false;
    memcpy(wanted.data, ASN1_STRING_get0_data(address), wanted.size);
    return alternative_names_has_address(names, &wanted);
}

static bool name_kept(const GENERAL_NAME *name, const struct alternative_names *names)
{
    if (name->type == GEN_DNS)
        return dns_kept(name->d.dNSName, names);
    return name->type == GEN_IPADD && address_kept(name->d.iPAddress, names);
}

/* "DNS:lb.example.com" */
static enum err name_fault(GENERAL_NAME *name, struct fault *f)
{
    CLEANUP(BIO_auto) BIO *out = BIO_new(BIO_s_mem());
    char text[DNS_NAME_MAX + 8] = "";
    if (out && GENERAL_NAME_print(out, name) == 1)
        BIO_gets(out, text, sizeof text);
    return fault_set(f, CODE_INVALID, "the cluster file does not give it the name %s", text);
}

static enum err names_check(const X509 *leaf, const struct alternative_names *names, struct fault *f)
{
    CLEANUP(GENERAL_NAMES_auto) GENERAL_NAMES *present = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(present); i++) {
        GENERAL_NAME *name = sk_GENERAL_NAME_value(present, i);
        if (!name_kept(name, names))
            return name_fault(name, f);
    }
    return OK;
}

/* Whose etcd's certificates are nobody asks: each of its CA's is let in. */
static bool common_name_matters(const struct catalogue_item *item)
{
    return strcmp(item->authority, "etcd-ca") != 0;
}

static enum err leaf_check(const struct catalogue_item *item, struct span bundle, struct span pem, struct fault *f)
{
    CLEANUP(X509_auto) X509 *leaf = leaf_read_pem(pem);
    if (!leaf)
        return fault_set(f, CODE_INVALID, "it does not begin with a certificate");
    if (!issued_by_bundle(leaf, bundle))
        return fault_set(f, CODE_INVALID, "no %s CA of this cluster issued it", item->authority);
    if (common_name_matters(item))
        TRY(common_name_check(leaf, item->content.subject.common_name, f));
    return names_check(leaf, &item->content.names, f);
}

enum err predecessor_check_key(const struct catalogue_item *item, struct span bundle, struct span certificate,
                               struct span key, struct fault *f)
{
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *pair = NULL;
    TRY(leaf_check(item, bundle, certificate, f));
    if (key_read_pem(key, &pair, f) != OK)
        return fault_set(f, CODE_INVALID, "it is no private key that can be read");
    CLEANUP(X509_auto) X509 *leaf = leaf_read_pem(certificate);
    if (EVP_PKEY_eq(X509_get0_pubkey(leaf), pair) != 1)
        return fault_set(f, CODE_INVALID, "it is not the key of the certificate beside it");
    return OK;
}

/* ---- bundles ---- */

static bool bundle_has(struct span bundle, struct span der)
{
    for (;;) {
        AUTO(certificate) ca = {0};
        struct fault end = {0};
        if (bundle_next(&bundle, &ca, &end) != OK)
            return false;
        if (span_equal(bytes_span(&ca.der), der))
            return true;
    }
}

static enum err bundle_check(struct span bundle, struct span present, struct fault *f)
{
    for (size_t count = 0;; count++) {
        AUTO(bytes) der = {0};
        char label[PEM_LABEL_SIZE];
        enum err err = pem_next(&present, label, &der, f);
        if (err == ERR_ABSENT && count > 0) {
            fault_clear(f);
            return OK;
        }
        if (err != OK)
            return fault_set(f, CODE_INVALID, "it is no list of certificates");
        if (!bundle_has(bundle, bytes_span(&der)))
            return fault_set(f, CODE_INVALID, "it has a certificate that is not among the cluster's");
    }
}

/* ---- kubeconfigs ---- */

/* That it has nothing which kubeconfig_write() would not write. */
static bool kubeconfig_plain(const struct document *document)
{
    const char *form =
        "{s:s, s:s, s:s, s?{}, s:[{s:s, s:{s:s, s:s}}], s:[{s:s, s:{s:s, s:s}}], s:[{s:s, s:{s:s, s:s}}]}";
    return json_unpack_ex((json_t *)document_json(document), NULL, JSON_STRICT | JSON_VALIDATE_ONLY, form, "apiVersion",
                          "kind", "current-context", "preferences", "clusters", "name", "cluster", "server",
                          "certificate-authority-data", "contexts", "name", "context", "cluster", "user", "users",
                          "name", "user", "client-certificate-data", "client-key-data") == 0;
}

static enum err kubeconfig_check(const struct catalogue_item *item, struct span bundle, struct span present,
                                 struct fault *f)
{
    AUTO(kubeconfig_content) content = {0};
    struct fault why = {0};
    if (kubeconfig_read(present, &content, &why) != OK || !kubeconfig_plain(content.document))
        return fault_set(f, CODE_INVALID, "it has more or less than a kubeconfig of one user with all embedded");
    if (strcmp(content.server, item->server) != 0)
        return fault_set(f, CODE_INVALID, "its server is not %s", item->server);
    TRY(bundle_check(bundle, bytes_span(&content.bundle), f));
    return leaf_check(item, bundle, bytes_span(&content.certificate), f);
}

enum err predecessor_check(const struct catalogue_item *item, struct span bundle, struct span present, struct fault *f)
{
    switch (item->kind) {
    case CATALOGUE_CERTIFICATE:
        return leaf_check(item, bundle, present, f);
    case CATALOGUE_KUBECONFIG:
        return kubeconfig_check(item, bundle, present, f);
    case CATALOGUE_BUNDLE:
        return bundle_check(bundle, present, f);
    case CATALOGUE_KEY_PAIR:
        break;
    }
    return fault_set(f, CODE_INVALID, "it is a key pair");
}
