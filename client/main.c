/* ensign: the command line, from its words to its exit code. */
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "client/commands.h"
#include "client/output.h"

static bool asks_for_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static enum err run(int argc, char **argv, struct fault *f)
{
    static char help[] = "help", version[] = "version";
    if (argc == 3 && asks_for_help(argv[2])) { /* of a command or of a group: "ensign token --help" */
        argv[2] = argv[1];
        argv[1] = help;
    } else if (argc > 1 && asks_for_help(argv[1])) {
        argv[1] = help;
    } else if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        argv[1] = version;
    }
    struct arguments arguments;
    TRY(command_parse(commands, argc, argv, &arguments, f));
    if (arguments.values[OPTION_HELP])
        return command_help(commands, arguments.command->name, stdout) ? output_finish(f) : OK;
    TRY(arguments.command->run(&arguments, f));
    return output_finish(f);
}

int main(int argc, char **argv)
{
    const struct rlimit no_core = {0, 0}; /* keys and tokens pass through this process */
    setrlimit(RLIMIT_CORE, &no_core);
    prctl(PR_SET_DUMPABLE, 0); /* the limit does not bind a core_pattern that is a pipe: core(5) */
    signal(SIGPIPE, SIG_IGN);
    static struct fault fault;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        message("ensign: the HTTP library cannot be started");
        return code_exit(CODE_INTERNAL);
    }
    enum err err = run(argc, argv, &fault);
    if (err != OK)
        message_fault(&fault);
    curl_global_cleanup();
    return err == OK ? 0 : code_exit(fault.code);
}
