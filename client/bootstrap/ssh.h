/* ssh.h: commands on many hosts, with OpenSSH's own ssh: the user's configuration, agent, jump hosts and known_hosts
 * hold. One connection per host is kept (ControlMaster) in a private folder and ended with ssh_cleanup(), or by itself
 * some time after this program has died.
 *
 * No question is ever asked by ssh: a host key that is not known stops, and so does one that has changed. Where the
 * cluster file names a host's key, that one alone is taken.
 *
 * Nothing secret is in any command line: passwords and whatever a command reads go by standard input. A password of
 * sudo is tried once per host, alone; later it is a line of its own before the input, which the command skips where
 * sudo did not want it.  Threads: one per host at the same time. */
#ifndef ENSIGN_CLIENT_BOOTSTRAP_SSH_H
#define ENSIGN_CLIENT_BOOTSTRAP_SSH_H

#include "client/bootstrap/target.h"
#include "client/process.h"

/* How one becomes root there. */
enum privilege { PRIVILEGE_UNKNOWN, PRIVILEGE_ROOT, PRIVILEGE_SUDO, PRIVILEGE_SUDO_PASSWORD, PRIVILEGE_NONE };

struct ssh {
    char folder[32]; /* private; empty: not opened */
    const struct target *targets;
    size_t count;
    enum privilege *privileges; /* of each target */
    struct bytes password;      /* with its line end; empty: none. Secret */
    int stop;
};

/* config  takes the place of the user's and the system's ssh_config; NULL: these
 * stop    see process.h */
MUST_USE enum err ssh_open(const struct target *targets, size_t count, const char *config, int stop,
                           struct ssh *ret_ssh, struct fault *f);
void ssh_cleanup(struct ssh *ssh);

/* Connects, and finds out how one becomes root. ERR_IO CODE_UNREACHABLE; ERR_AUTH CODE_UNAUTHENTICATED: no key that the
 * host takes; ERR_AUTH CODE_UNTRUSTED: the host's key. Each text says what to do. */
MUST_USE enum err ssh_connect(struct ssh *ssh, size_t host, struct fault *f);

/* Whether a host that is connected wants a password and none is there. */
bool ssh_wants_password(const struct ssh *ssh);
/* Its first line, of a private file. */
MUST_USE enum err ssh_password_read(struct ssh *ssh, const char *path, struct fault *f);
/* Asks on the terminal, without echo. ERR_INPUT when there is none. */
MUST_USE enum err ssh_password_ask(struct ssh *ssh, struct fault *f);

/* That one can become root there: ERR_DENIED says why not. */
MUST_USE enum err ssh_become_root(struct ssh *ssh, size_t host, struct fault *f);

struct ssh_command {
    const char *title;       /* for messages and the log: "ask for facts" */
    const char *command;     /* for sh; nothing secret */
    struct span input, more; /* one behind the other; `more` is copied nowhere here */
    bool as_root;
    int64_t deadline_ms;
    size_t output_max;
    int output_file; /* see process.h */
    int log;         /* what is done goes there, but for the input; -1: nowhere */
};

/* Runs it. An exit code that is not 0 is no error; ssh's own troubles, the deadline and too much output are. */
MUST_USE enum err ssh_run(const struct ssh *ssh, size_t host, const struct ssh_command *command,
                          struct process_result *ret_result, struct fault *f);

/* 'as one word of sh' */
void shell_quote(struct bytes *out, const char *text);

#endif
