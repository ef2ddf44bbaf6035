/* ensignd: the service. Exit status: 0 done, 1 and above as in the table of codes, 2 wrong usage. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ca/index.h"
#include "server/backup.h"
#include "server/init.h"
#include "server/restore.h"
#include "server/supervisor.h"
#include "server/verify.h"

static const char help[] =
    "ensignd: a certificate authority for Kubernetes clusters.\n"
    "\n"
    "  ensignd init --state DIR --name HOST... --listen ADDR:PORT (--seal-key-file F | --passphrase-file F)\n"
    "      Makes a new service: state folder, service CA, TLS certificate, first admin.\n"
    "  ensignd --config FILE\n"
    "      Runs the service until SIGTERM.\n"
    "  ensignd reindex --config FILE\n"
    "      Makes the search indexes again, while the service is stopped.\n"
    "  ensignd verify --config FILE\n"
    "      Holds the whole database against itself, while the service is stopped.\n"
    "  ensignd backup keygen FILE\n"
    "      Makes the key pair of backups: the private key in FILE, for restoring; the public one, the recipient, on\n"
    "      standard output.\n"
    "  ensignd backup --config FILE --recipient KEY FILE\n"
    "      Writes a copy of the database, running or not, that only the private key opens. - is standard output.\n"
    "      THE SEAL KEY IS NOT IN IT, and without that nobody can open the CA keys: keep a copy of it elsewhere.\n"
    "  ensignd restore --state DIR --key-file F [--log-key KEY] FILE\n"
    "      Makes a state folder of a backup and verifies it. Nothing is issued from it until an admin has "
    "acknowledged\n"
    "      what it lacks: see `ensign help restore`. - is standard input.\n"
    "\n"
    "Options of init:\n"
    "  --state DIR            the new state folder; absent or empty\n"
    "  --name HOST            a DNS name or address by which clients reach the service; may be repeated\n"
    "  --listen ADDR:PORT     where it listens, as 0.0.0.0:8443 or [::]:8443\n"
    "  --seal-key-file F      the key that seals the CA keys; made when it is absent; outside of DIR\n"
    "  --passphrase-file F    a passphrase that seals them; at least 12 characters\n"
    "\n"
    "Options of backup and restore:\n"
    "  --recipient KEY        the public key that keygen has printed: ensign-backup:...\n"
    "  --key-file F           the private key\n"
    "  --log-key KEY          refuse a backup of another service than the one whose log has this key: its "
    "fingerprint,\n"
    "                         as restore shows it, or a file with the answer of GET /v1/audit/key or a client's "
    "context\n"
    "\n"
    "Other options:\n"
    "  --help, --version\n"
    "\n"
    "Examples:\n"
    "  ensignd init --state /var/lib/ensign --name ca.example.com --name 192.0.2.10 \\\n"
    "      --listen 0.0.0.0:8443 --seal-key-file /etc/ensign/seal.key\n"
    "  ensignd --config /var/lib/ensign/ensignd.yaml\n"
    "  ensignd backup keygen backup.key\n"
    "  ensignd backup --config /var/lib/ensign/ensignd.yaml --recipient ensign-backup:1f0a... /backup/ensign\n"
    "  ensignd restore --state /var/lib/ensign --key-file backup.key /backup/ensign\n";

struct arguments {
    struct init init;
    const char *config, *recipient, *key_file, *log_key;
    unsigned given;          /* which options: bits of GIVEN() */
    const char *operands[2]; /* the last words; one too many is kept, so that it is noticed */
    size_t operands_count;
};

enum option_key {
    KEY_STATE = 256,
    KEY_NAME,
    KEY_LISTEN,
    KEY_SEAL_KEY,
    KEY_PASSPHRASE,
    KEY_CONFIG,
    KEY_RECIPIENT,
    KEY_KEY_FILE,
    KEY_LOG_KEY,
    KEY_HELP,
    KEY_VERSION
};

static const struct option options[] = {
    {"state", required_argument, NULL, KEY_STATE},
    {"name", required_argument, NULL, KEY_NAME},
    {"listen", required_argument, NULL, KEY_LISTEN},
    {"seal-key-file", required_argument, NULL, KEY_SEAL_KEY},
    {"passphrase-file", required_argument, NULL, KEY_PASSPHRASE},
    {"config", required_argument, NULL, KEY_CONFIG},
    {"recipient", required_argument, NULL, KEY_RECIPIENT},
    {"key-file", required_argument, NULL, KEY_KEY_FILE},
    {"log-key", required_argument, NULL, KEY_LOG_KEY},
    {"help", no_argument, NULL, KEY_HELP},
    {"version", no_argument, NULL, KEY_VERSION},
    {0},
};

static enum err seal_take(struct seal_config *seal, enum seal_source source, const char *path, struct fault *f)
{
    if (seal->source != SEAL_NONE)
        return fault_set(f, CODE_USAGE, "give one of --seal-key-file and --passphrase-file");
    if (strlen(path) >= sizeof seal->path)
        return fault_set(f, CODE_USAGE, "the path of the seal key is too long");
    seal->source = source;
    strcpy(seal->path, path);
    return OK;
}

static enum err name_take(struct init *init, const char *name, struct fault *f)
{
    if (init->names_count == INIT_NAMES_MAX)
        return fault_set(f, CODE_USAGE, "more than %d times --name", INIT_NAMES_MAX);
    init->names[init->names_count++] = name;
    return OK;
}

static _Noreturn void text_print(const char *text)
{
    fputs(text, stdout);
    exit(EXIT_SUCCESS);
}

static enum err option_take(struct arguments *arguments, int key, const char *value, struct fault *f)
{
    switch (key) {
    case KEY_STATE:
        arguments->init.state = value;
        return OK;
    case KEY_NAME:
        return name_take(&arguments->init, value, f);
    case KEY_LISTEN:
        arguments->init.listen = value;
        return OK;
    case KEY_SEAL_KEY:
        return seal_take(&arguments->init.seal, SEAL_KEY_FILE, value, f);
    case KEY_PASSPHRASE:
        return seal_take(&arguments->init.seal, SEAL_PASSPHRASE_FILE, value, f);
    case KEY_CONFIG:
        arguments->config = value;
        return OK;
    case KEY_RECIPIENT:
        arguments->recipient = value;
        return OK;
    case KEY_KEY_FILE:
        arguments->key_file = value;
        return OK;
    case KEY_LOG_KEY:
        arguments->log_key = value;
        return OK;
    case KEY_HELP:
        text_print(help);
    case KEY_VERSION:
        text_print("ensignd " ENSIGN_VERSION "\n");
    default:
        return fault_set(f, CODE_USAGE, "see ensignd --help"); /* getopt has named the option */
    }
}

/* What a command takes; what it needs of that it says itself. */
#define GIVEN(option) (1U << ((option)-KEY_STATE))
#define OPTIONS_INIT                                                                                                   \
    (GIVEN(KEY_STATE) | GIVEN(KEY_NAME) | GIVEN(KEY_LISTEN) | GIVEN(KEY_SEAL_KEY) | GIVEN(KEY_PASSPHRASE))

static enum err arguments_parse(int count, char **texts, struct arguments *ret_arguments, struct fault *f)
{
    for (int key; (key = getopt_long(count, texts, "", options, NULL)) != -1;) {
        TRY(option_take(ret_arguments, key, optarg, f));
        ret_arguments->given |= GIVEN(key);
    }
    for (; optind < count && ret_arguments->operands_count < ARRAY_SIZE(ret_arguments->operands); optind++)
        ret_arguments->operands[ret_arguments->operands_count++] = texts[optind];
    return OK;
}

static enum err command_init(const struct arguments *arguments, struct fault *f)
{
    const struct init *init = &arguments->init;
    if (!init->state || init->names_count == 0 || !init->listen || init->seal.source == SEAL_NONE)
        return fault_set(f, CODE_USAGE,
                         "init needs --state, --name, --listen and one of --seal-key-file and --passphrase-file: see "
                         "ensignd --help");
    return init_run(init, f);
}

static enum err config_take(const struct arguments *arguments, struct config *ret_config, struct fault *f)
{
    if (!arguments->config)
        return fault_set(f, CODE_USAGE, "give the configuration with --config FILE: see ensignd --help");
    return config_load(arguments->config, ret_config, f);
}

static enum err command_run(const struct arguments *arguments, struct fault *f)
{
    struct config config;
    TRY(config_take(arguments, &config, f));
    return supervisor_run(&config, f);
}

static enum err index_remake(const struct config *config, struct fault *f)
{
    struct store *store = NULL;
    uint64_t certificates = 0;
    TRY(store_lmdb_open(config->state, false, &store, f));
    enum err err = index_rebuild(store, &certificates, f);
    store_close(store);
    if (err == OK)
        printf("Indexed %llu certificates.\n", (unsigned long long)certificates);
    return err;
}

/* Runs while the service is stopped. */
static enum err command_offline(const struct arguments *arguments,
                                enum err (*run)(const struct config *config, struct fault *f), struct fault *f)
{
    struct config config;
    int lock;
    TRY(config_take(arguments, &config, f));
    TRY(state_lock(config.state, &lock, f));
    enum err err = run(&config, f);
    close(lock);
    return err;
}

static enum err command_reindex(const struct arguments *arguments, struct fault *f)
{
    return command_offline(arguments, index_remake, f);
}

static enum err command_verify(const struct arguments *arguments, struct fault *f)
{
    return command_offline(arguments, verify_run, f);
}

static enum err command_keygen(const struct arguments *arguments, struct fault *f)
{
    return backup_keygen(arguments->operands[0], f);
}

static enum err command_backup(const struct arguments *arguments, struct fault *f)
{
    const struct backup_request request = {arguments->config, arguments->recipient, arguments->operands[0]};
    if (!request.config || !request.recipient)
        return fault_set(f, CODE_USAGE, "backup needs --config and --recipient: see ensignd --help");
    return backup_run(&request, f);
}

static enum err command_restore(const struct arguments *arguments, struct fault *f)
{
    const struct restore_request request = {arguments->init.state, arguments->key_file, arguments->operands[0],
                                            arguments->log_key};
    if (!request.state || !request.key_file)
        return fault_set(f, CODE_USAGE, "restore needs --state and --key-file: see ensignd --help");
    return restore_run(&request, f);
}

static const struct command {
    const char *words[2];
    unsigned options;
    size_t operands;
    enum err (*run)(const struct arguments *arguments, struct fault *f);
} commands[] = {
    {{"init"}, OPTIONS_INIT, 0, command_init},
    {{"reindex"}, GIVEN(KEY_CONFIG), 0, command_reindex},
    {{"verify"}, GIVEN(KEY_CONFIG), 0, command_verify},
    {{"backup", "keygen"}, 0, 1, command_keygen},
    {{"backup"}, GIVEN(KEY_CONFIG) | GIVEN(KEY_RECIPIENT), 1, command_backup},
    {{"restore"}, GIVEN(KEY_STATE) | GIVEN(KEY_KEY_FILE) | GIVEN(KEY_LOG_KEY), 1, command_restore},
    {{NULL}, GIVEN(KEY_CONFIG), 0, command_run}, /* without a command the service runs */
};

/* How many words of the command line are the name of this command; -1: it is another. */
static int command_match(const struct command *command, int count, char **texts)
{
    int words = 0;
    for (; words < (int)ARRAY_SIZE(command->words) && command->words[words]; words++)
        if (words + 1 >= count || strcmp(texts[words + 1], command->words[words]) != 0)
            return -1;
    return words;
}

static enum err command_dispatch(int count, char **texts, struct fault *f)
{
    struct arguments arguments = {0};
    const struct command *command = commands;
    int words;
    while ((words = command_match(command, count, texts)) < 0)
        command++;
    TRY(arguments_parse(count - words, texts + words, &arguments, f));
    if (arguments.operands_count > command->operands)
        return fault_set(f, CODE_USAGE, "\"%s\" is not expected here: see ensignd --help",
                         arguments.operands[command->operands]);
    if (arguments.operands_count < command->operands)
        return fault_set(f, CODE_USAGE, "a FILE is missing: see ensignd --help");
    if (arguments.given & ~command->options)
        return fault_set(f, CODE_USAGE, "an option is of another command: see ensignd --help");
    return command->run(&arguments, f);
}

static void fault_print(const struct fault *fault)
{
    fprintf(stderr, "ensignd: %s\n", fault->text);
    for (size_t i = 0; i < fault->reasons_count; i++)
        fprintf(stderr, "  %s: %s\n", fault->reasons[i].pointer, fault->reasons[i].text);
    if (fault->reasons_omitted)
        fprintf(stderr, "  and %zu more\n", fault->reasons_omitted);
}

/* Of this process and those that it starts: keys, tokens and passphrases pass through all of them. */
static void dumps_forbid(void)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0); /* a limit does not bind a core_pattern that is a pipe: core(5) */
}

int main(int count, char **texts)
{
    struct fault fault = {0};
    dumps_forbid();
    if (command_dispatch(count, texts, &fault) == OK)
        return EXIT_SUCCESS;
    fault_print(&fault);
    return fault.code == CODE_USAGE ? 2 : 1;
}
