/* issue.c: how a request becomes a certificate. Everything that Ensign issues comes through issue().
 *
 *     request_parse_pem   PKCS#10, proof of possession                     ca/x509/request.c
 *     renewal_judge       may this node have a successor of that           ca/renewal.c
 *     decide              may this caller have this, and what is in it     policies/decide.c
 *     draft_build         TBSCertificate from the decision alone           ca/x509/draft.c
 *     ledger_commit       signature, record, audit leaf: one commit        ca/ledger.c
 */
#include "ca/issue.h"

#include <string.h>

#include "ca/renewal.h"
#include "ca/revocation.h"
#include "ca/shared_key.h"
#include "policies/catalogue.h"

/* A token's row changes when the same node fetches another profile meanwhile, a lineage when it is renewed, inventories
 * change, and keys become known to others: read them again, this often at most. */
enum { ATTEMPTS_MAX = 50 };

static const char *request_node(const struct issue_request *request)
{
    return request->node[0] ? request->node : request->caller.node;
}

/* Whom it is for, where that is no node. A user and an identity of the same name have different clusters. */
static const char *request_person(const struct issue_request *request)
{
    return request->user.name ? request->user.name : request->identity;
}

/* Finds what the decision is about: profile, inventory, issuing CA. */
static enum err subject_find(struct ca *ca, const struct issue_request *request, const struct profile **ret_profile,
                             const struct authority **ret_authority, const struct cluster **ret_cluster,
                             struct subject_of_decision *ret_subject, struct fault *f)
{
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    const struct profile *profile = profiles_find(&ca->profiles, request->profile);
    if (!profile)
        return fault_set(f, CODE_NOT_FOUND, "no profile \"%.64s\"", request->profile);
    struct subject_of_decision subject = {.node = request_node(request),
                                          .identity = request->identity,
                                          .user = request->user,
                                          .service_names = &ca->service.names,
                                          .lifetime_seconds = request->lifetime_seconds};
    if (strcmp(request->cluster, CLUSTER_SERVICE) != 0)
        TRY(cluster_find(ca, request->cluster, &cluster, f));
    subject.cluster = cluster;
    bool of_service = strcmp(profile->issuer, AUTHORITY_SERVICE) == 0;
    const struct authority *authority =
        authorities_find(ca->authorities, of_service ? CLUSTER_SERVICE : request->cluster, profile->issuer);
    if (!authority)
        return fault_set(f, CODE_NOT_FOUND, "cluster \"%.64s\" has no CA \"%s\", which issues profile \"%s\"",
                         request->cluster, profile->issuer, profile->name);
    subject.authority_not_after = authority->certificate.body.content.not_after;
    *ret_profile = profile;
    *ret_authority = authority;
    *ret_cluster = TAKE(cluster);
    *ret_subject = subject;
    return OK;
}

/* What the certificate may do as a client of this service. */
static enum requester identity_role(const struct issue_request *request, const struct profile *profile)
{
    if (profile->common_name_from == COMMON_NAME_IDENTITY)
        return request->role;
    return strcmp(profile->issuer, AUTHORITY_SERVICE) == 0 && profile->node_roles ? REQUESTER_NODE : 0;
}

/* A key has one owner: what a node proves with its key, nobody else can. *ret_claimed: the key is claimed for whom the
 * certificate is for. *ret_other: who has it instead, or NULL. */
static enum err key_owner_check(struct ca *ca, const struct issue_request *request, const struct request *csr,
                                bool *ret_claimed, const char **ret_other, struct fault *f)
{
    const uint8_t *key = csr->public_key.spki_sha256;
    uint8_t owner[KEY_OWNER_SIZE];
    if (authorities_has_key(ca->authorities, key)) {
        *ret_other = "a CA";
        return OK;
    }
    key_owner(request->cluster, request_node(request), request_person(request), owner);
    TRY(key_claim(ca->claims, key, owner, ret_claimed, f));
    *ret_other = *ret_claimed ? NULL : "another node, identity or user";
    return OK;
}

static enum err successor_judge(struct ca *ca, const struct issue_request *request, const struct request *csr,
                                int64_t now, struct renewal *ret_renewal, struct fault *f)
{
    const struct place place = {request->cluster, request->caller.node, request->profile};
    return renewal_judge(ca, &place, request->replaces, csr->public_key.spki_sha256, now, ret_renewal, f);
}

/* The cluster's control planes may share one certificate of this profile: of whom, and of which key?
 *   claim  what the subject then borrows */
static enum err shared_find(struct ca *ca, const struct profile *profile, const struct request *csr,
                            struct shared_claim *claim, struct issue_result *result,
                            struct subject_of_decision *subject, struct fault *f)
{
    if (!subject->cluster || !catalogue_shares_certificate(subject->cluster, profile->name))
        return OK;
    result->sharing = true;
    TRY(shared_claim_get(ca, subject->cluster, profile->name, claim, f));
    subject->custodian = claim->custodian;
    subject->key_unclaimed = memcmp(claim->spki_sha256, csr->public_key.spki_sha256, SHA256_SIZE) != 0;
    return OK;
}

/* By the inventory that is the present one now. */
static enum err request_decide(struct ca *ca, const struct issue_request *request, const struct request *csr,
                               const char *key_owner, struct issue_result *result, struct fault *f)
{
    const struct profile *profile = NULL;
    struct subject_of_decision subject = {0};
    struct renewal renewal;
    struct shared_claim claim = {0};
    result->sharing = false;
    cluster_release(&result->cluster);
    result->cluster = NULL;
    decision_cleanup(&result->decision);
    result->decision = (struct decision){0};
    TRY(subject_find(ca, request, &profile, &result->authority, &result->cluster, &subject, f));
    subject.key_owner = key_owner;
    TRY(shared_find(ca, profile, csr, &claim, result, &subject, f));
    TRY(revocation_key_judge(ca, csr->public_key.spki_sha256, f));
    if (request->caller.kind == REQUESTER_NODE && !result->sharing) /* its reasons beside those of the decision */
        TRY(successor_judge(ca, request, csr, result->now.now, &renewal, f));
    return decide(profile, &request->caller, &subject, csr, result->now.now, &result->decision, f);
}

/* ---- what was issued before ---- */

/* It is the answer, unless it was revoked since then. */
static enum err stored_get(struct ca *ca, const uint8_t serial[SERIAL_SIZE], const char *remedy,
                           struct issue_result *result, struct fault *f)
{
    result->stored_before = true;
    TRY(certificate_get(ca, serial, &result->record, f));
    if (!result->record.revoked_at)
        return OK;
    return fault_set(f, CODE_POLICY_DENIED, "the certificate that was issued for this key was revoked: %s", remedy);
}

static const char new_token[] = "have a new token made with `ensign token create`";

/* ---- tokens ---- */

/* OK and result filled when this token got this profile for this key; ERR_ABSENT when it did not get the profile yet.
 */
static enum err token_use_find(struct ca *ca, const struct token_record *token, const struct request *csr,
                               struct issue_result *result, struct fault *f)
{
    const char *profile = result->decision.profile->name;
    for (size_t i = 0; i < token->uses_count; i++) {
        if (strcmp(token->uses[i].profile, profile) != 0)
            continue;
        if (memcmp(token->uses[i].spki_sha256, csr->public_key.spki_sha256, SHA256_SIZE) != 0)
            return fault_set(f, CODE_KEY_CONFLICT,
                             "this token already got \"%s\" for another public key; if that key is lost, have a new "
                             "token made with `ensign token create`",
                             profile);
        return stored_get(ca, token->uses[i].serial, new_token, result, f);
    }
    return fault_set(f, CODE_NOT_FOUND, "not issued yet");
}

/* The change uses up the token for this profile, if its row is still what it was. */
static enum err token_use_add(struct change *change, struct token_record *token, uint64_t revision,
                              const struct certificate_record *record, struct fault *f)
{
    if (token->uses_count == TOKEN_USES_MAX)
        return fault_set(f, CODE_POLICY_DENIED, "this token was used for %d profiles", TOKEN_USES_MAX);
    struct token_use *use = &token->uses[token->uses_count++];
    strcpy(use->profile, record->profile);
    memcpy(use->spki_sha256, record->spki_sha256, SHA256_SIZE);
    memcpy(use->serial, record->serial, SERIAL_SIZE);
    AUTO(bytes) key = {0};
    AUTO(bytes) expected = {0};
    AUTO(bytes) row = {0};
    key_token(token->id, &key);
    key_token(token->id, &expected);
    token_record_pack(token, &row);
    change_expect(change, &expected, revision);
    change_put(change, &key, &row);
    return OK;
}

/* ---- certificates that control planes share ---- */

/* OK and result filled when the claimed key has its certificate; ERR_ABSENT when not yet. */
static enum err shared_use_find(struct ca *ca, const struct request *csr, struct issue_result *result, struct fault *f)
{
    struct shared_claim claim;
    TRY(shared_claim_get(ca, result->cluster, result->decision.profile->name, &claim, f));
    if (!claim.certified || memcmp(claim.spki_sha256, csr->public_key.spki_sha256, SHA256_SIZE) != 0)
        return fault_set(f, CODE_NOT_FOUND, "not issued yet");
    return stored_get(ca, claim.serial, "an admin has it made anew with `ensign shared-key reset`", result, f);
}

/* ---- record, draft, event ---- */

static void record_fill(const struct issue_request *request, const struct decision *decision, const struct request *csr,
                        const struct moment *now, struct certificate_record *record)
{
    serial_make(now->seconds, now->nanoseconds, record->serial);
    strcpy(record->cluster, decision->cluster);
    strcpy(record->authority, decision->authority);
    strcpy(record->node, decision->node);
    strcpy(record->profile, decision->profile->name);
    strcpy(record->identity, decision->identity);
    record->role = identity_role(request, decision->profile);
    caller_text(&request->caller, record->requested_by, sizeof record->requested_by);
    record->issued_at = now->seconds;
    record->not_before = decision->content.not_before;
    record->not_after = decision->content.not_after;
    memcpy(record->spki_sha256, csr->public_key.spki_sha256, SHA256_SIZE);
}

/* The groups of a user: with them goes what it may do. */
static void event_groups(struct bytes *event, const struct distinguished_name *subject)
{
    member_begin(event, "groups");
    bytes_append_text(event, "[");
    for (size_t i = 0; i < subject->organizations_count; i++)
        element_string(event, subject->organizations[i]);
    bytes_append_text(event, "]");
}

static void issue_event(struct bytes *event, const struct issue_request *request,
                        const struct certificate_record *record, const struct decision *decision)
{
    event_begin(event, "certificate.issued", record->requested_by);
    member_string(event, "cluster", record->cluster);
    member_string(event, "authority", record->authority);
    member_string(event, "profile", record->profile);
    member_string(event, "node", record->node);
    member_string(event, "identity", record->identity);
    if (record->role)
        member_string(event, "role", requester_word(record->role));
    if (decision->profile->common_name_from == COMMON_NAME_USER)
        event_groups(event, &decision->content.subject);
    member_hex(event, "serial", SPAN_OF(record->serial));
    if (request->replaces)
        member_hex(event, "replaces", span(request->replaces, SERIAL_SIZE));
    member_time(event, "not_after", record->not_after);
    member_hex(event, "spki_sha256", SPAN_OF(record->spki_sha256));
}

/* The service's own TLS certificate does not wait for an admin, who needs it to say anything. */
static enum err change_prepare(struct ca *ca, const struct issue_request *request, const struct request *csr,
                               struct issue_result *result, struct change *change, struct fault *f)
{
    TRY(moment_check(&result->now, f));
    if (request->caller.kind != REQUESTER_SERVICE)
        TRY(restore_require(ca->restore, f));
    struct certificate_record *record = &result->record;
    record_fill(request, &result->decision, csr, &result->now, record);
    AUTO(bytes) key = {0};
    key_certificate(record->serial, &key);
    change_expect(change, &key, 0);
    revocation_key_expect(record->spki_sha256, change);
    if (result->cluster)
        cluster_expect(result->cluster, change);
    change->authority = result->authority;
    change->record = record;
    issue_event(&change->event, request, record, &result->decision);
    return draft_build(&result->decision.content, &result->authority->issuer, &csr->public_key, record->serial,
                       &change->draft, f);
}

/* ---- the way through: what is in the change depends on who asks ---- */

static enum err issue_to_token(struct ca *ca, const struct issue_request *request, const struct request *csr,
                               struct issue_result *result, struct fault *f)
{
    AUTO(change) change = {0};
    struct token_record token;
    struct lineage_record lineage;
    uint64_t token_revision = 0, lineage_revision = 0;
    TRY(token_get(ca, request->token_id, &token, &token_revision, f));
    enum err err = token_use_find(ca, &token, csr, result, f);
    if (err != ERR_ABSENT)
        return err;
    fault_clear(f);
    TRY(change_prepare(ca, request, csr, result, &change, f));
    TRY(token_use_add(&change, &token, token_revision, &result->record, f));
    const struct certificate_record *record = &result->record;
    const struct place place = {record->cluster, record->node, record->profile};
    TRY(lineage_row(ca, &place, &lineage, &lineage_revision, f));
    lineage_advance(&lineage, record->serial);
    lineage_put(&lineage, lineage_revision, &change);
    return ledger_commit(ca->ledger, &change, f);
}

static enum err issue_to_node(struct ca *ca, const struct issue_request *request, const struct request *csr,
                              struct issue_result *result, struct fault *f)
{
    AUTO(change) change = {0};
    struct renewal renewal;
    TRY(successor_judge(ca, request, csr, result->now.now, &renewal, f));
    TRY(fault_if_reasons(f, CODE_POLICY_DENIED, "this certificate is not renewed"));
    if (renewal.again)
        return stored_get(ca, renewal.lineage.current, new_token, result, f);
    TRY(renewal_admit(ca, result->cluster, request->caller.node, request->profile, renewal.lineage.current,
                      result->now.now, f));
    TRY(change_prepare(ca, request, csr, result, &change, f));
    lineage_advance(&renewal.lineage, result->record.serial);
    lineage_put(&renewal.lineage, renewal.revision, &change);
    idempotency_attach(request->idempotency, result, &change);
    return ledger_commit(ca->ledger, &change, f);
}

/* Of a key that control planes share: whoever asks, it has one certificate, and the place is the whole cluster's. */
static enum err issue_shared(struct ca *ca, const struct issue_request *request, const struct request *csr,
                             struct issue_result *result, struct fault *f)
{
    AUTO(change) change = {0};
    struct lineage_record lineage;
    uint64_t revision = 0;
    enum err err = shared_use_find(ca, csr, result, f);
    if (err != ERR_ABSENT)
        return err;
    fault_clear(f);
    TRY(change_prepare(ca, request, csr, result, &change, f));
    TRY(shared_key_certify(ca, result->cluster, &result->record, &change, f));
    const struct place place = {result->record.cluster, "", result->record.profile};
    TRY(lineage_row(ca, &place, &lineage, &revision, f));
    lineage_advance(&lineage, result->record.serial);
    lineage_put(&lineage, revision, &change);
    idempotency_attach(request->idempotency, result, &change);
    return ledger_commit(ca->ledger, &change, f);
}

static enum err issue_once(struct ca *ca, const struct issue_request *request, const struct request *csr,
                           struct issue_result *result, struct fault *f)
{
    if (result->sharing)
        return issue_shared(ca, request, csr, result, f);
    if (request->caller.kind == REQUESTER_TOKEN)
        return issue_to_token(ca, request, csr, result, f);
    if (request->caller.kind == REQUESTER_NODE)
        return issue_to_node(ca, request, csr, result, f);
    AUTO(change) change = {0};
    TRY(change_prepare(ca, request, csr, result, &change, f));
    idempotency_attach(request->idempotency, result, &change);
    return ledger_commit(ca->ledger, &change, f);
}

/* Parses and decides: the stretch that costs CPU. More of them at a time than cores only makes all of them late. */
static enum err issue_decide(struct ca *ca, const struct issue_request *request, struct request *csr,
                             struct issue_result *result, bool *ret_claimed, struct fault *f)
{
    const char *key_owner = NULL;
    while (sem_wait(&ca->crypto) != 0) {
        /* interrupted by a signal */
    }
    enum err err = request_parse_pem(request->csr_pem, csr, f);
    if (err == OK)
        err = blocklist_check(&ca->blocked_keys, &csr->public_key, f);
    if (err == OK)
        err = key_owner_check(ca, request, csr, ret_claimed, &key_owner, f);
    if (err == OK)
        err = request_decide(ca, request, csr, key_owner, result, f);
    sem_post(&ca->crypto);
    return err;
}

/* A conflict: the row of the token changed, or the inventory. What was decided by the one before is decided anew. */
static enum err issue_granted(struct ca *ca, const struct issue_request *request, const struct request *csr,
                              struct issue_result *result, struct fault *f)
{
    for (int attempt = 1;; attempt++) {
        enum err err = issue_once(ca, request, csr, result, f);
        if (err != ERR_CONFLICT || f->code == CODE_KEY_CONFLICT || attempt == ATTEMPTS_MAX)
            return err;
        certificate_record_cleanup(&result->record);
        result->record = (struct certificate_record){0};
        fault_clear(f);
        cluster_settle(ca);
        TRY(request_decide(ca, request, csr, NULL, result, f));
    }
}

static bool is_denial(const struct fault *f)
{
    return f->code == CODE_POLICY_DENIED || f->code == CODE_KEY_CONFLICT;
}

/* Answers that were stored before are not issued again. */
static void issue_count(struct ca *ca, const struct issue_request *request, const struct issue_result *result,
                        enum err err, const struct fault *f)
{
    const struct profile *profile = profiles_find(&ca->profiles, request->profile);
    if (!profile || request->dry_run)
        return;
    struct issue_counters *counters = &ca->counters[profile - ca->profiles.items];
    if (err == OK && !result->stored_before)
        counters->issued++;
    if (err != OK && is_denial(f))
        counters->denied++;
}

enum err issue(struct ca *ca, const struct issue_request *request, struct issue_result *ret_result, struct fault *f)
{
    AUTO(issue_result) result = {.now = clock_read(ca->clock)};
    AUTO(request) csr = {0};
    bool claimed = false;
    enum err err = issue_decide(ca, request, &csr, &result, &claimed, f);
    if (err == OK && !request->dry_run)
        err = issue_granted(ca, request, &csr, &result, f);
    if (claimed && (err != OK || request->dry_run || result.stored_before)) /* else the index releases it */
        key_release(ca->claims, csr.public_key.spki_sha256);
    issue_count(ca, request, &result, err, f);
    if (err != OK && is_denial(f) && !request->dry_run) {
        char what[512];
        snprintf(what, sizeof what, "certificate %.64s %.64s %.253s", request->cluster, request->profile,
                 request_person(request)[0] ? request_person(request) : request_node(request));
        text_clean(what);
        text_hide_secrets(what);
        struct fault why = *f;
        fault_clear(f);
        TRY(audit_denial(ca, &request->caller, what, &why, f));
        *f = why;
    }
    TRY(err);
    *ret_result = result;
    result = (struct issue_result){0};
    return OK;
}

void issue_result_cleanup(struct issue_result *result)
{
    decision_cleanup(&result->decision);
    certificate_record_cleanup(&result->record);
    cluster_release(&result->cluster);
}
