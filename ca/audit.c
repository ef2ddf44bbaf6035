/* audit.c: the audit log as its readers see it, and the leaf of a refusal. */
#include "ca/base/encode.h"
#include "ca/ca.h"

enum err audit_denial(struct ca *ca, const struct caller *caller, const char *what, const struct fault *why,
                      struct fault *f)
{
    char actor[DNS_NAME_MAX + 32], reasons[2048];
    if (ca->denial_admit)
        TRY(ca->denial_admit(ca->denial_context, caller, f));
    caller_text(caller, actor, sizeof actor);
    struct fault shown = *why;
    fault_hide_secrets(&shown); /* each text for itself: a private key hides what follows it */
    fault_line(&shown, reasons, sizeof reasons);
    AUTO(change) change = {0};
    event_begin(&change.event, "denied", actor);
    member_string(&change.event, "what", what);
    member_string(&change.event, "code", code_name(why->code));
    member_string(&change.event, "reason", reasons);
    return ledger_commit(ca->ledger, &change, f);
}

enum err audit_strangers(struct ca *ca, uint64_t refusals, struct fault *f)
{
    AUTO(change) change = {0};
    event_begin(&change.event, "denied.unknown", "nobody");
    member_integer(&change.event, "refusals", (int64_t)refusals);
    return ledger_commit(ca->ledger, &change, f);
}

struct each {
    bool (*visit)(void *context, uint64_t sequence, struct span leaf);
    void *context;
    uint64_t sequence;
};

static bool each_leaf(void *context, struct span key, struct span leaf)
{
    (void)key;
    struct each *each = context;
    return each->visit(each->context, each->sequence++, leaf);
}

enum err audit_each(struct ca *ca, uint64_t from, uint64_t to,
                    bool (*visit)(void *context, uint64_t sequence, struct span leaf), void *context, struct fault *f)
{
    if (from >= to)
        return OK;
    AUTO(bytes) from_key = {0};
    AUTO(bytes) to_key = {0};
    key_leaf(from, &from_key);
    key_leaf(to, &to_key);
    struct each each = {visit, context, from};
    return store_scan(ca->store, bytes_span(&from_key), bytes_span(&to_key), false, each_leaf, &each, f);
}

static enum err note_sign(struct ca *ca, const struct merkle_frontier *frontier, struct bytes *ret_note,
                          struct fault *f)
{
    struct checkpoint checkpoint = {.size = frontier->size};
    snprintf(checkpoint.origin, sizeof checkpoint.origin, "%s", ca->service.origin);
    merkle_root(frontier, &checkpoint.root);
    AUTO(bytes) text = {0};
    AUTO(bytes) note = {0};
    checkpoint_text(&checkpoint, &text);
    TRY(bytes_check(&text, f));
    uint8_t signature[LOG_SIGNATURE_SIZE];
    TRY(signer_sign_checkpoint(ca->signer, bytes_span(&ca->service.log_blob), bytes_span(&text), signature, f));
    checkpoint_note(&checkpoint, ca->service.log_public_key, signature, &note);
    TRY(bytes_check(&note, f));
    *ret_note = note;
    note = (struct bytes){0};
    return OK;
}

/* One at a time and in order: the signer signs no smaller tree than it did before. Under the lock. */
static enum err note_renew(struct ca *ca, struct fault *f)
{
    struct merkle_frontier frontier;
    ledger_frontier(ca->ledger, &frontier);
    if (ca->checkpoint.note.size && ca->checkpoint.size == frontier.size)
        return OK;
    struct bytes note;
    TRY(note_sign(ca, &frontier, &note, f));
    bytes_free(&ca->checkpoint.note);
    ca->checkpoint.note = note;
    ca->checkpoint.size = frontier.size;
    return OK;
}

enum err audit_checkpoint(struct ca *ca, struct bytes *ret_note, struct fault *f)
{
    pthread_mutex_lock(&ca->checkpoint.lock);
    enum err err = note_renew(ca, f);
    if (err == OK)
        err = bytes_copy(bytes_span(&ca->checkpoint.note), ret_note, f);
    pthread_mutex_unlock(&ca->checkpoint.lock);
    return err;
}
