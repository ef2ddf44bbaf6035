#include "client/command.h"

#include <getopt.h>
#include <string.h>

#include "ca/base/document.h"

enum { COMMANDS_MAX = 64 };

static const struct option_row {
    const char *name, *argument, *help; /* argument NULL: takes no value */
    char letter;                        /* 0: none */
} rows[OPTION_COUNT] = {
    [OPTION_AUTHORITY] = {"authority", "NAME", "etcd-ca, kubernetes, front-proxy-ca; service-ca of cluster ensign", 0},
    [OPTION_CLUSTER] = {"cluster", "NAME", "the cluster", 0},
    [OPTION_CONTEXT] = {"context", "FILE", "service, pin and identity [$ENSIGN_CONTEXT, ~/.config/ensign/context]", 0},
    [OPTION_CSR] = {"csr", "FILE", "a certification request, PEM", 0},
    [OPTION_DRY_RUN] = {"dry-run", NULL, "show the decision; issue nothing", 0},
    [OPTION_EXPIRING_WITHIN] = {"expiring-within", "TIME", "only what expires within, as 720h or 30d", 0},
    [OPTION_FILE] = {"file", "FILE", "the cluster file; - for standard input", 'f'},
    [OPTION_HELP] = {"help", NULL, "this text", 'h'},
    [OPTION_KEY] = {"key", "FILE", "a private key, PEM, 0600; made when the file is absent", 0},
    [OPTION_LIMIT] = {"limit", "N", "at most N lines", 0},
    [OPTION_NODE] = {"node", "NAME", "the node", 0},
    [OPTION_OUT] = {"out", "PATH", "where the result is written", 0},
    [OPTION_OUTPUT] = {"output", "FORMAT", "table, wide, json, yaml or name", 'o'},
    [OPTION_PROFILE] = {"profile", "NAME", "the profile (enroll: may be repeated)", 0},
    [OPTION_ROLE] = {"role", "ROLE", "admin, operator or auditor", 0},
    [OPTION_SERVER] = {"server", "URL", "https://HOST:PORT or unix:///SOCKET [$ENSIGN_SERVER]", 0},
    [OPTION_STATE] = {"state", "STATE", "valid, expired or revoked", 0},
    [OPTION_TIMEOUT] = {"timeout", "TIME", "how long to wait for a service that is not ready [30s]", 0},
    [OPTION_TOKEN_FILE] = {"token-file", "FILE", "a join token; - for standard input [$ENSIGN_TOKEN_FILE]", 0},
    [OPTION_TTL] = {"ttl", "TIME", "how long the token may be used [1h]", 0},
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

static enum err option_store(struct arguments *arguments, size_t option, const char *value, struct fault *f)
{
    arguments->values[option] = value ? value : "";
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
    if (count < command->operands_min || count > command->operands_max)
        return fault_set(f, CODE_USAGE, "usage: ensign %s%s%s", command->name, command->operands[0] ? " " : "",
                         command->operands);
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

static void help_one(const struct command *command, FILE *out)
{
    fprintf(out, "ensign %s%s%s: %s\n\n%s\nOptions:\n", command->name, command->operands[0] ? " " : "",
            command->operands, command->summary, command->details);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (!((command->options | OPTION_BIT(HELP)) & bit(i)))
            continue;
        char left[48];
        snprintf(left, sizeof left, "--%s%s%s", rows[i].name, rows[i].argument ? " " : "",
                 rows[i].argument ? rows[i].argument : "");
        fprintf(out, "  %c%c%s %-24s %s%s\n", rows[i].letter ? '-' : ' ', rows[i].letter ? rows[i].letter : ' ',
                rows[i].letter ? "," : " ", left, rows[i].help, command->required & bit(i) ? " (required)" : "");
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
