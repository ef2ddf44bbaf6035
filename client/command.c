#include "client/command.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "ca/base/encode.h"
#include "client/output.h"

enum { COMMANDS_MAX = 64, NAME_WORDS_MAX = 3, NAME_SIZE = 64, NUMBER_MAX = 1000000 };

/* ---- finding the command ---- */

static void words_join(char **words, int count, char ret_name[NAME_SIZE])
{
    size_t used = 0;
    ret_name[0] = '\0';
    for (int i = 0; i < count && used < NAME_SIZE; i++)
        used += (size_t)snprintf(ret_name + used, NAME_SIZE - used, "%s%s", i ? " " : "", words[i]);
}

static const struct command *command_find(const struct command *commands, char **words, int count, int *ret_used)
{
    for (int used = count < NAME_WORDS_MAX ? count : NAME_WORDS_MAX; used > 0; used--) {
        char name[NAME_SIZE];
        words_join(words, used, name);
        for (const struct command *command = commands; command->name; command++)
            if (strcmp(command->name, name) == 0) {
                *ret_used = used;
                return command;
            }
    }
    return NULL;
}

/* How many words the names of this group have, as far as they were given: at least two, so that a mistyped second one
 * is shown, too. */
static int words_meant(const struct command *commands, char **words, int count)
{
    char group[NAME_SIZE];
    int given = 0;
    while (given < count && given < NAME_WORDS_MAX && words[given][0] != '-')
        given++;
    words_join(words, given < 2 ? given : 2, group);
    size_t size = strlen(group);
    for (const struct command *command = commands; command->name; command++)
        if (strncmp(command->name, group, size) == 0 && command->name[size] == ' ')
            return given;
    return given < 2 ? given : 2;
}

static enum err command_unknown(const struct command *commands, char **words, int count, struct fault *f)
{
    char given[NAME_SIZE];
    words_join(words, words_meant(commands, words, count), given);
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
    uint64_t known;
};

static void option_list_make(uint64_t known, struct option_list *ret_list)
{
    *ret_list = (struct option_list){.letters = ":", .known = known};
    size_t count = 0, letters = 1;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (!option_listed(known, i))
            continue;
        ret_list->rows[count++] = (struct option){
            option_rows[i].name, option_rows[i].argument ? required_argument : no_argument, NULL, (int)i + 256};
        if (option_rows[i].letter) {
            ret_list->letters[letters++] = option_rows[i].letter;
            if (option_rows[i].argument)
                ret_list->letters[letters++] = ':';
        }
    }
}

static enum err option_unknown(uint64_t known, const char *given, struct fault *f)
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
        if (option_listed(known, i))
            names[names_count++] = option_rows[i].name;
    const char *closest = word_closest(word + strspn(word, "-"), names);
    if (closest)
        return fault_set(f, CODE_USAGE, "unknown option %s; did you mean --%s?", word, closest);
    return fault_set(f, CODE_USAGE, "unknown option %s", word);
}

static bool option_by_letter(int letter, size_t *ret_option)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (option_rows[i].letter && option_rows[i].letter == letter) {
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

/* One more of an option that may be given several times. */
static enum err value_add(size_t option, const char *value, const char **values, size_t *count, size_t max,
                          struct fault *f)
{
    if (*count == max)
        return fault_set(f, CODE_USAGE, "more than %zu --%s", max, option_rows[option].name);
    values[(*count)++] = value;
    return OK;
}

static enum err option_store(struct arguments *arguments, size_t option, const char *value, struct fault *f)
{
    arguments->values[option] = value ? value : "";
    TRY(value_check(&option_rows[option], arguments->values[option], f));
    if (option == OPTION_PROFILE)
        return value_add(option, value, arguments->profiles, &arguments->profiles_count, PROFILES_MAX, f);
    if (option == OPTION_GROUP)
        return value_add(option, value, arguments->groups, &arguments->groups_count, ORGANIZATIONS_MAX, f);
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
        if (found >= 256 && !spelled_out(word, &option_rows[option]))
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
        if (option_listed(arguments->command->required, i) && !arguments->values[i])
            return fault_set(f, CODE_USAGE, "ensign %s needs --%s %s", arguments->command->name, option_rows[i].name,
                             option_rows[i].argument);
    return OK;
}

/* ---- options before the command ---- */

/* By its name, with or without a value behind "=", or its letter; NULL when there is none. */
static const struct option_row *option_of(const char *word)
{
    size_t size = strcspn(word, "="), option;
    if (word[1] != '-')
        return option_by_letter(word[1], &option) ? &option_rows[option] : NULL;
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (strlen(option_rows[i].name) == size - 2 && strncmp(word + 2, option_rows[i].name, size - 2) == 0)
            return &option_rows[i];
    return NULL;
}

static bool value_follows(const char *word, const struct option_row *row)
{
    return row->argument && (word[1] == '-' ? !strchr(word, '=') : !word[2]);
}

static enum err leading_count(int argc, char **argv, int *ret_count, struct fault *f)
{
    int i = 1;
    while (i < argc && argv[i][0] == '-') {
        const struct option_row *row = option_of(argv[i]);
        const char letter[] = {'-', argv[i][1], '\0'};
        if (!row) /* whether a value follows cannot be known, and it may be a secret */
            return option_unknown(UINT64_MAX, argv[i][1] == '-' ? argv[i] : letter, f);
        i += value_follows(argv[i], row) ? 2 : 1;
    }
    if (i >= argc)
        return fault_set(f, CODE_USAGE, "no command given; see \"ensign help\"");
    *ret_count = i - 1;
    return OK;
}

/* Moves the command's words before the options that stood before it. */
static void command_first(char **words, int leading, int used)
{
    for (int i = 0; i < used; i++) {
        char *word = words[leading + i];
        memmove(words + i + 1, words + i, (size_t)leading * sizeof *words);
        words[i] = word;
    }
}

enum err command_parse(const struct command *commands, int argc, char **argv, struct arguments *ret_arguments,
                       struct fault *f)
{
    int leading = 0, used = 0;
    TRY(leading_count(argc, argv, &leading, f));
    char **words = argv + 1 + leading;
    const struct command *command = command_find(commands, words, argc - 1 - leading, &used);
    if (!command)
        return command_unknown(commands, words, argc - 1 - leading, f);
    command_first(argv + 1, leading, used);
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
        if (!option_listed(command->options | OPTION_BIT(HELP), i))
            continue;
        help_option(&option_rows[i], option_listed(command->required, i), out);
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
        fprintf(out, "  ensign %-29s %s\n", left, command->summary);
        found = true;
    }
    return found;
}
