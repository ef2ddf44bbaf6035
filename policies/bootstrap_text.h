/* bootstrap_text.h: texts of a cluster file that end up in files and on command lines of hosts: what each may be of, so
 * that none begins another line, option or setting there. A reader of the section `bootstrap` only.  Threads: pure. */
#ifndef ENSIGN_POLICIES_BOOTSTRAP_TEXT_H
#define ENSIGN_POLICIES_BOOTSTRAP_TEXT_H

#include "ca/base/document.h"

/* A kind of text. */
struct text_kind {
    bool (*valid)(const char *text);
    const char *what; /* "is no …" */
};

extern const struct text_kind text_user;            /* of Unix */
extern const struct text_kind text_host_name;       /* a DNS name or an address */
extern const struct text_kind text_host_key;        /* "ssh-ed25519 AAAA…": type and base64, as in known_hosts */
extern const struct text_kind text_path;            /* absolute, of plain characters, without ".." */
extern const struct text_kind text_socket;          /* "unix://" and a path */
extern const struct text_kind text_image;           /* of a container, or the beginning of its name */
extern const struct text_kind text_interface;       /* of Linux: 1..15 characters */
extern const struct text_kind text_package_version; /* of Debian */
extern const struct text_kind text_apt_line;        /* "deb …" */
extern const struct text_kind text_phase;           /* of kubeadm: "addon/kube-proxy" */
extern const struct text_kind text_argument;        /* an option's name without dashes before it, a feature's */
extern const struct text_kind text_value;         /* printable ASCII without quotes, backslash and "$"; may be empty */
extern const struct text_kind text_etcd_variable; /* ETCD_… but for what follows from the cluster file */
extern const struct text_kind text_label;         /* [DNS-name/]name of 1..63 characters */
extern const struct text_kind text_label_value;   /* 0..63 characters */
extern const struct text_kind text_taint;         /* "key[=value]:NoSchedule|PreferNoSchedule|NoExecute" */

/* An optional text of an object; *text stays as it is when the key is absent or its text wrong. */
void text_read(const struct node *object, const char *key, struct text_kind kind, const char **text);

/* Each reports all that is wrong, and returns the value at the place, or NULL when it is absent or of another type. */
const json_t *text_map_read(const struct node *object, struct text_kind name, struct text_kind value);
const json_t *truth_map_read(const struct node *object, struct text_kind name); /* name -> boolean */
const json_t *text_list_read(const struct node *array, size_t max, struct text_kind kind);

#endif
