/* main.c: the table of commands. What each does stands in the cmd_*.c file of its noun. */
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "client/commands.h"
#include "client/output.h"

#define READ_OPTIONS (OPTIONS_SERVICE | OPTION_BIT(OUTPUT))

static command_run help_run, version_run;

static const struct command commands[] = {
    {"cluster create", "", 0, 0, READ_OPTIONS | OPTION_BIT(FILE), OPTION_BIT(FILE), "make a cluster and its CAs",
     "Reads a cluster file, reports every mistake in it with file, line and column, and makes the\n"
     "cluster with its three CAs. The same file again changes nothing.\n\n"
     "  ensign cluster create -f cluster.yaml\n",
     cluster_create},
    {"cluster list", "", 0, 0, READ_OPTIONS, 0, "list the clusters",
     "  ensign cluster list\n"
     "  ensign cluster list -o name\n",
     cluster_list},
    {"cluster show", "CLUSTER", 1, 1, READ_OPTIONS, 0, "show a cluster and its inventory",
     "  ensign cluster show vagrant\n"
     "  ensign cluster show vagrant -o yaml\n",
     cluster_show},
    {"token create", "", 0, 0,
     OPTIONS_SERVICE | OPTION_BIT(CLUSTER) | OPTION_BIT(NODE) | OPTION_BIT(TTL) | OPTION_BIT(OUT),
     OPTION_BIT(CLUSTER) | OPTION_BIT(NODE), "make a join token for a node",
     "The token is made here and shown once; the service learns only its hash. Whoever has it gets\n"
     "each certificate of this one node, once. --out writes it to a file of mode 0600.\n\n"
     "  ensign token create --cluster vagrant --node etcdone --out etcdone.token\n"
     "  ensign token create --cluster vagrant --node etcdone --ttl 15m |\n"
     "      ssh etcdone ensign enroll --server https://ca:8443 --token-file -\n",
     tokens_create},
    {"token list", "", 0, 0, READ_OPTIONS | OPTION_BIT(CLUSTER), OPTION_BIT(CLUSTER), "list the tokens of a cluster",
     "  ensign token list --cluster vagrant\n", tokens_list},
    {"token revoke", "ID", 1, 1, OPTIONS_SERVICE, 0, "make a token useless",
     "  ensign token revoke 4f3a9d0c5b7e41a28c6d1f00aa55be17\n", tokens_revoke},
    {"enroll", "", 0, 0, OPTIONS_SERVICE | OPTION_BIT(PROFILE) | OPTION_BIT(OUT), 0,
     "get this node's certificates with a join token",
     "Makes the keys here, asks for the certificates, checks the answers, and installs each with its\n"
     "key, chain and CA bundle as one set in DIR/PROFILE (--out DIR; /etc/ensign/node). Without\n"
     "--profile: all that the node's roles need. Run again it completes what was interrupted, leaves\n"
     "alone what is complete, and says when the cluster's CA is another one now, for which a new token\n"
     "is needed. It also writes DIR/context, for later commands on this node.\n\n"
     "  ensign enroll --server https://ca:8443 --token-file etcdone.token\n"
     "  ensign enroll --server https://ca:8443 --token-file - --profile etcd-member --out /etc/etcd/pki\n",
     enroll},
    {"certificate list", "", 0, 0,
     READ_OPTIONS | OPTION_BIT(CLUSTER) | OPTION_BIT(NODE) | OPTION_BIT(PROFILE) | OPTION_BIT(STATE) |
         OPTION_BIT(EXPIRING_WITHIN) | OPTION_BIT(LIMIT),
     0, "list certificates",
     "The options choose which. --expiring-within is a filter like the others: it also lists what has\n"
     "expired already, and the exit code is 0 whatever it finds.\n\n"
     "  ensign certificate list --cluster vagrant --state valid\n"
     "  ensign certificate list --expiring-within 720h -o wide\n",
     certificate_list},
    {"certificate show", "SERIAL", 1, 1, READ_OPTIONS, 0, "show a certificate",
     "  ensign certificate show 0cf548e069c1e9f49a2a7b9ca7aa7c161cbcfea9 -o json | jq -r .certificate | openssl x509 "
     "-text\n",
     certificate_show},
    {"certificate request", "", 0, 0,
     READ_OPTIONS | OPTION_BIT(CLUSTER) | OPTION_BIT(PROFILE) | OPTION_BIT(NODE) | OPTION_BIT(CSR) | OPTION_BIT(KEY) |
         OPTION_BIT(KEY_ALGORITHM) | OPTION_BIT(DRY_RUN) | OPTION_BIT(OUT),
     OPTION_BIT(CLUSTER) | OPTION_BIT(PROFILE), "ask for one certificate",
     "Sends a certification request, or makes one with --key FILE (a new key of --key-algorithm when\n"
     "there is no such file), and writes the certificate to standard output or --out FILE. --dry-run shows what would\n"
     "be issued, or every reason why not.\n\n"
     "  ensign certificate request --cluster vagrant --profile etcd-member --node etcdone --csr etcd.csr\n"
     "  ensign certificate request --cluster vagrant --profile apiserver-etcd-client --node cpone \\\n"
     "      --key client.key --key-algorithm rsa-3072 --out client.crt\n"
     "  ensign certificate request --cluster vagrant --profile etcd-member --node etcdone --csr etcd.csr --dry-run\n",
     certificate_request},
    {"ca show", "", 0, 0, READ_OPTIONS | OPTION_BIT(CLUSTER), OPTION_BIT(CLUSTER), "show the CAs of a cluster",
     "  ensign ca show --cluster vagrant -o wide\n", ca_show},
    {"ca bundle", "", 0, 0, OPTIONS_SERVICE | OPTION_BIT(CLUSTER) | OPTION_BIT(AUTHORITY) | OPTION_BIT(OUT),
     OPTION_BIT(CLUSTER) | OPTION_BIT(AUTHORITY), "fetch the CA certificates of an authority",
     "  ensign ca bundle --cluster vagrant --authority etcd-ca --out etcd-ca.crt\n"
     "  ensign ca bundle --cluster ensign --authority service-ca\n",
     ca_bundle},
    {"identity create", "NAME", 1, 1, OPTIONS_SERVICE | OPTION_BIT(ROLE) | OPTION_BIT(LIFETIME) | OPTION_BIT(OUT),
     OPTION_BIT(ROLE), "make an identity for a person or a program",
     "Makes a key here and writes a context file (NAME.context, or --out FILE; mode 0600) with which\n"
     "that person can use ensign in this role: for 2160h, or what --lifetime says, up to 8760h.\n\n"
     "  ensign identity create alice --role operator --out alice.context\n"
     "  ensign identity create backup --role auditor --lifetime 8760h\n",
     identity_create},
    {"audit verify", "", 0, 0, READ_OPTIONS, 0, "prove that the audit log was not changed",
     "Downloads the log, recomputes its tree, and checks it against the signed checkpoint, against the\n"
     "checkpoint of the last run ($XDG_STATE_HOME/ensign/checkpoints) and against the list of\n"
     "certificates: nothing was changed, cut off or hidden.\n\n"
     "  ensign audit verify\n",
     audit_verify},
    {"clock show", "", 0, 0, READ_OPTIONS, 0, "show whether the service trusts its clock",
     "While the clock is not between EARLIEST and LATEST nothing is issued.\n\n"
     "  ensign clock show\n",
     clock_show},
    {"clock acknowledge", "TIME", 1, 1, READ_OPTIONS, 0, "say that the service's clock is right",
     "Look at a clock that you trust, and give its time (UTC): when the service's clock is within 5\n"
     "minutes of it, it is trusted from now on. Set it right before, if it is not.\n\n"
     "  ensign clock acknowledge 2026-11-21T14:03:00Z\n",
     clock_acknowledge},
    {"whoami", "", 0, 0, READ_OPTIONS, 0, "show as whom the service knows you",
     "  ensign whoami --context alice.context\n", whoami},
    {"version", "", 0, 0, 0, 0, "show the version", "  ensign version\n", version_run},
    {"help", "[COMMAND]", 0, 2, 0, 0, "explain a command",
     "  ensign help\n"
     "  ensign help token\n"
     "  ensign help token create\n",
     help_run},
    {0},
};

static enum err version_run(const struct arguments *arguments, struct fault *f)
{
    (void)arguments;
    return output_text(span_text("ensign " ENSIGN_VERSION "\n"), f);
}

static enum err help_run(const struct arguments *arguments, struct fault *f)
{
    char name[64] = "";
    for (size_t i = 0; i < arguments->operands_count; i++) {
        size_t used = strlen(name);
        snprintf(name + used, sizeof name - used, "%s%s", i ? " " : "", arguments->operands[i]);
    }
    if (!name[0])
        fputs("ensign: certificates for Kubernetes clusters\n\n", stdout);
    if (!command_help(commands, name, stdout))
        return fault_set(f, CODE_USAGE, "there is no command \"%s\"; see \"ensign help\"", name);
    if (!name[0])
        fputs("\n\"ensign help COMMAND\" explains one of them.\n"
              "Exit codes: 0 done, 1 error, 2 usage, 3 denied, 4 unreachable, 5 expiring, 6 conflict, 7 pending.\n",
              stdout);
    return OK;
}

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
