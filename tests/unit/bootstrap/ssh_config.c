/* The ssh_config of a run, and how each node of a cluster file is reached. */
#include "client/bootstrap/ssh_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/bootstrap/ssh.h"

#define HOST_KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
#define FILE_WITH(bootstrap, node)                                                                                     \
    "apiVersion: ensign/v1\nkind: Cluster\nname: c\nkubernetesVersion: \"1.31\"\netcd: {topology: stacked}\n"          \
    "bootstrap: " bootstrap                                                                                            \
    "\nnodes: [{name: one, addresses: [192.0.2.1, 192.0.2.9], roles: [etcd, control-plane]" node "}]\n"

struct row {
    const char *text;
    const char *before, *behind; /* of the user's configuration */
    const char *without;         /* what stands nowhere; NULL */
};

static const struct row rows[] = {
    {FILE_WITH("{}", ""), "  ControlPath /run/x/0\n", "Host one\n  HostName 192.0.2.1\n  User root\n", "Port"},
    {FILE_WITH("{ssh: {user: ops}}", ""), "  User ops\n", "  User ops\n", "HostKeyAlias"},
    {FILE_WITH("{ssh: {port: 22}}", ""), "  Port 22\n", "HostName 192.0.2.1\n", NULL},
    {FILE_WITH("{ssh: {port: 22, user: ops}}", ", ssh: {port: 2222, user: deck, address: 203.0.113.7}"),
     "  HostName 203.0.113.7\n  Port 2222\n  User deck\n", "HostName 192.0.2.1\n", "Port 22\n"},
    {FILE_WITH("{ssh: {hostKeys: {one: \"" HOST_KEY "\"}}}", ""),
     "  HostKeyAlias one\n  UserKnownHostsFile /run/x/one.known\n  GlobalKnownHostsFile /dev/null\n",
     "HostName 192.0.2.1\n", NULL},
};

static void row_hold(const struct row *row, const char *config, const char *include)
{
    CLEANUP(document_auto) struct document *document = NULL;
    AUTO(cluster) cluster = {0};
    AUTO(bytes) out = {0};
    struct target *targets = NULL;
    struct fault f = {0};
    assert_int_equal(document_parse(span_text(row->text), "c.yaml", &document, &f), OK);
    assert_int_equal(cluster_read(document, &cluster, &f), OK);
    assert_int_equal(targets_make(&cluster, &targets, &f), OK);
    ssh_config_write(&out, targets, cluster.nodes_count, "/run/x", config);
    free(targets);
    const char *text = bytes_text(&out), *users = strstr(text, include),
               *strict = strstr(text, "StrictHostKeyChecking yes");
    assert_non_null(users);
    assert_true(strict && strict < users);
    const char *before = strstr(text, row->before), *behind = strstr(users, row->behind);
    if (!before || before > users || !behind || (row->without && strstr(text, row->without)))
        fail_msg("%s", text);
}

static void configurations(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        row_hold(&rows[i], NULL, "Include ~/.ssh/config\n  Include /etc/ssh/ssh_config\n");
        row_hold(&rows[i], "/a b/config", "Include \"/a b/config\"\n");
    }
}

static void quotes(void **state)
{
    (void)state;
    AUTO(bytes) out = {0};
    shell_quote(&out, "a 'b' $c `d`\n\\");
    assert_string_equal(bytes_text(&out), "'a '\\''b'\\'' $c `d`\n\\'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(configurations), cmocka_unit_test(quotes)};
    return cmocka_run_group_tests_name("ssh_config", tests, NULL, NULL);
}
