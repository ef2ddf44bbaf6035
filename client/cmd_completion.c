/* The scripts that complete ensign's words, made from the tables of commands and options. Both work the same way: find
 * the command among the words before the cursor, then offer its options, the values of an option, or more words. The
 * parts that do not depend on the tables are texts; what does is a case of shell code each. */
#include <string.h>

#include "client/commands.h"
#include "client/output.h"

enum shell { SHELL_BASH, SHELL_ZSH };

/* ---- the tables as shell code ---- */

/* A word in single quotes. */
static void quoted(struct bytes *out, const char *text)
{
    bytes_append_text(out, "'");
    for (; *text; text++)
        bytes_append_text(out, *text == '\'' ? "'\\''" : (const char[]){*text, '\0'});
    bytes_append_text(out, "'");
}

/* "name:what it is" in quotes for zsh's _describe; bash has no descriptions. */
static void choice(struct bytes *out, enum shell shell, const char *name, size_t name_size, const char *help)
{
    struct bytes text = {0};
    bytes_append(&text, name, name_size);
    if (shell == SHELL_ZSH && *help)
        bytes_append_text(&text, ":");
    for (; shell == SHELL_ZSH && *help; help++)
        bytes_append_text(&text, *help == ':' ? "\\:" : (const char[]){*help, '\0'});
    bytes_append_text(out, " ");
    quoted(out, bytes_text(&text));
    out->failed |= text.failed;
    bytes_free(&text);
}

/* "--file|-f|--output|-o" of the options that are wanted. */
static void pattern(struct bytes *out, bool (*wanted)(const struct option_row *row, enum value_kind kind),
                    enum value_kind kind)
{
    bool first = true;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &option_rows[i];
        if (!wanted(row, kind))
            continue;
        bytes_appendf(out, "%s--%s", first ? "" : "|", row->name);
        if (row->letter)
            bytes_appendf(out, "|-%c", row->letter);
        first = false;
    }
}

static bool takes_value(const struct option_row *row, enum value_kind kind)
{
    (void)kind;
    return row->argument;
}

static bool has_kind(const struct option_row *row, enum value_kind kind)
{
    return row->argument && row->kind == kind && !row->words && !row->likely;
}

/* Whether an earlier row has this option's name, which means something else to some commands. */
static bool name_is_taken(size_t option)
{
    for (size_t i = 0; i < option; i++)
        if (strcmp(option_rows[i].name, option_rows[option].name) == 0)
            return true;
    return false;
}

static void choices_end(struct bytes *out, enum shell shell, const char *const *words)
{
    bytes_append_text(out, ") choices=(");
    for (; *words; words++)
        choice(out, shell, *words, strlen(*words), "");
    bytes_append_text(out, "); return ;;\n");
}

/* The values of options whose name is taken, of each command that has them. */
static void own_values_cases(struct bytes *out, enum shell shell)
{
    for (const struct command *command = commands; command->name; command++)
        for (size_t i = 0; i < OPTION_COUNT; i++)
            if (option_listed(command->options, i) && name_is_taken(i) && option_rows[i].words) {
                bytes_appendf(out, "    '%s --%s'", command->name, option_rows[i].name);
                choices_end(out, shell, option_rows[i].words);
            }
}

static void values_cases(struct bytes *out, enum shell shell, const struct profiles *profiles)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &option_rows[i];
        const char *const *words = row->words ? row->words : row->likely;
        if (!words || name_is_taken(i))
            continue;
        bytes_appendf(out, "    --%s", row->name);
        if (row->letter)
            bytes_appendf(out, "|-%c", row->letter);
        choices_end(out, shell, words);
    }
    bytes_append_text(out, "    ");
    pattern(out, has_kind, VALUE_PROFILE);
    bytes_append_text(out, ") choices=(");
    for (size_t i = 0; i < profiles->count; i++)
        choice(out, shell, profiles->items[i].name, strlen(profiles->items[i].name), "");
    bytes_append_text(out, "); return ;;\n    ");
    pattern(out, has_kind, VALUE_FILE);
    bytes_append_text(out, ") kind=file; return ;;\n    ");
    pattern(out, has_kind, VALUE_CLUSTER);
    bytes_append_text(out, ") kind=cluster; return ;;\n    ");
    pattern(out, takes_value, 0);
    bytes_append_text(out, ") return ;; # nothing that could be offered\n");
}

static void options_of(struct bytes *out, enum shell shell, uint64_t options)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &option_rows[i];
        if (!option_listed(options | OPTION_BIT(HELP), i))
            continue;
        struct bytes name = {0};
        bytes_appendf(&name, "--%s", row->name);
        choice(out, shell, bytes_text(&name), name.size, row->help);
        out->failed |= name.failed;
        bytes_free(&name);
    }
}

/* The words that may follow `before` ("" or "token "), each once. */
static void words_after(struct bytes *out, enum shell shell, const char *before)
{
    const char *last = "";
    size_t skip = strlen(before), last_size = 0;
    for (const struct command *command = commands; command->name; command++) {
        const char *word = command->name + skip;
        if (strncmp(command->name, before, skip) != 0)
            continue;
        size_t size = strcspn(word, " ");
        if (size != last_size || strncmp(word, last, size) != 0) /* those of a group stand together */
            choice(out, shell, word, size, word[size] ? "" : command->summary);
        last = word;
        last_size = size;
    }
}

/* What may follow the command, of which all words are there. */
static void operand_of(struct bytes *out, enum shell shell, const struct command *command)
{
    if (strcmp(command->operands, "CLUSTER") == 0)
        bytes_append_text(out, " kind=cluster");
    if (strstr(command->operands, "FILE"))
        bytes_append_text(out, " kind=file");
    if (strcmp(command->name, "completion") == 0)
        bytes_append_text(out, " choices=('bash' 'zsh')");
    if (strcmp(command->name, "help") == 0) {
        bytes_append_text(out, " choices=(");
        words_after(out, shell, "");
        bytes_append_text(out, ")");
    }
}

static int words_of(const struct command *command)
{
    int count = 1;
    for (const char *at = command->name; (at = strchr(at, ' ')); at++)
        count++;
    return count;
}

static void command_case(struct bytes *out, enum shell shell, const struct command *command)
{
    static const char *const ends[] = {" '*", " '*", "'"}; /* by words: what follows them are operands */
    int words = words_of(command);
    bytes_appendf(out, "    '%s%s) options=(", command->name, ends[words - 1]);
    options_of(out, shell, command->options);
    bytes_append_text(out, ")");
    operand_of(out, shell, command);
    bytes_appendf(out, " operand_at=%d ;;\n", words);
}

/* Of a group whose first word is a command, too, as "rotate" is; such a row stands behind those of its group. */
static void group_options(struct bytes *out, enum shell shell, const char *name, size_t size)
{
    for (const struct command *command = commands; command->name; command++)
        if (strncmp(command->name, name, size) == 0 && !command->name[size]) {
            bytes_append_text(out, " options=(");
            options_of(out, shell, command->options);
            bytes_append_text(out, ")");
        }
}

/* The first words of a group: what may follow them, also behind "help".
 *   size  of these words, of which there are `words` */
static void group_case(struct bytes *out, enum shell shell, const char *name, size_t size, int words)
{
    struct bytes before = {0};
    bytes_append(&before, name, size + 1);
    for (int help = 0; help < 2; help++) {
        bytes_appendf(out, "    '%s%.*s%s') choices=(", help ? "help " : "", (int)size, name,
                      words + help == 1   ? "  "
                      : words + help == 2 ? " "
                                          : "");
        words_after(out, shell, bytes_text(&before));
        bytes_append_text(out, ")");
        if (!help)
            group_options(out, shell, name, size);
        bytes_appendf(out, " operand_at=%d ;;\n", words + help);
    }
    out->failed |= before.failed;
    bytes_free(&before);
}

/* Of each group that begins with this command; rows of a group stand together. */
static void group_cases(struct bytes *out, enum shell shell, const struct command *command, const char *before)
{
    int words = 1;
    for (const char *end = command->name; (end = strchr(end, ' ')); end++, words++) {
        size_t size = (size_t)(end - command->name);
        if (strncmp(command->name, before, size + 1) != 0)
            group_case(out, shell, command->name, size, words);
    }
}

static void commands_cases(struct bytes *out, enum shell shell)
{
    const char *before = "";
    for (const struct command *command = commands; command->name; command++) {
        command_case(out, shell, command);
        group_cases(out, shell, command, before);
        before = command->name;
    }
    bytes_append_text(out, "    '  ') choices=(");
    words_after(out, shell, "");
    bytes_append_text(out, ") options=(");
    options_of(out, shell, OPTIONS_SERVICE | OPTION_BIT(OUTPUT));
    bytes_append_text(out, ") operand_at=0 ;;\n");
}

/* ---- the scripts ---- */

/* _ensign_find: from the words before the one to complete to `choices`, `options` and `kind`, which its caller
 * declares. Choices are good only as the next word, options at any place behind the command. */
static void finder(struct bytes *out, enum shell shell, const struct profiles *profiles)
{
    bytes_appendf(out, "_ensign_find() {\n"
                       "    local first= second= third= count=0 operand_at= word skip=\n"
                       "    choices=() options=() kind=\n"
                       "    for word; do\n"
                       "        if [[ -n $skip ]]; then skip=; continue; fi\n"
                       "        case $word in\n        ");
    pattern(out, takes_value, 0);
    bytes_append_text(
        out, ") skip=$word ;;\n"
             "        -*) ;;\n"
             "        *) ((count++)); case $count in 1) first=$word ;; 2) second=$word ;; 3) third=$word ;; esac ;;\n"
             "        esac\n"
             "    done\n"
             "    case \"$first $second $skip\" in # the value of this option is completed, here of one command\n");
    own_values_cases(out, shell);
    bytes_append_text(out, "    esac\n"
                           "    case $skip in # and here of any\n");
    values_cases(out, shell, profiles);
    bytes_append_text(out, "    esac\n"
                           "    case \"$first $second $third\" in\n");
    commands_cases(out, shell);
    bytes_append_text(out, "    esac\n"
                           "    if [[ $count != \"$operand_at\" ]]; then choices=() kind=; fi\n"
                           "}\n\n");
}

/* Asks the service that the words name, for two seconds at the most and without a word about what goes wrong. */
static const char clusters_function[] =
    "_ensign_clusters() { # the program, then the words of the line\n"
    "    local program=$1 word option= context=()\n"
    "    shift\n"
    "    for word; do\n"
    "        case $option in --context|--server) context+=(\"$option\" \"${word/#\\~\\//$HOME/}\") ;; esac\n"
    "        option=$word\n"
    "        case $word in --context=*|--server=*) context+=(\"$word\") ;; esac\n"
    "    done\n"
    "    timeout 2 \"$program\" cluster list -o name --timeout 1s \"${context[@]}\" 2> /dev/null < /dev/null\n"
    "}\n\n";

static const char bash_function[] =
    "_ensign() {\n"
    "    local choices options kind words word cur line=${COMP_LINE:0:COMP_POINT}\n"
    "    read -ra words <<< \"$line\" # COMP_WORDS is cut at \"=\" and \":\"\n"
    "    if [[ $line == *[[:space:]] ]]; then words+=(''); fi\n"
    "    cur=${words[${#words[@]} - 1]}\n"
    "    local before=(\"${words[@]:1:${#words[@]} - 2}\")\n"
    "    if [[ $cur == --*=* ]]; then before+=(\"${cur%%=*}\"); cur=${cur#*=}; fi\n"
    "    _ensign_find \"${before[@]}\"\n"
    "    if [[ $cur == -* ]]; then choices=(\"${options[@]}\"); fi\n"
    "    case $kind in\n"
    "    file) if [[ $cur != -* ]]; then\n"
    "            compopt -o filenames 2> /dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); return; fi ;;\n"
    "    cluster) if [[ $cur != -* ]]; then\n"
    "            mapfile -t choices < <(_ensign_clusters \"${words[0]}\" \"${before[@]}\"); fi ;;\n"
    "    esac\n"
    "    COMPREPLY=()\n"
    "    for word in \"${choices[@]}\"; do # compgen -W would run what is in a word\n"
    "        if [[ $word == \"$cur\"* ]]; then COMPREPLY+=(\"$word\"); fi\n"
    "    done\n"
    "}\n\n"
    "complete -F _ensign ensign\n";

static const char zsh_function[] =
    "_ensign() {\n"
    "    local -a choices options before clusters\n"
    "    local kind\n"
    "    before=(\"${(@)words[2,CURRENT-1]}\")\n"
    "    if [[ $PREFIX == --*=* ]]; then before+=(\"${PREFIX%%=*}\"); compset -P '*='; fi\n"
    "    _ensign_find \"${(@)before}\"\n"
    "    if [[ $PREFIX == -* ]]; then _describe -o option options; return; fi\n"
    "    case $kind in\n"
    "    file) _files; return ;;\n"
    "    cluster)\n"
    "        clusters=(${(f)\"$(_ensign_clusters \"$words[1]\" \"${(@)before}\")\"})\n"
    "        compadd -a clusters; return ;;\n"
    "    esac\n"
    "    _describe -t words word choices\n"
    "}\n\n"
    "if [[ ${funcstack[1]} == _ensign ]]; then _ensign \"$@\"; else compdef _ensign ensign; fi\n";

static void script(struct bytes *out, enum shell shell, const struct profiles *profiles)
{
    bytes_append_text(out, shell == SHELL_ZSH ? "#compdef ensign\n" : "# Completion of ensign's words for bash.\n");
    bytes_append_text(out, "# Made by: ensign completion\n\n");
    finder(out, shell, profiles);
    bytes_append_text(out, clusters_function);
    bytes_append_text(out, shell == SHELL_ZSH ? zsh_function : bash_function);
}

enum err completion_run(const struct arguments *arguments, struct fault *f)
{
    const char *name = arguments->operands[0];
    enum shell shell = strcmp(name, "zsh") == 0 ? SHELL_ZSH : SHELL_BASH;
    if (shell == SHELL_BASH && strcmp(name, "bash") != 0)
        return fault_set(f, CODE_USAGE, "there is completion for bash and for zsh");
    AUTO(profiles) profiles = {0};
    AUTO(bytes) out = {0};
    TRY(profiles_shipped(&profiles, f));
    script(&out, shell, &profiles);
    TRY(bytes_check(&out, f));
    return output_text(bytes_span(&out), f);
}
