#include "server/upkeep.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "ca/crl.h"
#include "ca/revocation.h"
#include "server/clock.h"
#include "server/logger.h"

enum {
    RENEWAL_RETRY_SECONDS = 60,
    LOOK_SECONDS = 3600,    /* clocks jump: the certificate's end is looked at this often anyway, */
    CLOCK_LOOK_SECONDS = 5, /* and what may stop issuance this often, to say so in the log */
};

struct upkeep {
    struct app *app;
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool look, stopping;  /* under the mutex */
    int64_t renewal_time; /* these are the thread's own, once it runs */
    bool clock_untrusted, restore_pending, crls_failing;
};

/* ---- the clock ---- */

/* Whether it is trusted is said once, and that it is again. */
static void clock_look(struct upkeep *upkeep)
{
    struct moment now;
    struct fault why = {0};
    bool untrusted = clock_require(upkeep->app->ca->clock, &now, &why) != OK;
    if (untrusted && !upkeep->clock_untrusted)
        log_fault(LOG_LEVEL_ERROR, "the clock is not trusted", &why);
    else if (!untrusted && upkeep->clock_untrusted)
        log_message(LOG_LEVEL_INFO, "the clock is trusted again");
    upkeep->clock_untrusted = untrusted;
}

/* As with the clock. */
static void restore_look(struct upkeep *upkeep)
{
    struct fault why = {0};
    bool pending = restore_require(upkeep->app->ca->restore, &why) != OK;
    if (pending && !upkeep->restore_pending)
        log_fault(LOG_LEVEL_ERROR, "the database is an older copy", &why);
    else if (!pending && upkeep->restore_pending)
        log_message(LOG_LEVEL_INFO, "an admin has acknowledged that the database is an older copy");
    upkeep->restore_pending = pending;
}

/* ---- CRLs ---- */

static void crl_tell(const char *cluster, const char *authority, const struct fault *why)
{
    struct bytes line = {0};
    log_begin(&line, LOG_LEVEL_ERROR, "a CRL cannot be made");
    log_text(&line, "cluster", cluster);
    log_text(&line, "authority", authority);
    log_reason(&line, why);
    log_end(&line);
}

/* What fails is told once, until it works again. */
static void crls_make(struct upkeep *upkeep)
{
    struct ca *ca = upkeep->app->ca;
    revocations_take_unlisted(ca->revocations);
    bool failing = crl_refresh_all(ca, upkeep->crls_failing ? NULL : crl_tell) > 0;
    if (failing)
        revocations_set_unlisted(ca->revocations);
    else if (upkeep->crls_failing)
        log_message(LOG_LEVEL_INFO, "all CRLs could be made again");
    upkeep->crls_failing = failing;
}

/* ---- its own certificate ---- */

/* The certificate in the state folder; a new one when that is missing, not valid or due. A due one that cannot be
 * renewed goes on serving, and so does any while the clock is not trusted. */
static enum err tls_current(const struct upkeep *upkeep, struct tls *ret_tls, struct fault *f)
{
    AUTO(tls) old = {0};
    struct fault why = {0};
    struct moment moment = clock_read(upkeep->app->ca->clock);
    bool trusted = moment.verdict == CLOCK_TRUSTED;
    int64_t now = moment.now;
    const char *state = upkeep->app->config->state;
    enum err err = tls_load(state, &old, &why);
    if (err == OK && trusted && (now < old.not_before || now > old.not_after))
        err = fault_set(&why, CODE_INVALID, "it is not valid now");
    if (err != OK) {
        log_fault(LOG_LEVEL_WARNING, "the TLS certificate is replaced", &why);
        return tls_renew(upkeep->app->ca, state, ret_tls, f);
    }
    if (trusted && now >= tls_renewal_time(&old)) {
        fault_clear(&why);
        if (tls_renew(upkeep->app->ca, state, ret_tls, &why) == OK)
            return OK;
        log_fault(LOG_LEVEL_ERROR, "cannot renew the TLS certificate", &why);
    }
    *ret_tls = old;
    old = (struct tls){0};
    return OK;
}

enum err upkeep_tls(struct upkeep *upkeep, struct tls *ret_tls, struct fault *f)
{
    TRY(tls_current(upkeep, ret_tls, f));
    upkeep->renewal_time = tls_renewal_time(ret_tls);
    metrics_tls(upkeep->app->metrics, ret_tls->not_before, ret_tls->not_after);
    return OK;
}

static enum err tls_look(struct upkeep *upkeep, struct fault *f)
{
    AUTO(tls) tls = {0};
    int64_t before = upkeep->renewal_time;
    TRY(upkeep_tls(upkeep, &tls, f));
    if (upkeep->renewal_time != before)
        log_message(LOG_LEVEL_INFO, "changed to a new TLS certificate");
    return http_server_tls(upkeep->app->http, bytes_span(&tls.chain_pem), bytes_span(&tls.key_pem), f);
}

static int64_t renewal_seconds(const struct upkeep *upkeep)
{
    int64_t seconds = upkeep->renewal_time - ca_now(upkeep->app->ca);
    if (seconds <= 0)
        return RENEWAL_RETRY_SECONDS; /* it was due, and failed */
    return seconds < LOOK_SECONDS ? seconds : LOOK_SECONDS;
}

/* Sleeps until the certificate is due, somebody asks, or the server stops; looks at the clock meanwhile. False when it
 * stops. */
static bool renewal_wait(struct upkeep *upkeep)
{
    int64_t end = clock_milliseconds() + renewal_seconds(upkeep) * 1000;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    pthread_mutex_lock(&upkeep->mutex);
    while (!upkeep->look && !upkeep->stopping && clock_milliseconds() < end) {
        clock_look(upkeep);
        restore_look(upkeep);
        if (revocations_take_unlisted(upkeep->app->ca->revocations)) { /* which may take its time */
            pthread_mutex_unlock(&upkeep->mutex);
            crls_make(upkeep);
            pthread_mutex_lock(&upkeep->mutex);
            clock_gettime(CLOCK_MONOTONIC, &until);
            if (upkeep->look || upkeep->stopping)
                break;
        }
        until.tv_sec += CLOCK_LOOK_SECONDS;
        pthread_cond_clockwait(&upkeep->changed, &upkeep->mutex, CLOCK_MONOTONIC, &until);
    }
    upkeep->look = false;
    bool run = !upkeep->stopping;
    pthread_mutex_unlock(&upkeep->mutex);
    return run;
}

/* ---- refusals of callers whom nobody knows ---- */

/* One leaf for all of them, each hour, and when the server stops. */
static void strangers_report(struct app *app)
{
    struct fault fault = {0};
    uint64_t refusals = atomic_exchange(&app->strangers, 0);
    if (refusals == 0 || audit_strangers(app->ca, refusals, &fault) == OK)
        return;
    app->strangers += refusals;
    log_fault(LOG_LEVEL_ERROR, "refusals could not be written to the audit log", &fault);
}

/* ---- answers that were kept for a day ---- */

static void answers_expire(struct app *app)
{
    struct fault fault = {0};
    size_t removed = 0;
    if (idempotency_expire(app->ca, &removed, &fault) != OK)
        log_fault(LOG_LEVEL_ERROR, "answers that were kept for a day could not be removed", &fault);
    else if (removed > 0)
        log_message(LOG_LEVEL_INFO, "removed %zu answers that were kept for a day", removed);
}

/* ---- revocations of what has expired ---- */

static void revocations_expire(struct app *app)
{
    struct fault fault = {0};
    size_t removed = 0;
    if (crl_expire(app->ca, &removed, &fault) != OK)
        log_fault(LOG_LEVEL_ERROR, "revocations of expired certificates could not be removed", &fault);
    else if (removed > 0)
        log_message(LOG_LEVEL_INFO, "removed %zu revocations of expired certificates", removed);
}

/* ---- the thread ---- */

static void *upkeep_run(void *context)
{
    struct upkeep *upkeep = context;
    while (renewal_wait(upkeep)) {
        struct fault fault = {0};
        if (tls_look(upkeep, &fault) != OK)
            log_fault(LOG_LEVEL_ERROR, "the TLS certificate cannot be used", &fault);
        strangers_report(upkeep->app);
        answers_expire(upkeep->app);
        crls_make(upkeep);
        revocations_expire(upkeep->app);
    }
    return NULL;
}

enum err upkeep_new(struct app *app, struct upkeep **ret_upkeep, struct fault *f)
{
    struct upkeep *upkeep = calloc(1, sizeof *upkeep);
    if (!upkeep)
        return fault_no_memory(f);
    upkeep->app = app;
    pthread_mutex_init(&upkeep->mutex, NULL);
    pthread_cond_init(&upkeep->changed, NULL);
    clock_look(upkeep);
    restore_look(upkeep);
    *ret_upkeep = upkeep;
    return OK;
}

enum err upkeep_start(struct upkeep *upkeep, struct fault *f)
{
    errno = pthread_create(&upkeep->thread, NULL, upkeep_run, upkeep);
    upkeep->started = errno == 0;
    return upkeep->started ? OK : fault_errno(f, "cannot start a thread");
}

static void upkeep_wake(struct upkeep *upkeep, bool stop)
{
    pthread_mutex_lock(&upkeep->mutex);
    upkeep->look = true;
    upkeep->stopping |= stop;
    pthread_cond_signal(&upkeep->changed);
    pthread_mutex_unlock(&upkeep->mutex);
}

void upkeep_look(struct upkeep *upkeep)
{
    upkeep_wake(upkeep, false);
}

void upkeep_stop(struct upkeep *upkeep)
{
    upkeep_wake(upkeep, true);
    if (upkeep->started)
        pthread_join(upkeep->thread, NULL);
    strangers_report(upkeep->app);
    pthread_cond_destroy(&upkeep->changed);
    pthread_mutex_destroy(&upkeep->mutex);
    free(upkeep);
}
