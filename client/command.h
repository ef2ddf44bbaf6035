/* command.h: the command line: a table of commands and one of options (options.c), from which parsing and help follow.
 * Options may stand before the command, too. */
#ifndef ENSIGN_CLIENT_COMMAND_H
#define ENSIGN_CLIENT_COMMAND_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ca/base/fault.h"
#include "policies/profile.h"

enum option_name {
    OPTION_AUTHORITY,
    OPTION_CERTIFICATE,
    OPTION_CHANGED,
    OPTION_CLUSTER,
    OPTION_CONFIG,
    OPTION_CONTEXT,
    OPTION_CSR,
    OPTION_DRAIN_FORCE,
    OPTION_DRAIN_TIMEOUT,
    OPTION_DRY_RUN,
    OPTION_ETCD_PKI,
    OPTION_EXPIRING_WITHIN,
    OPTION_FILE,
    OPTION_GENERATE_MISSING,
    OPTION_FORCE,
    OPTION_FORMAT,
    OPTION_GROUP,
    OPTION_HELP,
    OPTION_HOST,
    OPTION_IF_MATCH,
    OPTION_KEY,
    OPTION_KEY_ALGORITHM,
    OPTION_KUBECONFIG,
    OPTION_KEY_FILE,
    OPTION_LIFETIME,
    OPTION_LIMIT,
    OPTION_LOST,
    OPTION_METRICS_FILE,
    OPTION_NAME,
    OPTION_NODE,
    OPTION_ONCE,
    OPTION_ONLY,
    OPTION_OUT,
    OPTION_OUTPUT,
    OPTION_PARALLEL,
    OPTION_PASSPHRASE_FILE,
    OPTION_PKI,
    OPTION_PROFILE,
    OPTION_REASON,
    OPTION_ROLE,
    OPTION_ROOT,
    OPTION_SERIAL,
    OPTION_SERVER,
    OPTION_SSH_CONFIG,
    OPTION_STATE,
    OPTION_STATE_COVERAGE,
    OPTION_SUDO_PASSWORD_FILE,
    OPTION_THRESHOLD,
    OPTION_TIMEOUT,
    OPTION_TO,
    OPTION_TOKEN_FILE,
    OPTION_TTL,
    OPTION_USER,
    OPTION_WAIT,
    OPTION_YES,
    OPTION_COUNT
};

/* What a value is: checked when it is given, and offered by the shell. */
enum value_kind { VALUE_ANY, VALUE_TIME, VALUE_NUMBER, VALUE_FILE, VALUE_CLUSTER, VALUE_PROFILE };

struct option_row {
    const char *name, *argument, *help; /* argument NULL: takes no value */
    char letter;                        /* 0: none */
    enum value_kind kind;
    const char *const *words;  /* the value is one of them; NULL: of its kind */
    const char *const *likely; /* the shell offers these, but others are taken; NULL: none */
};

extern const struct option_row option_rows[OPTION_COUNT];

_Static_assert(OPTION_COUNT <= 64, "each option has a bit of its own");
#define OPTION_BIT(name) (UINT64_C(1) << OPTION_##name)

static inline bool option_listed(uint64_t bits, size_t option)
{
    return bits & UINT64_C(1) << option;
}

/* What every command that talks to the service takes. */
#define OPTIONS_SERVICE (OPTION_BIT(CONTEXT) | OPTION_BIT(SERVER) | OPTION_BIT(TOKEN_FILE) | OPTION_BIT(TIMEOUT))

enum { OPERANDS_MAX = 3 };

struct arguments {
    const struct command *command;
    const char *operands[OPERANDS_MAX];
    size_t operands_count;
    const char *values[OPTION_COUNT];   /* the last one given; NULL when absent; "" for an option without a value */
    const char *profiles[PROFILES_MAX]; /* --profile, all of them */
    size_t profiles_count;
    const char *groups[ORGANIZATIONS_MAX]; /* --group, all of them */
    size_t groups_count;
};

struct command {
    const char *name;     /* one to three words; NULL ends a table */
    const char *operands; /* for the help text; "" when there are none */
    size_t operands_min, operands_max;
    uint64_t options, required; /* bits; --help is always there */
    const char *summary;
    const char *details; /* paragraphs and examples, each line ended */
    enum err (*run)(const struct arguments *arguments, struct fault *f);
};

/* ERR_INPUT (CODE_USAGE) names what is wrong and the closest known word. With --help nothing is required. Options that
 * take one of a few words, a time, or a number have such a value afterwards. Values of options are never in the text:
 * one of them may be a secret that was given in the wrong place. */
MUST_USE enum err command_parse(const struct command *commands, int argc, char **argv, struct arguments *ret_arguments,
                                struct fault *f);

/* What an option of a time or a number says, or `standard` when it is absent. */
int64_t option_seconds(const struct arguments *arguments, enum option_name option, int64_t standard);
size_t option_number(const struct arguments *arguments, enum option_name option, size_t standard);

/* The help of the command with this name, or the list of those whose names begin with it; false when there is none. */
bool command_help(const struct command *commands, const char *name, FILE *out);

#endif
