#include "client/bootstrap/ssh.h"

#include <bsd/readpassphrase.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/bootstrap/host_log.h"
#include "client/bootstrap/ssh_config.h"
#include "client/files.h"

enum {
    CONNECT_DEADLINE_MS = 30000,
    SUDO_DEADLINE_MS = 30000, /* PAM may wait after a wrong password */
    END_DEADLINE_MS = 2000,
    ANSWER_MAX = 64 * 1024,
    PASSWORD_MAX = 512,
    MISSED_STATUS = 97, /* the line that comes before the input did not come */
    SSH_FAILED = 255,   /* ssh(1): "or with 255 if an error occurred" */
};

#define PROBE_MARK "ensign-probe"
#define BEGIN_MARK "ensign-begin"

void shell_quote(struct bytes *out, const char *text)
{
    bytes_append_text(out, "'");
    for (; *text; text++)
        if (*text == '\'')
            bytes_append_text(out, "'\\''");
        else
            bytes_append(out, text, 1);
    bytes_append_text(out, "'");
}

static const char *host_name(const struct ssh *ssh, size_t host)
{
    return ssh->targets[host].node->name;
}

/* ---- the folder ---- */

static enum err config_put(int folder, const struct ssh *ssh, const char *config, struct fault *f)
{
    AUTO(bytes) text = {0};
    char *path = config ? realpath(config, NULL) : NULL;
    if (config && !path)
        return fault_errno(f, "cannot read the ssh configuration \"%.200s\"", config);
    bool plain = !path || !strpbrk(path, "\"\n*?[\\");
    if (plain)
        ssh_config_write(&text, ssh->targets, ssh->count, ssh->folder, path);
    free(path);
    if (!plain)
        return fault_set(f, CODE_USAGE, "the path of the ssh configuration has characters that ssh would expand");
    TRY(bytes_check(&text, f));
    return file_put_at(folder, "config", FILE_MODE_PRIVATE, FILE_NEW, bytes_span(&text), f);
}

static enum err known_hosts_put(int folder, const struct ssh *ssh, struct fault *f)
{
    for (size_t i = 0; i < ssh->count; i++) {
        AUTO(bytes) name = {0};
        AUTO(bytes) line = {0};
        if (!ssh->targets[i].host_key)
            continue;
        bytes_appendf(&name, "%s.known", host_name(ssh, i));
        bytes_appendf(&line, "%s %s\n", host_name(ssh, i), ssh->targets[i].host_key);
        TRY(bytes_check(&name, f));
        TRY(bytes_check(&line, f));
        TRY(file_put_at(folder, bytes_text(&name), FILE_MODE_PRIVATE, FILE_NEW, bytes_span(&line), f));
    }
    return OK;
}

enum err ssh_open(const struct target *targets, size_t count, const char *config, int stop, struct ssh *ret_ssh,
                  struct fault *f)
{
    AUTO(ssh) ssh = {.folder = "/tmp/ensign-XXXXXX", .targets = targets, .count = count, .stop = stop};
    CLEANUP(fd_cleanup) int folder = -1;
    if (!mkdtemp(ssh.folder)) { /* in /tmp, since the path of a socket has at most 107 characters */
        ssh.folder[0] = '\0';
        return fault_errno(f, "cannot make a folder in /tmp");
    }
    ssh.privileges = calloc(count, sizeof *ssh.privileges);
    if (!ssh.privileges)
        return fault_no_memory(f);
    TRY(folder_open(ssh.folder, &folder, f));
    TRY(config_put(folder, &ssh, config, f));
    TRY(known_hosts_put(folder, &ssh, f));
    *ret_ssh = ssh;
    ssh = (struct ssh){0};
    return OK;
}

/* ---- running ssh ---- */

/* `words` come between the options and the host. */
static enum err ssh_start(const struct ssh *ssh, size_t host, const char *control, const char *remote,
                          const struct process *process, struct process_result *ret_result, struct fault *f)
{
    char config[sizeof ssh->folder + 8];
    snprintf(config, sizeof config, "%s/config", ssh->folder);
    const char *arguments[] = {"ssh",
                               "-F",
                               config,
                               control ? "-O" : "-T",
                               control ? control : "--",
                               control ? "--" : host_name(ssh, host),
                               control ? host_name(ssh, host) : remote,
                               NULL};
    struct process started = *process;
    started.arguments = arguments;
    return process_run(&started, ret_result, f);
}

/* Ends the connection, or what hangs there, without a word of it. */
static void master_end(const struct ssh *ssh, size_t host)
{
    struct fault ignored = {0};
    AUTO(process_result) result = {0};
    char path[sizeof ssh->folder + 16];
    snprintf(path, sizeof path, "%s/%zu", ssh->folder, host);
    if (access(path, F_OK) != 0)
        return;
    struct process process = {.deadline_ms = END_DEADLINE_MS, .output_max = ANSWER_MAX, .stop = -1};
    if (ssh_start(ssh, host, "exit", NULL, &process, &result, &ignored) != OK)
        return;
}

void ssh_cleanup(struct ssh *ssh)
{
    struct fault ignored = {0};
    CLEANUP(fd_cleanup) int parent = -1;
    for (size_t i = 0; ssh->folder[0] && ssh->privileges && i < ssh->count; i++)
        master_end(ssh, i);
    if (ssh->folder[0] && folder_open("/tmp", &parent, &ignored) != OK)
        parent = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent >= 0 && folder_remove_at(parent, ssh->folder + strlen("/tmp/"), &ignored) != OK)
        ssh->folder[0] = '\0'; /* nobody is left to be told */
    free(ssh->privileges);
    secret_cleanup(&ssh->password);
}

/* ---- what ssh says ---- */

/* What the error output of ssh begins with is of ssh; the rest may be the host's. */
static const struct {
    const char *text;
    enum code code;
    const char *remedy;
} troubles[] = {
    {"IDENTIFICATION HAS CHANGED", CODE_UNTRUSTED,
     "the host has another key than before: somebody may be in between, or it was installed anew. Nothing was sent. "
     "Compare the key with the host's console; then `ssh-keygen -R`, or bootstrap.ssh.hostKeys in the cluster file"},
    {"host key is known for", CODE_UNTRUSTED,
     "its host key is not known. Connect once by hand with ssh and compare the key, or write it into the cluster file "
     "(bootstrap.ssh.hostKeys)"},
    {"Host key verification failed", CODE_UNTRUSTED,
     "its host key is not the one that is known or pinned (bootstrap.ssh.hostKeys). Compare it with the host's "
     "console"},
    {"Permission denied", CODE_UNAUTHENTICATED,
     "the host takes none of your keys for this user: see `ssh-add -l`, the user in the cluster file (bootstrap.ssh), "
     "and authorized_keys on the host"},
    {"Too many authentication failures", CODE_UNAUTHENTICATED,
     "the agent offers too many keys: name one with IdentityFile and IdentitiesOnly in your ssh configuration"},
    {"Could not resolve", CODE_UNREACHABLE, "the name in your ssh configuration does not resolve"},
    {"Bad configuration option", CODE_INVALID, "your ssh configuration has an error"},
    {"onnection refused", CODE_UNREACHABLE, "nothing listens there: is sshd running, and is the port right?"},
    {"No route to host", CODE_UNREACHABLE, "no answer: is the host up, and the address right?"},
    {"timed out", CODE_UNREACHABLE, "no answer: is the host up, and the address right?"},
    {"", CODE_UNREACHABLE, "the connection broke, or ssh failed: try it by hand"},
};

static enum err trouble(const struct ssh *ssh, size_t host, const struct process_result *result, struct fault *f)
{
    char said[160];
    const char *text = bytes_text(&result->error);
    size_t row = 0;
    while (!strstr(text, troubles[row].text))
        row++;
    const char *line = row + 1 < ARRAY_SIZE(troubles) ? strstr(text, troubles[row].text) : text;
    while (line > text && line[-1] != '\n')
        line--;
    snprintf(said, sizeof said, "%.*s", (int)strcspn(line, "\r\n"), line);
    text_clean(said);
    return fault_set(f, troubles[row].code, "%s: %s%s%s%s", host_name(ssh, host), troubles[row].remedy,
                     said[0] ? " (" : "", said, said[0] ? ")" : "");
}

static enum err end_check(const struct ssh *ssh, size_t host, const struct ssh_command *command,
                          const struct process_result *result, struct fault *f)
{
    const char *name = host_name(ssh, host);
    switch (result->end) {
    case PROCESS_EXITED:
        return result->status == SSH_FAILED ? trouble(ssh, host, result, f) : OK;
    case PROCESS_FLOODED:
        return fault_set(f, CODE_TOO_LARGE,
                         "%s: more than %zu bytes came when it was to %s: this is not what was asked", name,
                         command->output_max, command->title);
    case PROCESS_STOPPED:
        return fault_set(f, CODE_IO, "%s: interrupted", name);
    default:
        master_end(ssh, host);
        return fault_set(f, CODE_UNREACHABLE,
                         "%s: it did not %s within %lld s: is the host overloaded, or does something hang there?", name,
                         command->title, (long long)command->deadline_ms / 1000);
    }
}

/* What the login shell there is given. */
static void remote_write(struct bytes *out, enum privilege privilege, const struct ssh_command *command)
{
    AUTO(bytes) inner = {0};
    if (command->as_root && privilege == PRIVILEGE_SUDO_PASSWORD)
        bytes_appendf(&inner,
                      "IFS= read -r l; [ \"$l\" = " BEGIN_MARK " ] || IFS= read -r l; [ \"$l\" = " BEGIN_MARK
                      " ] || exit %d; unset l; ",
                      MISSED_STATUS);
    bytes_append_text(&inner, command->command);
    if (command->as_root && privilege == PRIVILEGE_SUDO)
        bytes_append_text(out, "LC_ALL=C exec sudo -n -- ");
    if (command->as_root && privilege == PRIVILEGE_SUDO_PASSWORD)
        bytes_append_text(out, "LC_ALL=C exec sudo -S -p '' -- ");
    bytes_append_text(out, "sh -c ");
    shell_quote(out, bytes_text(&inner));
    out->failed |= inner.failed;
}

enum err ssh_run(const struct ssh *ssh, size_t host, const struct ssh_command *command,
                 struct process_result *ret_result, struct fault *f)
{
    AUTO(process_result) result = {0};
    AUTO(bytes) remote = {0};
    CLEANUP(secret_cleanup) struct bytes input = {0};
    enum privilege privilege = ssh->privileges[host];
    remote_write(&remote, privilege, command);
    TRY(bytes_check(&remote, f));
    if (command->as_root && privilege == PRIVILEGE_SUDO_PASSWORD) {
        bytes_append_span(&input, bytes_span(&ssh->password));
        bytes_append_text(&input, BEGIN_MARK "\n");
    }
    bytes_append_span(&input, command->input);
    TRY(bytes_check(&input, f));
    struct process process = {.input = bytes_span(&input),
                              .more = command->more,
                              .deadline_ms = command->deadline_ms,
                              .output_max = command->output_max,
                              .output_file = command->output_file,
                              .stop = ssh->stop};
    int64_t began = clock_monotonic_ms();
    TRY(ssh_start(ssh, host, NULL, bytes_text(&remote), &process, &result, f));
    host_log_command(command->log, command->title, clock_monotonic_ms() - began, &result);
    TRY(end_check(ssh, host, command, &result, f));
    *ret_result = result;
    result = (struct process_result){0};
    return OK;
}

/* ---- connecting ---- */

enum err ssh_connect(struct ssh *ssh, size_t host, struct fault *f)
{
    static const char probe[] = "echo " PROBE_MARK " $(id -u) $(command -v sudo >/dev/null 2>&1 && echo sudo) "
                                "$(sudo -n true >/dev/null 2>&1 </dev/null && echo free)";
    AUTO(process_result) result = {0};
    const struct ssh_command command = {
        .title = "answer", .command = probe, .deadline_ms = CONNECT_DEADLINE_MS, .output_max = ANSWER_MAX, .log = -1};
    TRY(ssh_run(ssh, host, &command, &result, f));
    const char *answer = strstr(bytes_text(&result.output), PROBE_MARK); /* behind what a login shell may say */
    if (!answer)
        return fault_set(f, CODE_UNTRUSTED, "%s: no shell answers there: does this user have one?",
                         host_name(ssh, host));
    answer += strlen(PROBE_MARK);
    ssh->privileges[host] = strncmp(answer, " 0", 2) == 0 && strchr(" \n", answer[2]) ? PRIVILEGE_ROOT
                            : strstr(answer, " free")                                 ? PRIVILEGE_SUDO
                            : strstr(answer, " sudo")                                 ? PRIVILEGE_SUDO_PASSWORD
                                                                                      : PRIVILEGE_NONE;
    return OK;
}

/* ---- the password of sudo ---- */

bool ssh_wants_password(const struct ssh *ssh)
{
    for (size_t i = 0; i < ssh->count; i++)
        if (ssh->privileges[i] == PRIVILEGE_SUDO_PASSWORD && ssh->password.size == 0)
            return true;
    return false;
}

static enum err password_keep(struct ssh *ssh, struct span text, struct fault *f)
{
    const uint8_t *end = text.size ? memchr(text.data, '\n', text.size) : NULL;
    size_t size = end ? (size_t)(end - text.data) : text.size;
    if (size > 0 && text.data[size - 1] == '\r')
        size--;
    if (size == 0 || size > PASSWORD_MAX || memchr(text.data, '\0', size))
        return fault_set(f, CODE_INVALID, "a password for sudo has 1 to %d characters", PASSWORD_MAX);
    bytes_append(&ssh->password, text.data, size);
    bytes_append_text(&ssh->password, "\n");
    return bytes_check(&ssh->password, f);
}

enum err ssh_password_read(struct ssh *ssh, const char *path, struct fault *f)
{
    CLEANUP(secret_cleanup) struct bytes text = {0};
    TRY(file_read_private(path, &text, f));
    return password_keep(ssh, bytes_span(&text), f);
}

enum err ssh_password_ask(struct ssh *ssh, struct fault *f)
{
    char text[PASSWORD_MAX + 2] = "";
    int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (terminal < 0)
        return fault_set(f, CODE_USAGE,
                         "sudo wants a password on a host, and there is no terminal to ask for it: use "
                         "--sudo-password-file FILE");
    close(terminal);
    /* Unlike OpenSSL's prompt, this one shows itself only when nothing is echoed any more. */
    enum err err = readpassphrase("Password for sudo on the hosts: ", text, sizeof text, RPP_REQUIRE_TTY)
                       ? password_keep(ssh, span_text(text), f)
                       : fault_set(f, CODE_USAGE, "no password for sudo was given");
    OPENSSL_cleanse(text, sizeof text);
    return err;
}

static enum err sudo_refused(const char *name, const char *said, struct fault *f)
{
    if (strstr(said, "not in the sudoers") || strstr(said, "not allowed to"))
        return fault_set(f, CODE_FORBIDDEN,
                         "%s: this user may not use sudo there: add it to sudoers, or connect as root", name);
    if (strstr(said, "must have a tty"))
        return fault_set(f, CODE_FORBIDDEN, "%s: sudo there wants a terminal: remove requiretty from its sudoers",
                         name);
    return fault_set(f, CODE_FORBIDDEN, "%s: sudo does not take the password (it was tried once)", name);
}

enum err ssh_become_root(struct ssh *ssh, size_t host, struct fault *f)
{
    const char *name = host_name(ssh, host);
    AUTO(process_result) result = {0};
    if (ssh->privileges[host] == PRIVILEGE_NONE)
        return fault_set(f, CODE_FORBIDDEN,
                         "%s: the user is not root, and there is no sudo: install it, or connect as "
                         "root",
                         name);
    if (ssh->privileges[host] != PRIVILEGE_SUDO_PASSWORD)
        return OK;
    const struct ssh_command command = {.title = "try sudo",
                                        .command = "LC_ALL=C exec sudo -k -S -p '' true",
                                        .input = bytes_span(&ssh->password),
                                        .deadline_ms = SUDO_DEADLINE_MS,
                                        .output_max = ANSWER_MAX,
                                        .log = -1};
    TRY(ssh_run(ssh, host, &command, &result, f));
    return result.status == 0 ? OK : sudo_refused(name, bytes_text(&result.error), f);
}
