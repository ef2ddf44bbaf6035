/* kubeconfig.h: the file by which a client of Kubernetes finds and enters a cluster, as kubeadm writes it: one cluster,
 * one user, one context "USER@CLUSTER" (kubernetes.io/docs/reference/config-api/kubeconfig.v1).  Threads: pure. */
#ifndef ENSIGN_CLIENT_KUBECONFIG_H
#define ENSIGN_CLIENT_KUBECONFIG_H

#include "ca/base/document.h"

struct kubeconfig {
    const char *server;  /* "https://192.168.29.81:6443" */
    const char *cluster; /* what the file calls it; kubeadm: "kubernetes" */
    const char *user;    /* what the file calls it; kubeadm: the certificate's common name */
    /* Either PEM, which is embedded, or paths, which the file refers to. */
    bool by_file; /* certificate and key */
    bool bundle_by_file;
    struct span bundle, certificate, key;
};

/* YAML. It holds the key unless by_file: wipe it. ERR_INPUT a name, URL or path with control characters; ERR_NOMEM. */
MUST_USE enum err kubeconfig_write(const struct kubeconfig *kubeconfig, struct bytes *ret_text, struct fault *f);

/* What a file holds that kubeconfig_write() wrote with everything embedded. */
struct kubeconfig_content {
    struct document *document;
    const char *server, *cluster, *user; /* borrowed from it */
    struct bytes bundle, certificate, key;
};

/* ERR_INPUT for every other file, as one of several users. */
MUST_USE enum err kubeconfig_read(struct span text, struct kubeconfig_content *ret_content, struct fault *f);
void kubeconfig_content_cleanup(struct kubeconfig_content *content); /* wipes the key */

#endif
