/* fault.h: what went wrong, said once, where it arises.
 *
 * Functions that can fail return `enum err`; the last parameter is a `struct fault *`, never NULL, which is filled
 * by the function in which the error arises and passed on untouched by its callers. The text says what was wrong,
 * where, by which rule (RFC section), and what to do about it. It never holds a secret, and only
 * printable ASCII and "§": what others sent is cleaned when it is quoted.
 *
 * A fault has one `code`, the machine-readable word of the HTTP API (RFC 9457 `code`). fault.c has the one table that
 * gives each code its error class, HTTP status and exit code.
 *
 * A check that finds several things wrong reports them all: it collects reasons with fault_reason() and returns
 * fault_if_reasons() at its end.
 */
#ifndef ENSIGN_CA_BASE_FAULT_H
#define ENSIGN_CA_BASE_FAULT_H

#include <stddef.h>

#include "ca/base/cleanup.h"

enum err {
    OK,
    ERR_INPUT,       /* what was given is malformed or weak */
    ERR_AUTH,        /* the caller is not known */
    ERR_DENIED,      /* the caller is known and may not */
    ERR_ABSENT,      /* no such thing */
    ERR_CONFLICT,    /* the state is not what the caller thinks */
    ERR_LIMIT,       /* too large, too many, too slow */
    ERR_UNSUPPORTED, /* well-formed, but not something that this service does */
    ERR_IO,          /* disk, network, another process */
    ERR_CRYPTO,      /* a cryptographic library failed */
    ERR_NOMEM,
    ERR_BUG, /* cannot happen */
};

enum code {
    CODE_NONE,
    CODE_MALFORMED,           /* not the syntax that was asked for */
    CODE_INVALID,             /* well-formed, but some values are wrong: see the reasons */
    CODE_MALFORMED_CSR,       /* not a PKCS#10 request that we accept (RFC 2986) */
    CODE_PROOF_OF_POSSESSION, /* the request is not signed by the key that it carries */
    CODE_WEAK_KEY,            /* a public key that nobody should use */
    CODE_UNAUTHENTICATED,     /* no identity, an unknown one, or a token that is not valid */
    CODE_FORBIDDEN,           /* the caller's role may not use this route */
    CODE_POLICY_DENIED,       /* the decision was no: see the reasons */
    CODE_NOT_FOUND,
    CODE_METHOD_NOT_ALLOWED,
    CODE_CONFLICT,     /* exists already, or changed meanwhile */
    CODE_KEY_CONFLICT, /* this token got this profile for another public key */
    CODE_TOO_LARGE,
    CODE_UNSUPPORTED_TYPE, /* Content-Type */
    CODE_IDEMPOTENCY_MISMATCH,
    CODE_RATE_LIMITED,
    CODE_UNSUPPORTED,
    CODE_SEALED,          /* the seal key does not open the keys */
    CODE_READ_ONLY,       /* the disk does not take writes */
    CODE_CLOCK_UNTRUSTED, /* the machine's clock cannot be right (ca/clock.h) */
    CODE_RESTORED,        /* the database is an older copy, and no admin has acknowledged it (ca/restore.h) */
    CODE_SIGNER_DOWN,
    CODE_UNREACHABLE, /* client: no connection, or not the service that is pinned */
    CODE_UNTRUSTED,   /* client: the answer is not what was asked for, or not signed by the pinned CA */
    CODE_USAGE,       /* client: command line */
    CODE_EXPIRING,    /* client: something expires within the threshold */
    CODE_PENDING,     /* client: waits for an approval */
    CODE_DAMAGED,     /* stored bytes fail their checksum or do not parse */
    CODE_IO,
    CODE_CRYPTO,
    CODE_NO_MEMORY,
    CODE_INTERNAL,
    CODE_COUNT
};

enum { FAULT_REASONS_MAX = 32 };

struct fault_reason {
    char pointer[160]; /* JSON pointer (RFC 6901) or "file:line:column"; may be empty */
    char text[320];
};

struct fault {
    enum code code;
    char text[512];
    int retry_after_seconds; /* when it is worth another try; 0: not said */
    size_t reasons_count;    /* of those kept */
    size_t reasons_omitted;  /* found beyond FAULT_REASONS_MAX */
    struct fault_reason reasons[FAULT_REASONS_MAX];
};

/* Fills f, keeping reasons that were collected; returns the error class of the code. */
MUST_USE enum err fault_set(struct fault *f, enum code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds one reason; does not make f an error by itself. */
void fault_reason(struct fault *f, const char *pointer, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* OK when no reason was collected, else as fault_set(). */
MUST_USE enum err fault_if_reasons(struct fault *f, enum code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds ": <strerror(errno)>" to a text of CODE_IO (CODE_READ_ONLY on ENOSPC, EDQUOT, EROFS). */
MUST_USE enum err fault_errno(struct fault *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* CODE_CRYPTO with OpenSSL's queue of errors, which is emptied. When OpenSSL ran out of memory, this and each fault of
 * the class ERR_INPUT becomes CODE_NO_MEMORY: it was not the input. */
MUST_USE enum err fault_openssl(struct fault *f, const char *what);

MUST_USE enum err fault_no_memory(struct fault *f);

/* Empties f, for another attempt. */
void fault_clear(struct fault *f);

/* "text (pointer: reason; pointer: reason)" on one line, for logs and for people. Cut to size, always
 * terminated and valid UTF-8. */
void fault_line(const struct fault *f, char *ret_text, size_t size);

/* Replaces all but printable ASCII and "§" by '?': for what others sent, before it goes to logs, terminals and JSON. */
void text_clean(char *text);

/* Puts "(107 characters)" in the place of each word that may be a secret: more than 40 digits of hexadecimal, or
 * characters of base64 with a capital among them, as keys and tokens are; behind the first line of a key in
 * PEM, "(hidden)" stands for all that follows. People put them in the place of names; what quotes names goes to logs
 * that are kept. */
void text_hide_secrets(char *text);
void fault_hide_secrets(struct fault *f);

const char *code_name(enum code code);    /* "policy_denied" */
enum code code_by_name(const char *name); /* CODE_NONE when unknown */
enum err code_err(enum code code);
int code_http_status(enum code code); /* 400..599 */
int code_exit(enum code code);        /* 1..7 */

#endif
