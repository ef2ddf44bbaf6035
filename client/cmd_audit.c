#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ca/base/encode.h"
#include "client/commands.h"
#include "client/files.h"
#include "client/log_reader.h"
#include "client/pages.h"
#include "client/session.h"
#include "client/text.h"

/* ---- the checkpoint that was verified last, remembered between runs ---- */

static enum err state_folder_path(char ret_path[PATH_MAX], struct fault *f)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    bool given = state && state[0] == '/';
    if (!given && !home)
        return fault_set(f, CODE_USAGE, "HOME is not set, so the checkpoint cannot be remembered: set XDG_STATE_HOME");
    if (snprintf(ret_path, PATH_MAX, "%s%s/ensign/checkpoints", given ? state : home, given ? "" : "/.local/state") >=
        PATH_MAX)
        return fault_set(f, CODE_USAGE, "the path of the state folder is too long");
    return OK;
}

struct memory {
    char path[PATH_MAX];
    int folder;
    struct bytes name; /* of the file: the origin, escaped */
    bool known;
    struct bytes note;
    struct checkpoint checkpoint;
};

static void memory_cleanup(struct memory *memory)
{
    fd_cleanup(&memory->folder);
    bytes_free(&memory->name);
    bytes_free(&memory->note);
}

static enum err memory_open(struct memory *memory, const char *origin, const char *verifier, struct fault *f)
{
    TRY(state_folder_path(memory->path, f));
    TRY(folder_open(memory->path, &memory->folder, f));
    percent_append(&memory->name, origin);
    TRY(bytes_check(&memory->name, f));
    enum err err = file_read_at(memory->folder, bytes_text(&memory->name), &memory->note, f);
    if (err == ERR_ABSENT) {
        fault_clear(f);
        return OK;
    }
    TRY(err);
    struct fault why = {0};
    if (checkpoint_verify(bytes_span(&memory->note), verifier, &memory->checkpoint, &why) != OK)
        return fault_set(f, CODE_UNTRUSTED,
                         "what the last run left in \"%.250s/%s\" was damaged or changed (%.80s): find out why, then "
                         "remove it",
                         memory->path, bytes_text(&memory->name), why.text);
    memory->known = true;
    return OK;
}

/* ---- a log that does not have it ---- */

/* Shows it to the service, which issues nothing any more when its log does not have it.
 *   ret_state  the service's word: in_log, settled, not_in_log */
static enum err memory_show(const struct memory *memory, struct session *session, char ret_state[16], struct fault *f)
{
    CLEANUP(document_auto) struct document *answer = NULL;
    CLEANUP(json_cleanup) json_t *body = json_pack("{s:s}", "checkpoint", bytes_text(&memory->note));
    const char *state = NULL;
    if (!body)
        return fault_no_memory(f);
    TRY(api_json(session->api, "POST", "/v1/audit/witness", body, &answer, f));
    struct node root = document_root(answer, f), node = node_get(&root, "state");
    node_string(&node, NODE_REQUIRED, &state);
    TRY(answer_finish("a checkpoint", f));
    snprintf(ret_state, 16, "%s", state);
    return OK;
}

/* Adds to the fault what the service makes of it. One that cannot be asked changes nothing. */
static void fault_explain(const struct memory *memory, struct session *session, struct fault *f)
{
    struct fault why = {0};
    char state[16] = "";
    if (!memory->known || memory_show(memory, session, state, &why) != OK)
        return;
    if (strcmp(state, "not_in_log") == 0)
        fault_reason(f, "service",
                     "it was shown the earlier checkpoint, and issues nothing until an admin has looked at `ensign "
                     "restore show`");
    if (strcmp(state, "settled") == 0)
        fault_reason(f, "service",
                     "an admin has acknowledged that this end of the log was lost; if you know of that, remove "
                     "\"%.100s/%.100s\"",
                     memory->path, bytes_text(&memory->name));
}

/* ---- the checks ---- */

static enum err checkpoint_fetch(struct session *session, struct bytes *ret_note, struct checkpoint *ret_checkpoint,
                                 struct fault *f)
{
    AUTO(bytes) note = {0};
    TRY(api_text(session->api, "/v1/audit/checkpoint", &note, f));
    TRY(checkpoint_verify(bytes_span(&note), session->context.log_verifier, ret_checkpoint, f));
    *ret_note = note;
    note = (struct bytes){0};
    return OK;
}

/* The list is fetched between two checkpoints: what it shows must be in the log by the second, and what the log issued
 * before the first must be in it. */
static enum err log_check(struct session *session, struct log_reader *reader, const struct checkpoint *first,
                          const struct memory *memory, struct bytes *ret_note, struct checkpoint *ret_last,
                          struct fault *f)
{
    CLEANUP(json_cleanup) json_t *list = NULL;
    TRY(log_follow(reader, session->api, first, memory->known ? &memory->checkpoint : NULL, f));
    TRY(pages_fetch(session->api, "/v1/certificates", 0, &list, f));
    TRY(checkpoint_fetch(session, ret_note, ret_last, f));
    TRY(log_follow(reader, session->api, ret_last, NULL, f));
    return log_lists(reader, first->size, json_object_get(list, "items"), f);
}

static enum err result_print(const struct session *session, const struct checkpoint *checkpoint,
                             const struct log_reader *reader, const struct memory *memory, struct fault *f)
{
    static const struct column columns[] = {
        {"LOG", "origin", false},
        {"ENTRIES", "entries", false},
        {"CERTIFICATES", "certificates", false},
        {"ROOT", "root", false},
        {"CONSISTENT WITH", "consistent_with", false},
    };
    AUTO(bytes) root = {0};
    base64_append(&root, SPAN_OF(checkpoint->root.data));
    TRY(bytes_check(&root, f));
    CLEANUP(json_cleanup)
    json_t *result =
        json_pack("{s:s, s:I, s:I, s:s}", "origin", checkpoint->origin, "entries", (json_int_t)checkpoint->size,
                  "certificates", (json_int_t)reader->issues_count, "root", bytes_text(&root));
    json_t *seen = memory->known ? json_integer((json_int_t)memory->checkpoint.size) : json_null();
    if (!result || json_object_set_new(result, "consistent_with", seen) != 0)
        return fault_no_memory(f);
    const struct output output = {session->format, columns, ARRAY_SIZE(columns)};
    return output_object(&output, result, f);
}

static enum err session_open_verifier(const struct arguments *arguments, struct session *session, struct fault *f)
{
    TRY(session_open(arguments, session, f));
    if (!session->context.log_verifier[0])
        return fault_set(f, CODE_USAGE,
                         "nothing says whose signature counts: use a context with a logVerifier, as `ensignd init` and "
                         "`ensign identity create` write it");
    return OK;
}

enum err audit_checkpoint(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    AUTO(bytes) note = {0};
    AUTO(memory) memory = {.folder = -1};
    struct checkpoint checkpoint;
    char state[16] = "in_log";
    TRY(session_open_verifier(arguments, &session, f));
    TRY(checkpoint_fetch(&session, &note, &checkpoint, f));
    TRY(memory_open(&memory, checkpoint.origin, session.context.log_verifier, f));
    if (memory.known)
        TRY(memory_show(&memory, &session, state, f));
    if (strcmp(state, "in_log") == 0 && (!memory.known || memory.checkpoint.size <= checkpoint.size))
        return output_text(bytes_span(&note), f);
    enum err err =
        fault_set(f, CODE_UNTRUSTED,
                  "the audit log has %" PRIu64 " entries and is not the one that was seen before, of %" PRIu64
                  ": an old copy of the state was restored",
                  checkpoint.size, memory.checkpoint.size);
    fault_explain(&memory, &session, f);
    return err;
}

enum err audit_verify(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    TRY(session_open_verifier(arguments, &session, f));
    AUTO(bytes) first_note = {0};
    AUTO(bytes) last_note = {0};
    AUTO(memory) memory = {.folder = -1};
    AUTO(log_reader) reader = {0};
    struct checkpoint first, last;
    TRY(checkpoint_fetch(&session, &first_note, &first, f));
    TRY(memory_open(&memory, first.origin, session.context.log_verifier, f));
    enum err err = log_check(&session, &reader, &first, &memory, &last_note, &last, f);
    if (err != OK && f->code == CODE_UNTRUSTED)
        fault_explain(&memory, &session, f);
    TRY(err);
    TRY(file_put_at(memory.folder, bytes_text(&memory.name), FILE_MODE_PRIVATE, FILE_REPLACE, bytes_span(&last_note),
                    f));
    if (!memory.known)
        message("no earlier checkpoint to compare with: the next run compares with this one, in %s", memory.path);
    return result_print(&session, &last, &reader, &memory, f);
}
