/* pki_folder.h: what lies in the folders where kubeadm, cfssl and openssl leave the PKI of a cluster.
 *
 *   kubernetes      PKI/ca                                          each as NAME.crt with NAME.key (kubeadm, openssl)
 *   front-proxy-ca  PKI/front-proxy-ca                              or NAME.pem with NAME-key.pem (cfssl)
 *   etcd-ca         ETCD/ca, ETCD/etcd-ca; without ETCD: PKI/etcd/ca, PKI/etcd/etcd-ca, PKI/etcd-ca */
#ifndef ENSIGN_CLIENT_PKI_FOLDER_H
#define ENSIGN_CLIENT_PKI_FOLDER_H

#include <limits.h>

#include "client/import.h"

enum { PKI_AUTHORITIES = 3, PKI_CERTIFICATES_MAX = 500 };

struct pki_folder {
    const char *path, *etcd_path; /* etcd_path NULL: none of its own */
};

struct pki_authority {
    const char *name; /* "kubernetes" */
    char certificate[PATH_MAX], key[PATH_MAX];
};

/* The CAs, in the order of cluster_authorities. ERR_INPUT names each that has no key beside its certificate and, unless
 * some may be missing, each that is not there at all. */
MUST_USE enum err pki_authorities(const struct pki_folder *folder, bool may_miss, struct pki_authority *ret_authorities,
                                  size_t *ret_count, struct fault *f);

/* The certificates of leaves in *.crt and *.pem of these folders and PKI/etcd, as a JSON list in order of file:
 * {"file", "serial", "sha256", "authority", "subject", "issuer", "not_after"}. authority is the CA among the given ones
 * that signed it, and absent when none did. What is no certificate is passed over.
 *   imports  count of them, of the authorities with the same index */
MUST_USE enum err pki_certificates(const struct pki_folder *folder, const struct pki_authority *authorities,
                                   const struct import *imports, size_t count, json_t **ret_list, struct fault *f);

#endif
