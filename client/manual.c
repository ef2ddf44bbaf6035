/* manual: prints ensign(1) in mdoc(7), from the tables of commands and options. Run by the build. */
#include <stdio.h>
#include <string.h>

#include "client/commands.h"

/* A line of text: a dot or an apostrophe at its beginning would be a request, and a sentence begins on its own line. */
static void text_line(const char *text, size_t size)
{
    if (size > 0 && (text[0] == '.' || text[0] == '\''))
        fputs("\\&", stdout);
    for (size_t i = 0; i < size; i++)
        if (text[i] == '\\')
            fputs("\\e", stdout);
        else
            putchar(i > 0 && text[i] == ' ' && text[i - 1] == '.' ? '\n' : text[i]);
    putchar('\n');
}

/* What the shell reads: a hyphen and a quote must stay what they are. */
static void literal_line(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (strchr("\\-'`^~", text[i]))
            fputs(text[i] == '\\'   ? "\\e"
                  : text[i] == '-'  ? "\\-"
                  : text[i] == '\'' ? "\\(aq"
                  : text[i] == '`'  ? "\\(ga"
                  : text[i] == '^'  ? "\\(ha"
                                    : "\\(ti",
                  stdout);
        else
            putchar(text[i]);
    putchar('\n');
}

static void name_print(const char *macro, const struct command *command)
{
    printf(".%s Cm %s", macro, command->name);
    if (command->operands[0])
        printf(" Ar %s", command->operands);
    putchar('\n');
}

/* Paragraphs; lines that are indented are examples. */
static void details_print(const char *details)
{
    bool example = false;
    while (*details) {
        size_t size = strcspn(details, "\n");
        bool indented = strncmp(details, "  ", 2) == 0;
        if (indented != example)
            puts(indented ? ".Bd -literal -offset indent" : ".Ed");
        example = indented;
        if (indented)
            literal_line(details + 2, size - 2);
        else if (size > 0)
            text_line(details, size);
        else if (strncmp(details + 1, "  ", 2) != 0)
            puts(".Pp");
        details += size + (details[size] == '\n');
    }
    if (example)
        puts(".Ed");
}

static void option_name(const char *macro, const struct option_row *row)
{
    printf(".%s ", macro);
    if (row->letter)
        printf("Fl %c , ", row->letter);
    printf("Fl \\-%s", row->name);
    if (row->argument)
        printf(" Ar %s", row->argument);
    putchar('\n');
}

static void command_options(const struct command *command)
{
    puts(".Pp\nOptions:");
    for (size_t i = 0, left = (size_t)__builtin_popcountll(command->options); i < OPTION_COUNT; i++)
        if (option_listed(command->options, i))
            printf(".Fl \\-%s%s%s\n", option_rows[i].name, option_listed(command->required, i) ? " Pq required" : "",
                   --left ? " ," : "");
}

static void commands_print(void)
{
    puts(".Sh COMMANDS\n.Bl -tag -width Ds");
    for (const struct command *command = commands; command->name; command++) {
        name_print("It", command);
        printf("%s.\n", command->summary);
        if (command->details[0] && strncmp(command->details, "  ", 2) != 0)
            puts(".Pp");
        details_print(command->details);
        if (command->options)
            command_options(command);
    }
    puts(".El");
}

static void options_print(void)
{
    puts(".Sh OPTIONS\nThey stand before or behind the command.\n.Bl -tag -width Ds");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &option_rows[i];
        option_name("It", row);
        text_line(row->help, strlen(row->help));
        if (row->words) {
            puts(".Pp\nOne of");
            for (const char *const *word = row->words; *word; word++)
                printf(".Cm %s%s\n", *word, word[1] ? " ," : " .");
        }
    }
    puts(".El");
}

static const char head[] = ".Dd November 21, 2026\n"
                           ".Dt ENSIGN 1\n"
                           ".Os\n"
                           ".Sh NAME\n"
                           ".Nm ensign\n"
                           ".Nd certificates for Kubernetes clusters\n"
                           ".Sh SYNOPSIS\n";

static const char description[] =
    ".Sh DESCRIPTION\n"
    "What people and bootstrap steps run against\n"
    ".Xr ensignd 8 :\n"
    "it makes keys where they are used, fetches certificates for them, lists what was issued, and proves that the list "
    "is\n"
    "complete.\n"
    "Which service it asks, how it recognises that service, and who it is there, stands in a context file.\n"
    "Standard output is data, standard error is messages.\n";

static const char tail[] = ".Sh ENVIRONMENT\n"
                           "An option counts more than the variable, and that more than the context file.\n"
                           ".Bl -tag -width Ds\n"
                           ".It Ev ENSIGN_CONTEXT\n"
                           "As\n"
                           ".Fl \\-context .\n"
                           ".It Ev ENSIGN_SERVER\n"
                           "As\n"
                           ".Fl \\-server .\n"
                           ".It Ev ENSIGN_TOKEN_FILE\n"
                           "As\n"
                           ".Fl \\-token-file .\n"
                           ".It Ev XDG_STATE_HOME\n"
                           "Where checkpoints are kept, below\n"
                           ".Pa ensign/checkpoints .\n"
                           ".El\n"
                           ".Sh FILES\n"
                           ".Bl -tag -width Ds\n"
                           ".It Pa ~/.config/ensign/context\n"
                           "The context, when none is named.\n"
                           "It holds a private key: it is refused when others can read it.\n"
                           ".It Pa /etc/ensign/context\n"
                           "The context, when there is no other.\n"
                           ".It Pa ~/.local/state/ensign/checkpoints\n"
                           "The checkpoints of the audit log that were seen before.\n"
                           ".El\n"
                           ".Sh EXIT STATUS\n"
                           ".Bl -tag -width Ds -compact\n"
                           ".It 0\ndone\n"
                           ".It 1\nan error\n"
                           ".It 2\nwrong usage\n"
                           ".It 3\ndenied, or not known to the service\n"
                           ".It 4\nthe service cannot be reached, or is not ready\n"
                           ".It 5\nsomething expires\n"
                           ".It 6\na conflict with what is there\n"
                           ".It 7\npending\n"
                           ".El\n"
                           ".Sh EXAMPLES\n"
                           "A cluster, and the certificates of one of its nodes:\n"
                           ".Bd -literal -offset indent\n"
                           "ensign cluster create \\-f cluster.yaml\n"
                           "ensign token create \\-\\-cluster vagrant \\-\\-node etcdone |\n"
                           "    ssh etcdone ensign enroll \\-\\-server https://ca:8443 \\-\\-token\\-file \\-\n"
                           "ensign certificate list \\-\\-cluster vagrant\n"
                           ".Ed\n"
                           ".Sh SEE ALSO\n"
                           ".Xr openssl 1ssl ,\n"
                           ".Xr ensignd 8\n";

int main(void)
{
    fputs(head, stdout);
    for (const struct command *command = commands; command->name; command++) {
        printf(".Nm\n.Cm %s\n%s", command->name, command->options ? ".Op Ar options\n" : "");
        if (command->operands[0])
            printf(".Ar %s\n", command->operands);
    }
    fputs(description, stdout);
    commands_print();
    options_print();
    fputs(tail, stdout);
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
