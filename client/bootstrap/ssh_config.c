#include "client/bootstrap/ssh_config.h"

/* For each host on the way, jump hosts too. */
static const char every_host[] = "Host *\n"
                                 "  BatchMode yes\n"
                                 "  StrictHostKeyChecking yes\n"
                                 "  UpdateHostKeys no\n"
                                 "  NoHostAuthenticationForLocalhost no\n"
                                 "  PermitLocalCommand no\n"
                                 "  LogLevel ERROR\n";

/* A master that nobody asks any more ends by itself. */
static const char every_node[] = "  ControlMaster auto\n"
                                 "  ControlPersist 120\n"
                                 "  ConnectTimeout 10\n"
                                 "  ServerAliveInterval 5\n"
                                 "  ServerAliveCountMax 3\n"
                                 "  SessionType default\n"
                                 "  RequestTTY no\n"
                                 "  RemoteCommand none\n"
                                 "  StdinNull no\n"
                                 "  ForkAfterAuthentication no\n"
                                 "  ClearAllForwardings yes\n"
                                 "  ForwardAgent no\n"
                                 "  ForwardX11 no\n"
                                 "  Tunnel no\n";

static void node_forced(struct bytes *out, const struct target *target, const char *folder, size_t number)
{
    const char *name = target->node->name;
    bytes_appendf(out, "Host %s\n%s  ControlPath %s/%zu\n", name, every_node, folder, number);
    if (target->forced_address)
        bytes_appendf(out, "  HostName %s\n", target->forced_address);
    if (target->port)
        bytes_appendf(out, "  Port %u\n", target->port);
    if (target->user)
        bytes_appendf(out, "  User %s\n", target->user);
    if (target->host_key)
        bytes_appendf(out,
                      "  HostKeyAlias %s\n  UserKnownHostsFile %s/%s.known\n  GlobalKnownHostsFile /dev/null\n"
                      "  KnownHostsCommand none\n  VerifyHostKeyDNS no\n  CheckHostIP no\n",
                      name, folder, name);
}

void ssh_config_write(struct bytes *out, const struct target *targets, size_t count, const char *folder,
                      const char *config)
{
    bytes_append_text(out, every_host);
    for (size_t i = 0; i < count; i++)
        node_forced(out, &targets[i], folder, i);
    bytes_append_text(out, "Host *\n");
    if (config)
        bytes_appendf(out, "  Include \"%s\"\n", config);
    else
        bytes_append_text(out, "  Include ~/.ssh/config\n  Include /etc/ssh/ssh_config\n");
    for (size_t i = 0; i < count; i++)
        bytes_appendf(out, "Host %s\n  HostName %s\n  User %s\n", targets[i].node->name, targets[i].address,
                      targets[i].standard_user);
}
