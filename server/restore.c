#include "server/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ca/backup.h"
#include "ca/base/encode.h"
#include "ca/base/io.h"
#include "ca/ca.h"
#include "ca/meta.h"
#include "ca/verify.h"
#include "server/config.h"
#include "server/file.h"
#include "server/folder.h"
#include "server/process.h"

struct making {
    char state[PATH_MAX]; /* absolute */
    bool made;
    struct backup_head head;
};

static void fd_close(const int *fd)
{
    if (*fd > STDIN_FILENO)
        close(*fd);
}

static void store_auto(struct store **store)
{
    store_close(*store);
}

/* ---- the files ---- */

/* The next message is the whole file of this name. */
static enum err small_file(struct backup_reader *reader, const struct making *making, const char *name, struct fault *f)
{
    struct span content;
    bool last = false;
    char path[PATH_SIZE];
    TRY(path_join(making->state, name, path, f));
    TRY(backup_read(reader, &content, &last, f));
    return file_replace(path, content, 0600, f);
}

static enum err database_copy(struct backup_reader *reader, int fd, struct fault *f)
{
    struct span piece;
    bool last = false;
    while (!last) {
        TRY(backup_read(reader, &piece, &last, f));
        if (!fd_write(fd, piece))
            return fault_errno(f, "cannot write the database");
    }
    return OK;
}

static enum err database_file(struct backup_reader *reader, const struct making *making, struct fault *f)
{
    char path[PATH_SIZE];
    int fd;
    TRY(path_join(making->state, "data.mdb", path, f));
    TRY(file_begin(path, 0600, &fd, f));
    enum err err = database_copy(reader, fd, f);
    if (err == OK)
        return file_finish(path, fd, f);
    file_abandon(path, fd);
    return err;
}

/* ---- the process that reads what came out: LMDB crashes on some damage ---- */

/* The copy must be of the service that the head names, and go at least to its checkpoint. */
static enum err head_verify(struct store *store, const struct checkpoint *promised, struct fault *f)
{
    AUTO(bytes) row = {0};
    AUTO(service_record) service = {0};
    struct merkle_frontier frontier;
    struct merkle_hash root = {0};
    TRY(meta_get(store, "service", &row, f));
    TRY(service_record_unpack(bytes_span(&row), &service, f));
    TRY(ledger_frontier_stored(store, &frontier, f));
    if (frontier.size >= promised->size)
        TRY(ledger_root_at(store, promised->size, &root, f));
    if (strcmp(service.origin, promised->origin) != 0 || memcmp(&root, &promised->root, sizeof root) != 0)
        return fault_set(f, CODE_DAMAGED, "the database in the backup is not the one that its head promises");
    return OK;
}

static enum err copy_verify(struct store *store, const struct backup_head *head, struct fault *f)
{
    struct verified verified;
    struct restore_state state;
    struct clock_basis basis = clock_basis(0); /* what is in the copy does not make this machine's clock right */
    AUTO(bytes) root = {0};
    char time[TIME_TEXT_SIZE];
    TRY(database_verify(store, &verified, f));
    TRY(head_verify(store, &head->checkpoint, f));
    TRY(restore_mark(store, &basis, head->time, &state, f));
    time_text(head->time, time);
    base64_append(&root, SPAN_OF(state.root.data));
    TRY(bytes_check(&root, f));
    printf("Restored %s:\n"
           "  backup begun  %s\n"
           "  log           %" PRIu64 " entries, root %s\n"
           "  certificates  %" PRIu64 "\n",
           head->checkpoint.origin, time, state.entries, bytes_text(&root), verified.certificates);
    fflush(stdout);
    return OK;
}

static enum err copy_main(void *context, int ready_fd, struct fault *f)
{
    const struct making *making = context;
    CLEANUP(store_auto) struct store *store = NULL;
    TRY(ca_store_open(making->state, &store, f));
    TRY(copy_verify(store, &making->head, f));
    return write(ready_fd, "R", 1) == 1 ? OK : fault_errno(f, "cannot tell what was found");
}

static enum err copy_accept(struct making *making, struct fault *f)
{
    struct process process;
    TRY(process_start("verification", copy_main, making, &process, f));
    enum err err = process_ready(&process, f);
    waitpid(process.pid, NULL, 0);
    if (err == OK || !process.silent)
        return err;
    fault_clear(f);
    return fault_set(f, CODE_DAMAGED, "the database in the backup is so damaged that reading it crashes");
}

/* ---- the command ---- */

static enum err state_fill(struct backup_reader *reader, struct making *making, struct fault *f)
{
    TRY(small_file(reader, making, "seal", f));
    TRY(small_file(reader, making, "ensignd.yaml", f));
    TRY(database_file(reader, making, f));
    TRY(copy_accept(making, f));
    return folder_complete(making->state, f);
}

/* The configuration may have lain elsewhere, and name another folder. */
static void advice_print(const struct making *making)
{
    char path[PATH_SIZE], state[PATH_MAX];
    struct config config;
    struct fault why = {0};
    bool fits = path_join(making->state, "ensignd.yaml", path, &why) == OK && config_load(path, &config, &why) == OK &&
                realpath(config.state, state) && strcmp(state, making->state) == 0;
    if (!fits)
        printf("%s/ensignd.yaml is the configuration as it was, and does not fit here: mend it.\n", making->state);
    printf("The seal key is NOT in a backup: put it where ensignd.yaml says. Nothing is issued until an admin has\n"
           "acknowledged what was lost since the backup. Next:\n"
           "  ensignd --config %s/ensignd.yaml\n"
           "  ensign audit verify     # by everybody who has verified the log before: shows what is missing\n"
           "  ensign restore show\n"
           "  ensign restore acknowledge ENTRIES\n",
           making->state);
}

static enum err restore_from(int fd, const struct restore_request *request, struct fault *f)
{
    AUTO(backup_key) key = {0};
    CLEANUP(backup_reader_auto) struct backup_reader *reader = NULL;
    struct making making = {0};
    TRY(backup_key_read(request->key_file, &key, f));
    TRY(backup_read_begin(fd, &key, &reader, &making.head, f));
    TRY(folder_make(request->state, making.state, &making.made, f));
    enum err err = state_fill(reader, &making, f);
    if (err == OK)
        advice_print(&making);
    else
        folder_undo(making.state, making.made);
    return err;
}

enum err restore_run(const struct restore_request *request, struct fault *f)
{
    CLEANUP(fd_close)
    int fd = strcmp(request->path, "-") == 0 ? STDIN_FILENO : open(request->path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? fault_errno(f, "cannot open %s", request->path) : restore_from(fd, request, f);
}
