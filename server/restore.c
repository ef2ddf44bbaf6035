#include "server/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
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

enum { LOG_KEY_FILE_MAX = 1 << 16 };

/* --log-key: the fingerprint, or what the file holds. */
struct pin {
    char fingerprint[SHA256_TEXT_SIZE]; /* empty when it is not that */
    struct bytes file;
};

struct making {
    char state[PATH_MAX]; /* absolute */
    bool made;
    const char *log_key; /* of the request */
    struct pin pin;
    struct backup_head head;
};

static void making_cleanup(struct making *making)
{
    bytes_free(&making->pin.file);
}

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

/* ---- who made it ---- */

static enum err pin_read(const char *log_key, struct pin *pin, struct fault *f)
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    struct fault why = {0};
    if (!log_key)
        return OK;
    if (hex_decode(log_key, hash, sizeof hash, &why) == OK) {
        strcpy(pin->fingerprint, log_key);
        return OK;
    }
    return file_read(log_key, LOG_KEY_FILE_MAX, &pin->file, f);
}

static void fingerprint_text(const struct service_record *service, char ret_text[SHA256_TEXT_SIZE])
{
    sha256_text(SPAN_OF(service->log_public_key), ret_text);
}

/* The verifier names log and key, so whatever file has it says that this log is meant. */
static enum err pin_check(const struct making *making, const struct service_record *service, struct fault *f)
{
    const struct pin *pin = &making->pin;
    char fingerprint[SHA256_TEXT_SIZE], verifier[LOG_VERIFIER_TEXT_MAX + 1];
    fingerprint_text(service, fingerprint);
    log_verifier_text(service->origin, service->log_public_key, verifier);
    bool same = pin->fingerprint[0] ? strcmp(pin->fingerprint, fingerprint) == 0
                                    : strstr(bytes_text(&pin->file), verifier) != NULL;
    if (!making->log_key || same)
        return OK;
    return fault_set(f, CODE_UNTRUSTED,
                     "the backup is of another service: its log's key is %s (%s), which is not what --log-key %s says",
                     fingerprint, service->origin, making->log_key);
}

/* A signature that is there must be good, and with --log-key there must be one. */
static enum err maker_verify(const struct making *making, const struct service_record *service, struct fault *f)
{
    TRY(pin_check(making, service, f));
    if (making->head.signature[0])
        return backup_head_verify(&making->head, service->log_public_key, f);
    if (!making->log_key)
        return OK;
    return fault_set(f, CODE_UNTRUSTED,
                     "nobody has signed the backup, as when it is made while the service is stopped: without --log-key "
                     "it is restored all the same");
}

/* ---- the process that reads what came out: LMDB crashes on some damage ---- */

/* The copy must be of the service that the head names, and go at least to its checkpoint. */
static enum err head_verify(struct store *store, const struct service_record *service,
                            const struct checkpoint *promised, struct fault *f)
{
    struct merkle_frontier frontier;
    struct merkle_hash root = {0};
    TRY(ledger_frontier_stored(store, &frontier, f));
    if (frontier.size >= promised->size)
        TRY(ledger_root_at(store, promised->size, &root, f));
    if (strcmp(service->origin, promised->origin) != 0 || memcmp(&root, &promised->root, sizeof root) != 0)
        return fault_set(f, CODE_DAMAGED, "the database in the backup is not the one that its head promises");
    return OK;
}

static enum err copy_tell(const struct backup_head *head, const struct service_record *service,
                          const struct restore_state *state, const struct verified *verified, struct fault *f)
{
    AUTO(bytes) root = {0};
    char time[TIME_TEXT_SIZE], fingerprint[SHA256_TEXT_SIZE];
    time_text(head->time, time);
    fingerprint_text(service, fingerprint);
    base64_append(&root, SPAN_OF(state->root.data));
    TRY(bytes_check(&root, f));
    printf("Restored %s:\n"
           "  backup begun  %s\n"
           "  log           %" PRIu64 " entries, root %s\n"
           "  log key       %s\n",
           service->origin, time, state->entries, bytes_text(&root), fingerprint);
    if (head->signature[0])
        printf("  signed by it  the first %" PRIu64 " entries\n", head->checkpoint.size);
    else
        printf("  signed by it  nothing: compare the root with what you know\n");
    printf("  certificates  %" PRIu64 "\n", verified->certificates);
    fflush(stdout);
    return OK;
}

static enum err copy_verify(struct store *store, const struct making *making, struct fault *f)
{
    struct verified verified;
    struct restore_state state;
    struct clock_basis basis = clock_basis(0); /* what is in the copy does not make this machine's clock right */
    AUTO(bytes) row = {0};
    AUTO(service_record) service = {0};
    TRY(database_verify(store, &verified, f));
    TRY(meta_get(store, "service", &row, f));
    TRY(service_record_unpack(bytes_span(&row), &service, f));
    TRY(maker_verify(making, &service, f));
    TRY(head_verify(store, &service, &making->head.checkpoint, f));
    TRY(restore_mark(store, &basis, making->head.time, &state, f));
    return copy_tell(&making->head, &service, &state, &verified, f);
}

static enum err copy_main(void *context, int ready_fd, struct fault *f)
{
    const struct making *making = context;
    CLEANUP(store_auto) struct store *store = NULL;
    TRY(ca_store_open(making->state, &store, f));
    TRY(copy_verify(store, making, f));
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
    AUTO(making) making = {.log_key = request->log_key};
    TRY(pin_read(request->log_key, &making.pin, f));
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
