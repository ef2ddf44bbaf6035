#include "server/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ca/backup.h"
#include "ca/ca.h"
#include "ca/meta.h"
#include "server/file.h"
#include "server/note.h"
#include "server/process.h"

enum { SMALL_FILE_MAX = BACKUP_MESSAGE_MAX }; /* seal, configuration */

struct making {
    struct config config;
    struct backup_head head;
    struct bytes seal, settings; /* the two small files */
    int copy[2];                 /* the pipe of the copy */
    int fd;                      /* of the backup */
};

static void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void making_cleanup(struct making *making)
{
    bytes_free(&making->seal);
    bytes_free(&making->settings);
    fd_close(&making->copy[0]);
    fd_close(&making->copy[1]);
}

static void store_auto(struct store **store)
{
    store_close(*store);
}

/* ---- the process that reads the database: LMDB crashes on some damage ---- */

/* The checkpoint as the service that runs signs it now. */
static enum err checkpoint_signed(const struct making *making, const struct service_record *service,
                                  struct backup_head *head, struct fault *f)
{
    AUTO(bytes) note = {0};
    TRY(note_ask(making->config.socket, &note, f));
    return backup_head_sign(head, bytes_span(&note), service->origin, service->log_public_key, f);
}

/* The log as it is before the copy: that goes at least so far. While the service is stopped nobody signs that. */
static enum err head_fill(struct store *store, const struct making *making, struct backup_head *head, struct fault *f)
{
    struct merkle_frontier frontier;
    struct fault why = {0};
    AUTO(bytes) row = {0};
    AUTO(service_record) service = {0};
    TRY(meta_get(store, "service", &row, f));
    TRY(service_record_unpack(bytes_span(&row), &service, f));
    if (checkpoint_signed(making, &service, head, &why) == OK)
        return OK;
    fprintf(stderr, "ensignd: warning: the backup is not signed: %s\n", why.text);
    TRY(ledger_frontier_stored(store, &frontier, f));
    strcpy(head->checkpoint.origin, service.origin);
    head->checkpoint.size = frontier.size;
    merkle_root(&frontier, &head->checkpoint.root);
    return OK;
}

/* The head, with its checkpoint, then the copy. */
static enum err copy_main(void *context, int ready_fd, struct fault *f)
{
    struct making *making = context;
    struct backup_head head = making->head;
    CLEANUP(store_auto) struct store *store = NULL;
    uint64_t rows = 0;
    fd_close(&making->copy[0]);
    TRY(store_lmdb_open_beside(making->config.state, &store, f));
    TRY(head_fill(store, making, &head, f));
    TRY(store_verify(store, &rows, f));
    if (write(making->copy[1], &head, sizeof head) != sizeof head)
        return fault_errno(f, "cannot hand over the copy");
    TRY(store_copy(store, making->copy[1], f));
    return write(ready_fd, "R", 1) == 1 ? OK : fault_errno(f, "cannot tell that the copy is complete");
}

/* ---- the process that encrypts it ---- */

/* As much as there is and fits. */
static enum err copy_read(int fd, void *data, size_t max, size_t *ret_size, struct fault *f)
{
    size_t size = 0;
    ssize_t got = 1;
    while (size < max && got != 0) {
        got = read(fd, (uint8_t *)data + size, max - size);
        if (got < 0 && errno != EINTR)
            return fault_errno(f, "cannot read the copy");
        size += got > 0 ? (size_t)got : 0;
    }
    *ret_size = size;
    return OK;
}

/* The last message says that the copy is complete, so it waits for the process that makes it to say so. */
static enum err copy_encrypt(struct making *making, struct process *process, struct backup_writer *writer,
                             struct fault *f)
{
    uint8_t piece[BACKUP_MESSAGE_MAX];
    size_t size = sizeof piece;
    while (size == sizeof piece) {
        TRY(copy_read(making->copy[0], piece, sizeof piece, &size, f));
        if (size < sizeof piece)
            TRY(process_ready(process, f));
        TRY(backup_write(writer, span(piece, size), size < sizeof piece, f));
    }
    return OK;
}

static enum err all_encrypt(struct making *making, struct process *process, struct fault *f)
{
    CLEANUP(backup_writer_auto) struct backup_writer *writer = NULL;
    size_t size = 0;
    fd_close(&making->copy[1]);
    TRY(copy_read(making->copy[0], &making->head, sizeof making->head, &size, f));
    if (size < sizeof making->head) /* it says why */
        return process_ready(process, f);
    TRY(backup_write_begin(making->fd, &making->head, &writer, f));
    TRY(backup_write(writer, bytes_span(&making->seal), false, f));
    TRY(backup_write(writer, bytes_span(&making->settings), false, f));
    return copy_encrypt(making, process, writer, f);
}

/* The copy's process ends when its pipe does, or with us. */
static enum err content_write(struct making *making, struct fault *f)
{
    struct process process;
    TRY(process_start("copy", copy_main, making, &process, f));
    enum err err = all_encrypt(making, &process, f);
    fd_close(&making->copy[0]);
    fd_close(&process.ready_fd);
    waitpid(process.pid, NULL, 0);
    if (err == OK || !process.silent)
        return err;
    fault_clear(f);
    return fault_set(f, CODE_DAMAGED, "%s/data.mdb is so damaged that reading it crashes", making->config.state);
}

/* ---- the command ---- */

static enum err making_open(const struct backup_request *request, struct making *making, struct fault *f)
{
    char path[PATH_SIZE];
    TRY(backup_recipient_parse(request->recipient, making->head.recipient, f));
    TRY(config_load(request->config, &making->config, f));
    TRY(path_join(making->config.state, "seal", path, f));
    TRY(file_read(path, SMALL_FILE_MAX, &making->seal, f));
    TRY(file_read(request->config, SMALL_FILE_MAX, &making->settings, f));
    making->head.time = time(NULL);
    return pipe2(making->copy, O_CLOEXEC) == 0 ? OK : fault_errno(f, "cannot make a pipe");
}

static enum err output_write(struct making *making, struct fault *f)
{
    if (isatty(STDOUT_FILENO))
        return fault_set(f, CODE_USAGE, "a backup is not for a terminal: give a file, or a pipe");
    making->fd = STDOUT_FILENO;
    return content_write(making, f);
}

static enum err file_write(const char *path, struct making *making, struct fault *f)
{
    TRY(file_begin(path, 0600, &making->fd, f));
    enum err err = content_write(making, f);
    if (err == OK)
        return file_finish(path, making->fd, f);
    file_abandon(path, making->fd);
    return err;
}

enum err backup_run(const struct backup_request *request, struct fault *f)
{
    AUTO(making) making = {.copy = {-1, -1}};
    bool output = strcmp(request->path, "-") == 0;
    signal(SIGPIPE, SIG_IGN);
    TRY(making_open(request, &making, f));
    TRY(output ? output_write(&making, f) : file_write(request->path, &making, f));
    fprintf(stderr,
            "Backed up %s with at least %" PRIu64 " entries of its log.\n"
            "The seal key is NOT in it, and without that nobody can open the CA keys: keep a copy of it elsewhere.\n",
            making.head.checkpoint.origin, making.head.checkpoint.size);
    return OK;
}

enum err backup_keygen(const char *path, struct fault *f)
{
    uint8_t recipient[BACKUP_RECIPIENT_SIZE];
    char text[BACKUP_RECIPIENT_TEXT_SIZE];
    TRY(backup_key_make(path, recipient, f));
    backup_recipient_text(recipient, text);
    printf("%s\n", text);
    return OK;
}
