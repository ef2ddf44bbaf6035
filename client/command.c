#include "client/command.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "ca/base/encode.h"
#include "client/output.h"
#include "policies/words.h"

enum { COMMANDS_MAX = 64, NUMBER_MAX = 1000000 };

enum value_kind { VALUE_ANY, VALUE_TIME, VALUE_NUMBER };

static const char *const role_words[] = {"admin", "operator", "auditor", NULL};
static const char *const state_words[] = {"valid", "expired", "revoked", NULL};

static const struct option_row {
    const char *name, *argument, *help; /* argument NULL: takes no value */
    char letter;                        /* 0: none */
    enum value_kind kind;
    const char *const *words; /* the value is one of them; NULL: of its kind */
} rows[OPTION_COUNT] = {
    [OPTION_AUTHORITY] = {.name = "authority",
                          .argument = "NAME",
                          .help = "etcd-ca, kubernetes, front-proxy-ca; service-ca of cluster ensign"},
    [OPTION_CLUSTER] = {.name = "cluster", .argument = "NAME", .help = "the cluster"},
    [OPTION_CONTEXT] = {.name = "context",
                        .argument = "FILE",
                        .help = "service, pin and identity [$ENSIGN_CONTEXT, ~/.config/ensign/context]"},
    [OPTION_CSR] = {.name = "csr", .argument = "FILE", .help = "a certification request, PEM; - for standard input"},
    [OPTION_DRY_RUN] = {.name = "dry-run", .help = "show the decision; issue nothing"},
    [OPTION_EXPIRING_WITHIN] = {.name = "expiring-within",
                                .argument = "TIME",
                                .help = "only what expires within, as 720h or 30d",
                                .kind = VALUE_TIME},
    [OPTION_FILE] = {.name = "file",
                     .argument = "FILE",
                     .help = "the cluster file; - for standard input",
                     .letter = 'f'},
    [OPTION_HELP] = {.name = "help", .help = "this text", .letter = 'h'},
    [OPTION_KEY] = {.name = "key",
                    .argument = "FILE",
                    .help = "a private key, PEM, 0600; made when the file is absent"},
    [OPTION_KEY_ALGORITHM] = {.name = "key-algorithm",
                              .argument = "NAME",
                              .help = "of a new key [ecdsa-p256]",
                              .words = key_words},
    [OPTION_LIFETIME] = {.name = "lifetime",
                         .argument = "TIME",
                         .help = "how long it is valid, at most 8760h [2160h]",
                         .kind = VALUE_TIME},
    [OPTION_LIMIT] = {.name = "limit", .argument = "N", .help = "at most N lines", .kind = VALUE_NUMBER},
    [OPTION_NODE] = {.name = "node", .argument = "NAME", .help = "the node"},
    [OPTION_OUT] = {.name = "out", .argument = "PATH", .help = "where the result is written"},
    [OPTION_OUTPUT] = {.name = "output",
                       .argument = "FORMAT",
                       .help = "the form of the output",
                       .letter = 'o',
                       .words = output_format_words},
    [OPTION_PROFILE] = {.name = "profile", .argument = "NAME", .help = "the profile; enroll takes several"},
    [OPTION_ROLE] = {.name = "role", .argument = "ROLE", .help = "what the identity may do", .words = role_words},
    [OPTION_SERVER] = {.name = "server",
                       .argument = "URL",
                       .help = "https://HOST:PORT or unix:///SOCKET [$ENSIGN_SERVER]"},
    [OPTION_STATE] = {.name = "state", .argument = "STATE", .help = "only these", .words = state_words},
    [OPTION_TIMEOUT] = {.name = "timeout",
                        .argument = "TIME",
                        .help = "how long to wait for a service that is not ready [30s]",
                        .kind = VALUE_TIME},
    [OPTION_TOKEN_FILE] = {.name = "token-file",
                           .argument = "FILE",
                           .help = "a join token; - for standard input [$ENSIGN_TOKEN_FILE]"},
    [OPTION_TTL] = {.name = "ttl",
                    .argument = "TIME",
                    .help = "how long the token may be used, 1m to 7d [1h]",
                    .kind = VALUE_TIME},
};

static uint32_t bit(size_t option)
{
    return UINT32_C(1) << option;
}

/* ---- finding the command ---- */

static bool name_is(const struct command *command, const char *first, const char *second)
{
    char name[64];
    snprintf(name, sizeof name, second ? "%s %s" : "%s", first, second);
    return strcmp(command->name, name) == 0;
}

static const struct command *command_find(const struct command *commands, char **words, int count, int *ret_used)
{
    for (int used = count < 2 ? count : 2; used > 0; used--)
        for (const struct command *command = commands; command->name; command++)
            if (name_is(command, words[0], used == 2 ? words[1] : NULL)) {
                *ret_used = used;
                return command;
            }
    return NULL;
}

static enum err command_unknown(const struct command *commands, char **words, int count, struct fault *f)
{
    char given[64];
    if (words[0][0] == '-') /* what stands behind it may be a secret */
        return fault_set(f, CODE_USAGE, "the command comes first, options stand behind it; see \"ensign help\"");
    bool second = count > 1 && words[1][0] != '-';
    snprintf(given, sizeof given, second ? "%s %s" : "%s", words[0], second ? words[1] : "");
    const char *names[COMMANDS_MAX + 1] = {NULL};
    size_t names_count = 0;
    for (const struct command *command = commands; command->name && names_count < COMMANDS_MAX; command++) {
        size_t size = strlen(given);
        if (strncmp(command->name, given, size) == 0 && command->name[size] == ' ')
            return fault_set(f, CODE_USAGE, "\"ensign %s\" alone says too little; see \"ensign help %s\"", given,
                             given);
        names[names_count++] = command->name;
    }
    const char *closest = word_closest(given, names);
    if (closest)
        return fault_set(f, CODE_USAGE, "there is no command \"%s\"; did you mean \"%s\"?", given, closest);
    return fault_set(f, CODE_USAGE, "there is no command \"%s\"; see \"ensign help\"", given);
}

/* ---- its options ---- */

struct option_list {
    struct option rows[OPTION_COUNT + 1];
    char letters[2 * OPTION_COUNT + 2];
    uint32_t known;
};

static void option_list_make(uint32_t known, struct option_list *ret_list)
{
    *ret_list = (struct option_list){.letters = ":", .known = known};
    size_t count = 0, letters = 1;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (!(known & bit(i)))
            continue;
        ret_list->rows[count++] =
            (struct option){rows[i].name, rows[i].argument ? required_argument : no_argument, NULL, (int)i + 256};
        if (rows[i].letter) {
            ret_list->letters[letters++] = rows[i].letter;
            if (rows[i].argument)
                ret_list->letters[letters++] = ':';
        }
    }
}

static enum err option_unknown(uint32_t known, const char *given, struct fault *f)
{
    char word[48];
    snprintf(word, sizeof word, "%.*s", (int)strcspn(given, "="), given); /* a value might be a secret */
    if (strcmp(word, "--token") == 0)
        return fault_set(
            f, CODE_USAGE,
            "a token on the command line can be read by every user of this machine: use --token-file FILE, "
            "--token-file - for standard input, or ENSIGN_TOKEN_FILE");
    const char *names[OPTION_COUNT + 1] = {NULL};
    size_t names_count = 0;
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (known & bit(i))
            names[names_count++] = rows[i].name;
    const char *closest = word_closest(word + strspn(word, "-"), names);
    if (closest)
        return fault_set(f, CODE_USAGE, "unknown option %s; did you mean --%s?", word, closest);
    return fault_set(f, CODE_USAGE, "unknown option %s", word);
}

static bool option_by_letter(int letter, size_t *ret_option)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (rows[i].letter && rows[i].letter == letter) {
            *ret_option = i;
            return true;
        }
    return false;
}

/* getopt_long also takes abbreviations, with which "--token" would be --token-file. */
static bool spelled_out(const char *word, const struct option_row *row)
{
    return strncmp(word, "--", 2) != 0 || strcspn(word + 2, "=") == strlen(row->name);
}

/* "a, b or c" */
static void words_text(const char *const *words, char *ret_text, size_t size)
{
    ret_text[0] = '\0';
    for (size_t i = 0; words[i]; i++) {
        size_t used = strlen(ret_text);
        snprintf(ret_text + used, size - used, "%s%s", i == 0 ? "" : words[i + 1] ? ", " : " or ", words[i]);
    }
}

static enum err words_check(const struct option_row *row, const char *value, struct fault *f)
{
    for (const char *const *word = row->words; *word; word++)
        if (strcmp(*word, value) == 0)
            return OK;
    char list[128];
    words_text(row->words, list, sizeof list);
    return fault_set(f, CODE_USAGE, "--%s is %s", row->name, list);
}

static bool number_read(const char *text, size_t *ret_number)
{
    char *end = NULL;
    unsigned long number = strtoul(text, &end, 10);
    if (*end || text[0] < '1' || text[0] > '9' || number > NUMBER_MAX)
        return false;
    *ret_number = number;
    return true;
}

static enum err value_check(const struct option_row *row, const char *value, struct fault *f)
{
    struct fault ignored = {0}; /* its text may quote the value */
    int64_t seconds;
    size_t number;
    if (row->words)
        return words_check(row, value, f);
    if (row->kind == VALUE_TIME && duration_parse(value, &seconds, &ignored) != OK)
        return fault_set(f, CODE_USAGE, "--%s is a time as 90s, 30m, 8760h or 365d", row->name);
    if (row->kind == VALUE_NUMBER && !number_read(value, &number))
        return fault_set(f, CODE_USAGE, "--%s is a number from 1 to %d", row->name, NUMBER_MAX);
    return OK;
}

int64_t option_seconds(const struct arguments *arguments, enum option_name option, int64_t standard)
{
    struct fault ignored = {0};
    int64_t seconds = standard;
    const char *value = arguments->values[option];
    return value && duration_parse(value, &seconds, &ignored) == OK ? seconds : standard;
}

size_t option_number(const struct arguments *arguments, enum option_name option, size_t standard)
{
    size_t number = standard;
    const char *value = arguments->values[option];
    return value && number_read(value, &number) ? number : standard;
}

static enum err option_store(struct arguments *arguments, size_t option, const char *value, struct fault *f)
{
    arguments->values[option] = value ? value : "";
    TRY(value_check(&rows[option], arguments->values[option], f));
    if (option != OPTION_PROFILE)
        return OK;
    if (arguments->profiles_count == PROFILES_MAX)
        return fault_set(f, CODE_USAGE, "more than %d --profile", PROFILES_MAX);
    arguments->profiles[arguments->profiles_count++] = value;
    return OK;
}

static enum err options_parse(const struct option_list *list, int argc, char **argv, struct arguments *arguments,
                              struct fault *f)
{
    opterr = 0;
    optind = 0; /* starts getopt over */
    for (;;) {
        int found = getopt_long(argc, argv, list->letters, list->rows, NULL);
        if (found == -1)
            break;
        const char *word = argv[optind - 1];
        if (found == ':')
            return fault_set(f, CODE_USAGE, "option %s needs a value", word);
        if (found == '?') {
            char letter[] = {'-', (char)optopt, '\0'};
            return option_unknown(list->known, optopt > 0 && optopt < 256 ? letter : word, f);
        }
        if (optarg && optarg == word)
            word = argv[optind - 2];
        size_t option = (size_t)found - 256;
        if (found < 256 && !option_by_letter(found, &option))
            return option_unknown(list->known, word, f);
        if (found >= 256 && !spelled_out(word, &rows[option]))
            return option_unknown(list->known, word, f);
        TRY(option_store(arguments, option, optarg, f));
    }
    return OK;
}

static enum err operands_take(int argc, char **argv, struct arguments *arguments, struct fault *f)
{
    const struct command *command = arguments->command;
    size_t count = (size_t)(argc - optind);
    if (count < command->operands_min)
        return fault_set(f, CODE_USAGE, "ensign %s needs %s", command->name, command->operands);
    if (count > command->operands_max)
        return fault_set(f, CODE_USAGE, "ensign %s takes fewer words; see \"ensign help %s\"", command->name,
                         command->name);
    for (size_t i = 0; i < count; i++)
        arguments->operands[i] = argv[optind + (int)i];
    arguments->operands_count = count;
    return OK;
}

static enum err required_check(const struct arguments *arguments, struct fault *f)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if ((arguments->command->required & bit(i)) && !arguments->values[i])
            return fault_set(f, CODE_USAGE, "ensign %s needs --%s %s", arguments->command->name, rows[i].name,
                             rows[i].argument);
    return OK;
}

enum err command_parse(const struct command *commands, int argc, char **argv, struct arguments *ret_arguments,
                       struct fault *f)
{
    if (argc < 2)
        return fault_set(f, CODE_USAGE, "no command given; see \"ensign help\"");
    int used = 0;
    const struct command *command = command_find(commands, argv + 1, argc - 1, &used);
    if (!command)
        return command_unknown(commands, argv + 1, argc - 1, f);
    struct arguments arguments = {.command = command};
    struct option_list list;
    option_list_make(command->options | OPTION_BIT(HELP), &list);
    TRY(options_parse(&list, argc - used, argv + used, &arguments, f));
    if (!arguments.values[OPTION_HELP]) {
        TRY(operands_take(argc - used, argv + used, &arguments, f));
        TRY(required_check(&arguments, f));
    }
    *ret_arguments = arguments;
    return OK;
}

/* ---- help ---- */

static void help_option(const struct option_row *row, bool required, FILE *out)
{
    char left[48], words[128] = "";
    snprintf(left, sizeof left, "--%s%s%s", row->name, row->argument ? " " : "", row->argument ? row->argument : "");
    if (row->words)
        words_text(row->words, words, sizeof words);
    fprintf(out, "  %c%c%s %-24s %s%s%s%s\n", row->letter ? '-' : ' ', row->letter ? row->letter : ' ',
            row->letter ? "," : " ", left, row->help, row->words ? ": " : "", words, required ? " (required)" : "");
}

static void help_one(const struct command *command, FILE *out)
{
    fprintf(out, "ensign %s%s%s: %s\n\n%s\nOptions:\n", command->name, command->operands[0] ? " " : "",
            command->operands, command->summary, command->details);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (!((command->options | OPTION_BIT(HELP)) & bit(i)))
            continue;
        help_option(&rows[i], command->required & bit(i), out);
    }
}

bool command_help(const struct command *commands, const char *name, FILE *out)
{
    size_t size = strlen(name);
    bool found = false;
    for (const struct command *command = commands; command->name; command++) {
        if (size > 0 && strcmp(command->name, name) == 0) {
            help_one(command, out);
            return true;
        }
        if (strncmp(command->name, name, size) != 0 || (size > 0 && command->name[size] != ' '))
            continue;
        char left[64];
        snprintf(left, sizeof left, "%s %s", command->name, command->operands);
        fprintf(out, "  ensign %-24s %s\n", left, command->summary);
        found = true;
    }
    return found;
}
