/* install.h: putting a node's certificates, keys, CA bundles and kubeconfigs where the catalogue has them. It knows
 * nothing of the service: who calls it brings the PEMs.
 *
 * All files are planned and looked at before the first is written. All are then written and synced under other names,
 * and switched to their own one after the other, so that whatever was interrupted is completed by doing it again; what
 * is right already is not touched.
 *
 * kubeadm and etcd have certificate and key as two files, and their programs read first the one and then the other. So
 * no mechanism keeps a reader from getting the one of before and the other of now, be it a folder or a link to one that
 * is switched as a whole: it is enough that the switch falls between its two calls. What is left is to keep the switch
 * as short as those: two exchanges of names with nothing between them, the certificate first as the readers have it.
 * Seen on ext4 with a reader each millisecond, loads that were mixed in 2000 switches: 22, and 12 with a link to a
 * folder; 1924 with renames that replace, 7105 when the second file was written between. etcd then fails one handshake,
 * which its clients try again; the API server keeps what it had and looks again. A link would also break those who do
 * not expect one: `kubeadm certs renew` would write through it into our sets, and a container that has only
 * /etc/kubernetes/pki mounted would find nothing behind it. An agent that dies between the two leaves them mixed until
 * it is started again.
 *
 *     SETS/installed     "SHA-256  /path" for each file that was put there or is about to be, as sha256sum prints it
 *
 * That record is how a file of ours is told from one that somebody edited or another program made. It is written before
 * the files, and names what is in a file's place now besides what comes: whichever is there after a crash is ours. What
 * is in a file could not tell: an edited kubeconfig or a CA bundle with one certificate more has the same issuer. */
#ifndef ENSIGN_CLIENT_INSTALL_H
#define ENSIGN_CLIENT_INSTALL_H

#include <sys/types.h>

#include "policies/catalogue.h"

enum { INSTALL_FILES_MAX = 64 };

enum install_state {
    INSTALL_ABSENT, /* nothing is there */
    INSTALL_SAME,   /* it is there, with its mode */
    INSTALL_OTHER,  /* to be replaced */
};

struct install_file {
    const char *path;                  /* the catalogue's */
    const struct catalogue_item *item; /* that it is of; borrowed */
    struct span bundle;                /* of the item's CA; borrowed */
    mode_t mode;
    struct bytes content; /* perhaps a secret; empty while nobody knows it yet */
    enum install_state state;
    uint8_t present[SHA256_SIZE]; /* SHA-256 of what is there, unless INSTALL_ABSENT */
};

struct install {
    int root; /* opened; paths lie below it */
    int sets; /* opened; where the record is */
    struct install_file files[INSTALL_FILES_MAX];
    size_t count;
    struct bytes record;
};

/* What an item consists of, PEM; what it does not have, or is not known yet, is empty. */
struct install_pems {
    struct span key;
    struct span certificate; /* of a key pair: the public key */
    struct span bundle;      /* of the CA that issued it; of a kubeconfig: the CA of the API server, too */
};

/* Plans the files of one item, which install_check() and install_write() then have. Catalogue and bundle must outlive
 * it. */
MUST_USE enum err install_add(struct install *install, const struct cluster *cluster, const struct catalogue_item *item,
                              const struct install_pems *pems, struct fault *f);

/* Looks at all that is there. ERR_CONFLICT names each file that is neither ours nor the predecessor of one
 * (client/predecessor.h), or has another mode or owner than ours have, unless `force` is given; ERR_IO a link, or a
 * folder that others can write to. Writes nothing. */
MUST_USE enum err install_check(struct install *install, bool force, struct fault *f);

/* Writes what is not there yet, after install_check(); says each on standard error. */
MUST_USE enum err install_write(struct install *install, struct fault *f);

void install_cleanup(struct install *install); /* wipes it; closes nothing */

#endif
