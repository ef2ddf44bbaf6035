/* step.h: what makes a host what its roles want, as a table of steps in their order. Whether a host needs one follows
 * from what it says (facts.h) and from the cluster file alone; what is done is a function of steps.sh, with the files
 * that belong to it. A gate changes nothing: it waits for what the steps behind it stand on.  Threads: pure. */
#ifndef ENSIGN_CLIENT_BOOTSTRAP_STEP_H
#define ENSIGN_CLIENT_BOOTSTRAP_STEP_H

#include "client/bootstrap/facts.h"
#include "client/render/files.h"

enum stage {
    STAGE_PREPARE, /* packages, kernel, container runtime */
    STAGE_ENSIGN,  /* the client and its agent */
    STAGE_ENROL,   /* certificates */
    STAGE_ETCD,    /* an external one */
    STAGE_LOAD_BALANCER,
    STAGE_INIT,           /* the first control plane; settings of all that run */
    STAGE_CONTROL_PLANES, /* the others, one at a time */
    STAGE_NETWORK,        /* of pods */
    STAGE_WORKERS,        /* and the labels of nodes */
    STAGE_AGENTS,
    STAGES_COUNT
};
extern const char *const stage_words[]; /* "prepare", "ensign", …, NULL */

/* What the cluster file names on this machine. */
struct materials {
    struct bytes kubernetes_key, runtime_key; /* of package repositories; empty: none */
    struct bytes cni_manifest;
    struct bytes ensign_package; /* a .deb */
};
MUST_USE enum err materials_read(const struct cluster *cluster, struct materials *ret_materials, struct fault *f);
void materials_cleanup(struct materials *materials);

struct upgrade; /* upgrade.h */

/* One host, as its steps see it. All borrowed. */
struct step_view {
    const struct catalogue *catalogue; /* of all nodes, and so the cluster */
    const struct node_entry *node;
    const struct host_facts *facts; /* NULL: it did not answer */
    const struct materials *materials;
    const char *server;             /* of the service, for enrolment; NULL: not said */
    const char *kubernetes_version; /* "1.31.4", what the first control plane has; NULL: not known */
    const char *vrrp_password;      /* of the load balancers; NULL: there is none */
    bool etcd_runs;                 /* an external one, on other hosts */
    bool hurry;                     /* gates look once instead of waiting */
    /* Of a step that is a part of an upgrade: which one, and of which node, be it another than the step's. Else NULL.
     */
    const struct upgrade *upgrade;
    const struct node_entry *upgraded;
};

static inline const struct cluster *step_cluster(const struct step_view *view)
{
    return view->catalogue->cluster;
}

enum { STEP_WHY_SIZE = 200, STEP_FILES_MAX = 12 };

struct step_file {
    char path[CLUSTER_PATH_MAX + 1];
    unsigned mode;
    struct bytes content;
};

struct step_files {
    struct step_file rows[STEP_FILES_MAX];
    size_t count;
};
void step_files_cleanup(struct step_files *files); /* wipes them */

struct step_kind {
    enum stage stage;
    const char *name;  /* of the function: step_NAME, or gate_NAME of a gate */
    const char *title; /* "prepare the kernel and the container runtime" */
    bool gate;
    bool serial; /* one host at a time */
    bool (*applies)(const struct cluster *cluster, const struct node_entry *node);
    /* Whether the host has what it is about, which an earlier step makes as it is to be. NULL: always. */
    bool (*when)(const struct step_view *view);
    /* Why it is needed, beside its files; false: it is not. NULL: for its files only. */
    bool (*needed)(const struct step_view *view, char ret_why[STEP_WHY_SIZE]);
    bool once;         /* what its files say is of no interest any more once it is done */
    unsigned purposes; /* bits 1 << enum render_purpose: whose files belong to it */
    /* Adds the files that are not rendered. NULL: none. */
    enum err (*more_files)(const struct step_view *view, struct step_files *files, struct fault *f);
    int64_t deadline_seconds;
    const char *functions; /* of sh, behind steps.sh; NULL: none */
};

/* The last one has no name. */
extern const struct step_kind step_kinds[];
/* Outside the order: hands on what control planes share; takes a host back. */
extern const struct step_kind step_share, step_reset;

/* Whether kubeadm has made a control plane of it. */
bool step_initialised(const struct step_view *view);

/* Whether the host needs it, and why. A gate is never needed. */
MUST_USE enum err step_needed(const struct step_view *view, const struct step_kind *kind, bool *ret_needed,
                              char ret_why[STEP_WHY_SIZE], struct fault *f);

/* The files that it puts there. */
MUST_USE enum err step_files_make(const struct step_view *view, const struct step_kind *kind,
                                  struct step_files *ret_files, struct fault *f);

/* The program for sh on the host.
 *   input  what the function reads on its standard input, which makes it a secret; NULL: nothing */
MUST_USE enum err step_script(const struct step_view *view, const struct step_kind *kind, const char *input,
                              struct bytes *ret_script, struct fault *f);

/* What a look at the host has to ask for: ended by NULL; borrowed texts, the array is freed with free(). */
MUST_USE enum err step_paths(const struct catalogue *catalogue, const struct node_entry *node, const char ***ret_paths,
                             struct fault *f);

#endif
