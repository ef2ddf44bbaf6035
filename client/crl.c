#include "client/crl.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>
#include <time.h>

#include "ca/base/encode.h"
#include "client/files.h"
#include "client/text.h"

static const char etcd_authority[] = "etcd-ca", file_name[] = "crl.der";

AUTO_POINTER(X509, X509_free)
AUTO_POINTER(X509_CRL, X509_CRL_free)
AUTO_POINTER(ASN1_INTEGER, ASN1_INTEGER_free)

/* ---- what it is ---- */

static enum err signature_check(X509_CRL *crl, struct span bundle, struct fault *f)
{
    for (;;) {
        char label[PEM_LABEL_SIZE];
        AUTO(bytes) der = {0};
        enum err err = pem_next(&bundle, label, &der, f);
        if (err == ERR_ABSENT) {
            fault_clear(f);
            return fault_set(f, CODE_UNTRUSTED, "no CA of the cluster signed this CRL");
        }
        TRY(err);
        const unsigned char *next = der.data;
        CLEANUP(X509_auto) X509 *ca = d2i_X509(NULL, &next, (long)der.size);
        if (ca && X509_NAME_cmp(X509_get_subject_name(ca), X509_CRL_get_issuer(crl)) == 0 &&
            X509_CRL_verify(crl, X509_get0_pubkey(ca)) == 1)
            return OK;
    }
}

static enum err time_read(const ASN1_TIME *given, int64_t *ret_time, struct fault *f)
{
    struct tm parts;
    if (!given || ASN1_TIME_to_tm(given, &parts) != 1)
        return fault_set(f, CODE_UNTRUSTED, "the CRL has no thisUpdate or nextUpdate (RFC 5280 5.1.2)");
    *ret_time = timegm(&parts);
    return OK;
}

static enum err number_read(const X509_CRL *crl, int64_t *ret_number, struct fault *f)
{
    CLEANUP(ASN1_INTEGER_auto) ASN1_INTEGER *number = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
    if (!number || ASN1_INTEGER_get_int64(ret_number, number) != 1 || *ret_number < 0)
        return fault_set(f, CODE_UNTRUSTED, "the CRL has no number (RFC 5280 5.2.3)");
    return OK;
}

enum err crl_check(struct span der, struct span bundle, int64_t now, struct crl_facts *ret_facts, struct fault *f)
{
    const unsigned char *next = der.data;
    struct crl_facts facts = {0};
    int64_t this_update = 0;
    CLEANUP(X509_CRL_auto) X509_CRL *crl = d2i_X509_CRL(NULL, &next, (long)der.size);
    if (!crl || next != der.data + der.size) {
        ERR_clear_error();
        return fault_set(f, CODE_UNTRUSTED, "this is not a CRL in DER (RFC 5280 5.1)");
    }
    TRY(signature_check(crl, bundle, f));
    TRY(number_read(crl, &facts.number, f));
    TRY(time_read(X509_CRL_get0_lastUpdate(crl), &this_update, f));
    TRY(time_read(X509_CRL_get0_nextUpdate(crl), &facts.next_update, f));
    if (this_update > now + 300 || facts.next_update <= now)
        return fault_set(f, CODE_UNTRUSTED, "the CRL is not of this time");
    *ret_facts = facts;
    return OK;
}

/* ---- where it is ---- */

const struct catalogue_item *crl_neighbour(const struct catalogue *catalogue, const char *node)
{
    for (size_t i = 0; i < catalogue->count; i++) {
        const struct catalogue_item *item = &catalogue->items[i];
        if (item->kind == CATALOGUE_BUNDLE && item->node->roles & ROLE_ETCD && strcmp(item->node->name, node) == 0 &&
            strcmp(item->authority, etcd_authority) == 0)
            return item;
    }
    return NULL;
}

static enum err crl_fetch(struct session *session, const char *cluster, struct bytes *ret_der, struct fault *f)
{
    AUTO(bytes) path = {0};
    cluster_path(&path, cluster, "/authorities/");
    percent_append(&path, etcd_authority);
    bytes_append_text(&path, "/crl");
    TRY(bytes_check(&path, f));
    enum err err = api_text(session->api, bytes_text(&path), ret_der, f);
    if (err != ERR_ABSENT)
        return err;
    fault_clear(f);
    return OK;
}

/* What etcd reads has to parse; whether it is still of this time does not matter to etcd. false: there is nothing that
 * etcd could read. */
static bool present_number(struct span der, int64_t *ret_number)
{
    const unsigned char *next = der.data;
    struct fault ignored = {0};
    CLEANUP(X509_CRL_auto) X509_CRL *crl = der.size > 0 ? d2i_X509_CRL(NULL, &next, (long)der.size) : NULL;
    bool whole = crl && next == der.data + der.size && number_read(crl, ret_number, &ignored) == OK;
    ERR_clear_error();
    return whole;
}

static enum err crl_put(int folder, struct span der, const struct crl_facts *facts, struct fault *f)
{
    AUTO(bytes) present = {0};
    int64_t number = 0;
    enum err err = file_read_at(folder, file_name, &present, f);
    if (err != OK && err != ERR_ABSENT)
        return err;
    fault_clear(f);
    if (span_equal(bytes_span(&present), der))
        return OK;
    if (present_number(bytes_span(&present), &number) && number > facts->number)
        return fault_set(
            f, CODE_UNTRUSTED,
            "the service has CRL %lld of etcd-ca, and %lld is here already: it is kept, since an older one "
            "may lack what was revoked",
            (long long)facts->number, (long long)number);
    TRY(file_put_at(folder, file_name, FILE_MODE_PUBLIC, FILE_REPLACE, der, f));
    message("installed CRL %lld of %s", (long long)facts->number, etcd_authority);
    return OK;
}

enum err crl_update(struct session *session, int root, const struct catalogue *catalogue, const char *node,
                    struct span bundle, struct crl_facts *ret_facts, struct fault *f)
{
    const struct catalogue_item *item = crl_neighbour(catalogue, node);
    CLEANUP(fd_cleanup) int folder = -1;
    AUTO(bytes) der = {0};
    const char *ignored = NULL;
    struct crl_facts facts = {0};
    *ret_facts = facts;
    if (!item)
        return OK;
    TRY(crl_fetch(session, catalogue->cluster->name, &der, f));
    if (der.size == 0)
        return OK;
    TRY(crl_check(bytes_span(&der), bundle, time(NULL), &facts, f));
    TRY(folder_open_parent(root, item->path, true, &folder, &ignored, f));
    TRY(crl_put(folder, bytes_span(&der), &facts, f));
    *ret_facts = facts;
    return OK;
}
