/* facts.h: what a host says that it is like: the one JSON document that facts.sh prints. The host may lie, and what
 * runs on it may be hostile: everything is held against the shapes here, and is printable ASCII afterwards. */
#ifndef ENSIGN_CLIENT_BOOTSTRAP_FACTS_H
#define ENSIGN_CLIENT_BOOTSTRAP_FACTS_H

#include "ca/base/document.h"

enum { FACTS_SIZE_MAX = 4 << 20, FACT_ROWS_MAX = 1000, FACT_CELLS_MAX = 6, FACT_TEXT_MAX = 500 };

enum fact {
    FACT_OS_ID,      /* of os-release: "debian" */
    FACT_OS_VERSION, /* "12" */
    FACT_ARCHITECTURE,
    FACT_KERNEL,
    FACT_HOSTNAME,
    FACT_MACHINE_ID,
    FACT_CPUS,
    FACT_MEMORY_KIB,
    FACT_PACKAGE_MANAGER,   /* "apt-get" */
    FACT_TIME_SYNCHRONIZED, /* "yes", "no", or empty */
    FACT_PORTS_KNOWN,       /* "yes" */
    FACTS_COUNT
};

/* Lists, and what their cells are. */
enum fact_list {
    LIST_SWAPS,       /* path, KiB */
    LIST_DISKS,       /* folder, KiB, KiB free, where it is mounted */
    LIST_ADDRESSES,   /* interface, address/bits */
    LIST_ROUTES,      /* text */
    LIST_NAMES,       /* name, address */
    LIST_PORTS,       /* tcp or udp, port, address, program ("": not known) */
    LIST_MODULES,     /* name; loaded, available, absent */
    LIST_SYSCTLS,     /* name, value */
    LIST_VERSIONS,    /* program, the first line that it prints of itself */
    LIST_UNITS,       /* name, LoadState, ActiveState, UnitFileState */
    LIST_FILES,       /* path; file, link, folder, other, absent; mode, owner, group, bytes, see below */
    LIST_AUTHORITIES, /* path, SHA-256 of the certificate, hex */
    LIST_REMAINS,     /* path of what an earlier cluster may have left */
    LIST_BEGUN,       /* name of a step (step.h) that was begun and not ended */
    LISTS_COUNT
};

struct fact_row {
    const char *cells[FACT_CELLS_MAX + 1]; /* "" when there are fewer; a file's SHA-256 is the last */
};

struct fact_rows {
    struct fact_row *rows;
    size_t count;
};

struct host_facts {
    struct document *document;      /* which all texts are borrowed from */
    const char *texts[FACTS_COUNT]; /* "": not said */
    int64_t cpus, memory_kib;       /* -1: not said */
    struct fact_rows lists[LISTS_COUNT];
};

/* ERR_INPUT names the member that is not as it should be; ERR_LIMIT is too much. */
MUST_USE enum err facts_read(struct span text, struct host_facts *ret_facts, struct fault *f);
void host_facts_cleanup(struct host_facts *facts);

/* A cell that facts_read() has found to be a number. */
int64_t fact_number(const char *cell);

/* The row whose first cell this is; NULL. */
const struct fact_row *fact_find(const struct host_facts *facts, enum fact_list list, const char *first);

/* What was asked for and is a regular file; a unit that runs. Not said: false. */
bool fact_is_file(const struct host_facts *facts, const char *path);
bool fact_is_active(const struct host_facts *facts, const char *unit);

/* What the host is asked besides; texts without control characters, each list ended by NULL or absent. */
struct facts_question {
    const char *const *names, *const *files, *const *folders, *const *programs;
};

/* The program for sh on the host, which asks all this. ERR_INPUT: a text that cannot be asked for. */
MUST_USE enum err facts_script(const struct facts_question *question, struct bytes *ret_script, struct fault *f);

#endif
