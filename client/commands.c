/* commands.c: the table of commands. What each does stands in the cmd_*.c file of its noun. Parsing, help, the manual
 * page and the completion of the shells follow from it, and from the table of options (options.c). */
#include "client/commands.h"

#define READ_OPTIONS (OPTIONS_SERVICE | OPTION_BIT(OUTPUT))
#define HOSTS_OPTIONS                                                                                                  \
    (READ_OPTIONS | OPTION_BIT(FILE) | OPTION_BIT(SSH_CONFIG) | OPTION_BIT(SUDO_PASSWORD_FILE) | OPTION_BIT(PARALLEL))
#define FITNESS_OPTIONS (HOSTS_OPTIONS | OPTION_BIT(FORCE)) /* of what refuses hosts that are not fit */
#define ALONE_OPTIONS (HOSTS_OPTIONS & ~OPTIONS_SERVICE)    /* of those that work on hosts and ask no service */
#define HERE_OPTIONS                                                                                                   \
    (OPTION_BIT(OUT) | OPTION_BIT(ROOT) | OPTION_BIT(FORCE) | OPTION_BIT(TIMEOUT)) /* of an enrolled node */

const struct command commands[] = {
    {"cluster create", "", 0, 0, READ_OPTIONS | OPTION_BIT(FILE), OPTION_BIT(FILE), "make a cluster and its CAs",
     "Reads a cluster file, reports every mistake in it with file, line and column, and makes the\n"
     "cluster with its three CAs. The same file again changes nothing. A single control plane,\n"
     "a single member of etcd and an even number of them draw a warning.\n\n"
     "  ensign cluster create -f cluster.yaml\n",
     cluster_create},
    {"cluster adopt", "", 0, 0,
     READ_OPTIONS | OPTION_BIT(FILE) | OPTION_BIT(PKI) | OPTION_BIT(ETCD_PKI) | OPTION_BIT(GENERATE_MISSING) |
         OPTION_BIT(PASSPHRASE_FILE),
     OPTION_BIT(FILE) | OPTION_BIT(PKI), "make a cluster with CAs that exist",
     "Finds the CAs with their keys in DIR, as kubeadm, cfssl or openssl left them (ca.crt and ca.key,\n"
     "ca.pem and ca-key.pem; front-proxy-ca; etcd/ca or, in --etcd-pki, ca or etcd-ca), and makes the\n"
     "cluster with them: what they signed stays valid, and what is issued from now on chains to the\n"
     "same certificates. The keys leave this program sealed to the service's signer. Lists the other\n"
     "certificates that lie there, which the audit log keeps, too. A CA that is not there is only made\n"
     "with --generate-missing; one without its key is refused. The same again changes nothing.\n\n"
     "  ensign cluster adopt -f cluster.yaml --pki /etc/kubernetes/pki\n"
     "  ensign cluster adopt -f cluster.yaml --pki ./kubernetes --etcd-pki ./etcd --generate-missing\n",
     cluster_adopt},
    {"cluster update", "", 0, 0, READ_OPTIONS | OPTION_BIT(FILE) | OPTION_BIT(DRY_RUN) | OPTION_BIT(IF_MATCH),
     OPTION_BIT(FILE), "change the inventory of a cluster",
     "Puts the file in the place of the one that the cluster was made with, and shows what that changes;\n"
     "--dry-run only shows it. The name, etcd.topology and keys.authorities stay. When it is done, no\n"
     "certificate is issued by the file before any more. Those that were stay valid: `ensign cluster\n"
     "certificates` shows what is missing, differs and is extra then. A node that is not in the file any\n"
     "more is refused, with its tokens; when it comes back under its name, what it had is good again.\n"
     "Of several who update a cluster at the same time one does, and the others exit with 6. --dry-run\n"
     "names a tag: with --if-match TAG nothing is changed that was changed by another since then.\n\n"
     "  ensign cluster update -f cluster.yaml --dry-run\n"
     "  ensign cluster update -f cluster.yaml\n"
     "  ensign cluster update -f cluster.yaml --if-match 7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d67728\n",
     cluster_update},
    {"cluster check", "", 0, 0, FITNESS_OPTIONS, OPTION_BIT(FILE), "look whether hosts are fit for a cluster",
     "Asks all hosts of the cluster file over SSH what they are like, and lists what stands between them\n"
     "and the cluster: system, clock, disks, names, addresses, ports, another cluster's files. It changes\n"
     "nothing there. The exit code is 1 when a host does not answer or has an error, and else 0; -o json\n"
     "also has all that the hosts said.\n\n"
     "What the cluster file is warned of stands first, without a node. An even number of etcd members,\n"
     "which survives no more failures than one member less, is an error, and with --force a warning.\n\n"
     "Your own ssh with its configuration, agent, jump hosts and known_hosts is used; an unknown host key\n"
     "is refused unless the cluster file has it (bootstrap.ssh.hostKeys). A user that is not root needs\n"
     "sudo; its password is asked for once. No service is needed: when one is named (--context, --server\n"
     "or in the environment), CAs that lie on the hosts are compared with the cluster's own. What was\n"
     "done is kept in $XDG_STATE_HOME/ensign/CLUSTER/HOST.log.\n\n"
     "  ensign cluster check -f cluster.yaml\n"
     "  ensign cluster check -f cluster.yaml --sudo-password-file password -o json > hosts.json\n",
     cluster_check},
    {"cluster plan", "", 0, 0, FITNESS_OPTIONS | OPTION_BIT(ONLY), OPTION_BIT(FILE),
     "show what would make a cluster of its hosts",
     "Looks at all hosts as `ensign cluster check` does, and lists what `ensign cluster apply` would do,\n"
     "stage by stage and host by host, and why. It changes nothing. What later stages need shows only\n"
     "when the earlier ones are done. What `apply` refuses without --force it refuses, too.\n\n"
     "  ensign cluster plan -f cluster.yaml\n"
     "  ensign cluster plan -f cluster.yaml --only etcd -o json\n",
     cluster_plan},
    {"cluster apply", "", 0, 0,
     FITNESS_OPTIONS | OPTION_BIT(ONLY) | OPTION_BIT(DRY_RUN) | OPTION_BIT(KUBECONFIG) | OPTION_BIT(USER) |
         OPTION_BIT(GROUP) | OPTION_BIT(LIFETIME),
     OPTION_BIT(FILE), "make a cluster of its hosts",
     "Checks the hosts, then does what is not done yet: packages, kernel and container runtime; ensign;\n"
     "certificates (by join tokens, which go over standard input); etcd; the load balancer; kubeadm init\n"
     "on the first control plane, kubeadm join on the others, one at a time; the network of pods; workers\n"
     "and labels; agents. After each stage it waits until what the next one stands on is healthy. Hosts\n"
     "of a stage are worked on together. A stage that fails stops it, and tells what the host logged;\n"
     "run again it goes on where it was, also after it was killed. Where all is done it changes nothing.\n"
     "After `ensign cluster update` it brings the changed file to a cluster that runs: another load\n"
     "balancer or endpoint, and kubeadm's settings, to one control plane after the other.\n\n"
     "The service has the cluster already (`ensign cluster create`), and an operator's context is\n"
     "enough. Nobody joins by a bootstrap token. --only takes one of the stages prepare, ensign, enrol,\n"
     "etcd, load-balancer, init, control-planes, network, workers, agents, or a host. --kubeconfig also\n"
     "gets one for this machine: of a user (--user, --group), or, for an admin, of the cluster's own.\n"
     "An even number of etcd members survives no more failures than one member less, and is refused\n"
     "unless --force is given. It counts what the file says: a cluster with two, whose file has a third\n"
     "by now, goes on.\n\n"
     "  ensign cluster apply -f cluster.yaml\n"
     "  ensign cluster apply -f cluster.yaml --dry-run\n"
     "  ensign cluster apply -f cluster.yaml --only workerone\n"
     "  ensign cluster apply -f cluster.yaml --kubeconfig ~/.kube/config --user jane --group manager\n",
     cluster_apply},
    {"cluster upgrade", "", 0, 0,
     HOSTS_OPTIONS | OPTION_BIT(TO) | OPTION_BIT(FORCE) | OPTION_BIT(DRAIN_FORCE) | OPTION_BIT(DRAIN_TIMEOUT) |
         OPTION_BIT(DRY_RUN),
     OPTION_BIT(FILE) | OPTION_BIT(TO), "bring another version of Kubernetes to a cluster, node by node",
     "The first control plane, the other control planes, the workers, one after the other: kubeadm's\n"
     "package, kubeadm upgrade (without certificates, which it has no keys for), drain, the packages of\n"
     "kubelet and kubectl, uncordon. Before it begins all hosts have to be healthy, and the version one\n"
     "minor up at most; a node is left only when it is Ready with the new version. What fails stops it,\n"
     "and run again it goes on, also after it was killed. Nodes that have the version are left alone,\n"
     "unless --force is given. A node that you have cordoned stays so.\n\n"
     "Packages come from where bootstrap.packages says, which for another minor version mostly is\n"
     "another repository: the cluster file may differ from the service's in that and in\n"
     "kubernetesVersion. Where the operator brings them (source: present), kubeadm, kubelet and kubectl\n"
     "of the version have to be on all nodes before.\n\n"
     "Certificates come last: those of the old version are good for the new one, and not the other way\n"
     "round. So the service keeps the old kubernetesVersion until this says that it may have the new one\n"
     "(`ensign cluster update`); agents then replace what differs.\n\n"
     "Draining deletes what pods have in emptyDir volumes. It does not delete pods that nothing makes\n"
     "again, and waits for PodDisruptionBudgets: what stands in the way is told, and the node takes pods\n"
     "again.\n\n"
     "  ensign cluster upgrade --to 1.32.4 -f cluster.yaml --dry-run\n"
     "  ensign cluster upgrade --to 1.32.4 -f cluster.yaml\n"
     "  ensign cluster upgrade --to 1.32.4 -f cluster.yaml --drain-force --drain-timeout 15m\n",
     cluster_upgrade},
    {"cluster status", "", 0, 0, HOSTS_OPTIONS | OPTION_BIT(ONLY), OPTION_BIT(FILE),
     "show how the hosts of a cluster are",
     "Asks each host once for what the stages of `ensign cluster apply` wait for: HEALTH is ok, or what\n"
     "was expected and what was seen. CERTIFICATES says how many are, as the service has them, or the\n"
     "first that is not ok (`ensign cluster certificates` has all). TO DO is the first step that `apply`\n"
     "would do there, and WHY. The exit code is 1 when a host is not healthy.\n\n"
     "  ensign cluster status -f cluster.yaml\n"
     "  ensign cluster status -f cluster.yaml -o json\n",
     cluster_status},
    {"cluster reset", "", 0, 0,
     OPTION_BIT(FILE) | OPTION_BIT(SSH_CONFIG) | OPTION_BIT(SUDO_PASSWORD_FILE) | OPTION_BIT(PARALLEL) |
         OPTION_BIT(HOST) | OPTION_BIT(YES),
     OPTION_BIT(FILE), "take hosts back from a cluster",
     "On all hosts, or with --host on one: kubeadm reset, etcd and load balancer stopped, the data of\n"
     "etcd, the certificates with their keys and what `ensign cluster apply` wrote removed. Packages and\n"
     "the kernel's settings stay. Nothing is asked of the service, and what was issued stays valid until\n"
     "it is revoked. A member of etcd or a node that others still count on has to be removed there.\n\n"
     "  ensign cluster reset -f cluster.yaml --host workerone --yes\n"
     "  ensign cluster reset -f cluster.yaml --yes\n",
     cluster_reset},
    {"cluster remove", "NODE", 1, 1,
     HOSTS_OPTIONS | OPTION_BIT(LOST) | OPTION_BIT(FORCE) | OPTION_BIT(REASON) | OPTION_BIT(YES), OPTION_BIT(FILE),
     "take a node out of a running cluster",
     "Drains it, removes its member from etcd, takes the host back as `ensign cluster reset` does, deletes\n"
     "the node, and revokes its certificates and its identity (--reason, else cessationOfOperation). With\n"
     "--lost the host is gone for good: it is not asked, and revoked first of all. Without --yes the steps\n"
     "are only shown. Pods that nothing would start again elsewhere are in the way of it, unless --force\n"
     "ends them. The cluster file still has the node; when it is taken out of it, `ensign cluster update`\n"
     "and `ensign cluster apply` have load balancers and control planes forget it. Where another host\n"
     "takes its place under the same name, `ensign cluster apply` makes it a node at once. Run again,\n"
     "it goes on where it was.\n\n"
     "  ensign cluster remove workerone -f cluster.yaml\n"
     "  ensign cluster remove workerone -f cluster.yaml --yes\n"
     "  ensign cluster remove etcdtwo -f cluster.yaml --lost --yes\n",
     cluster_remove},
    {"cluster list", "", 0, 0, READ_OPTIONS, 0, "list the clusters",
     "  ensign cluster list\n"
     "  ensign cluster list -o name\n",
     cluster_list},
    {"cluster show", "CLUSTER", 1, 1, READ_OPTIONS, 0, "show a cluster and its inventory",
     "  ensign cluster show vagrant\n"
     "  ensign cluster show vagrant -o yaml\n",
     cluster_show},
    {"cluster certificates", "CLUSTER", 1, 1,
     READ_OPTIONS | OPTION_BIT(NODE) | OPTION_BIT(STATE_COVERAGE) | OPTION_BIT(THRESHOLD), 0,
     "show what should be on the nodes, what was issued, and what is in use",
     "A line for each certificate and kubeconfig that belongs on a node, with the newest valid\n"
     "certificate that was issued for it: ok, expiring (valid for less than --threshold), expired,\n"
     "retired (its CA is none that the cluster has now), differs (in its names, from what the cluster\n"
     "file says now), or missing. Valid certificates that nothing expects, of nodes that are gone for\n"
     "example, follow as extra. DEPLOYED is what the node's agent says of it: installed, served,\n"
     "waiting-restart (the server still presents the old one), not-served, failed, other (the node has\n"
     "another one, or none), silent (the agent was not heard of for an hour) or - (it never was); for the\n"
     "CRL of etcd: outdated. The exit code is 0 whatever it finds.\n\n"
     "  ensign cluster certificates vagrant\n"
     "  ensign cluster certificates vagrant --state missing\n"
     "  ensign cluster certificates vagrant --node masterone --threshold 60d -o wide\n",
     cluster_certificates},
    {"cluster kubeconfig", "CLUSTER", 1, 1,
     OPTIONS_SERVICE | OPTION_BIT(USER) | OPTION_BIT(LIFETIME) | OPTION_BIT(KUBECONFIG), OPTION_BIT(KUBECONFIG),
     "get a kubeconfig of the cluster's administrator",
     "For your own machine: kubeadm's group of administrators, who may do everything in the cluster.\n"
     "With --user NAME, the cluster's own audit log tells who it was. Only an admin of the service gets\n"
     "it. Run again with the same file it leaves alone what has more than a third of its life left.\n\n"
     "  ensign cluster kubeconfig vagrant --kubeconfig ~/.kube/vagrant\n"
     "  ensign cluster kubeconfig vagrant --user alice --lifetime 8h --kubeconfig alice.kubeconfig\n",
     cluster_kubeconfig},
    {"cluster release", "CLUSTER GROUP", 2, 2, READ_OPTIONS, 0, "give back the lease of a node that does not come back",
     "One member of etcd, and one control plane, restarts at a time: it holds the lease of its group, etcd\n"
     "or control-plane. One that does not come back, or comes back ill, blocks its group. Look after that\n"
     "node; when all is well, this lets the others go on.\n\n"
     "  ensign cluster release vagrant etcd\n",
     cluster_release_lease},
    {"etcd snapshot save", "[FILE]", 0, 1, ALONE_OPTIONS | OPTION_BIT(FORCE), OPTION_BIT(FILE),
     "copy what etcd has into a file",
     "Takes a snapshot on a member of etcd that is healthy, a follower where there is one, with the client\n"
     "certificate for health checks that is there, and brings it here: as FILE, or CLUSTER-TIME.db in\n"
     "this folder, with mode 0600, once its checksum has shown that it is whole. A file that exists is\n"
     "left alone without --force. The snapshot holds all Secrets of the cluster. No service is needed.\n\n"
     "etcdctl is the host's, or, where etcd runs in a pod, that of its image; etcd 3.6 needs etcdutl, too.\n\n"
     "  ensign etcd snapshot save -f cluster.yaml\n"
     "  ensign etcd snapshot save -f cluster.yaml /backup/vagrant.db -o json\n",
     etcd_snapshot_save},
    {"etcd snapshot restore", "FILE", 1, 1, ALONE_OPTIONS | OPTION_BIT(YES), OPTION_BIT(FILE),
     "make what is in a file etcd's data again",
     "Without --yes: shows what would be done. With it: makes new data of the snapshot on each member\n"
     "while all goes on; then stops API servers, controller managers and schedulers, and etcd; puts the new\n"
     "data in the place of the old, which are kept beside them (DATADIR.before-restore-TIME); starts all\n"
     "members together, as a new cluster; compares what each has; and starts all else again, also the\n"
     "kubelets and what runs in kube-system, which have seen later revisions. All hosts have to answer.\n"
     "Pods go on running, but for those that the snapshot does not know.\n\n"
     "A file that is cut or damaged is refused before anything is touched, and so is a disk without room\n"
     "for the snapshot, twice, and 128 MiB. Interrupted, the same command goes on; until it has, `ensign\n"
     "cluster apply` does nothing. Members that have lost their data get them, too.\n\n"
     "  ensign etcd snapshot restore -f cluster.yaml vagrant.db\n"
     "  ensign etcd snapshot restore -f cluster.yaml vagrant.db --yes\n",
     etcd_snapshot_restore},
    {"rotate status", "[ID]", 0, 1, READ_OPTIONS | OPTION_BIT(CLUSTER) | OPTION_BIT(WAIT), 0,
     "show how far a rotation is",
     "The places of one rotation; without ID, the rotations of the cluster, the newest first. With --wait,\n"
     "as `ensign rotate --wait`.\n\n"
     "  ensign rotate status --cluster vagrant\n"
     "  ensign rotate status 0cf550be29b1c157b379fe6b2bde77ef --cluster vagrant --wait\n",
     rotate_status},
    {"rotate", "[CLUSTER]", 0, 1,
     READ_OPTIONS | OPTION_BIT(NODE) | OPTION_BIT(PROFILE) | OPTION_BIT(EXPIRING_WITHIN) | OPTION_BIT(SERIAL) |
         OPTION_BIT(CHANGED) | OPTION_BIT(WAIT),
     0, "have certificates replaced before their time",
     "Marks the certificates that are in use, all of the cluster or those that every option chooses: the\n"
     "agents of their nodes renew them, with new keys. With --wait, each step is a line: renewed,\n"
     "installed, waiting-restart while the server still presents the old one, served, or failed with the\n"
     "cause. It goes on without this program, too. Exits with 0 when all are installed and served, 1 when\n"
     "one has failed, 7 when --timeout is over before. CLUSTER may be left out where there is one.\n\n"
     "  ensign rotate vagrant --wait --timeout 1h\n"
     "  ensign rotate vagrant --node masterone --profile apiserver\n"
     "  ensign rotate vagrant --changed\n",
     rotate_create},
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
    {"enroll", "", 0, 0,
     OPTIONS_SERVICE | OPTION_BIT(PROFILE) | OPTION_BIT(OUT) | OPTION_BIT(ROOT) | OPTION_BIT(FORCE) |
         OPTION_BIT(LIFETIME),
     0, "get this node's certificates with a join token",
     "Makes the keys here, asks for the certificates, checks the answers, and keeps each with its key,\n"
     "chain and CA bundle as one set in /etc/ensign/node/PROFILE. From these sets it puts all that the\n"
     "node's roles need where kubeadm and etcd look for it: certificates, keys, CA bundles, kubeconfigs;\n"
     "with --root DIR below DIR. A file there that is not from ensign is left alone, and so is all else\n"
     "then; --force replaces it. What the cluster's own CA issued for the same place, as before the\n"
     "cluster was adopted, is replaced, unless a name would be lost with it. With --out DIR the sets lie\n"
     "in DIR, and unless --root is given nothing but the sets is written.\n\n"
     "Without --profile: all that the node's roles need. Run again it completes what was interrupted,\n"
     "leaves alone what is complete, and replaces what was revoked, by new keys; for that, and where the\n"
     "cluster's CA is another one now, a new token is needed. It also writes a context beside the sets, for later "
     "commands on this node.\n\n"
     "A control plane gets what is the same on all of them, too: the service accounts' key (where one is\n"
     "in use already, that one) and, with etcd.apiserverClient: shared in the cluster file, the API\n"
     "servers' certificate for etcd. When no other has sealed them for this node within --timeout, the exit\n"
     "code is 7 and all else is there: see `ensign help shared-key sync`.\n\n"
     "  ensign enroll --server https://ca:8443 --token-file etcdone.token\n"
     "  ensign enroll --server https://ca:8443 --token-file - --root /mnt/image\n"
     "  ensign enroll --server https://ca:8443 --token-file cptwo.token --timeout 10m\n"
     "  ensign enroll --server https://ca:8443 --token-file - --profile etcd-member --out sets\n",
     enroll},
    {"agent", "", 0, 0,
     OPTION_BIT(ONCE) | OPTION_BIT(OUT) | OPTION_BIT(ROOT) | OPTION_BIT(CONFIG) | OPTION_BIT(METRICS_FILE), 0,
     "keep this node's certificates alive",
     "On a node that is enrolled, for as long as it lives (ensign-agent.service), or with --once for one\n"
     "turn (ensign-agent.timer). Renews what has a third of its life left, or when the service asks for\n"
     "it, by a new key each; installs it; restarts who reads it only at the start, control planes and\n"
     "etcd members one at a time; looks over TLS whether the new one is shown; and tells the service.\n"
     "Fetches the CRL of etcd, and hands on what control planes share. A file that is not from ensign, or\n"
     "was edited, is left alone. What failed is tried again, later each time.\n\n"
     "/etc/ensign/agent.yaml can say other commands, checks and lifetimes:\n\n"
     "  apiVersion: ensign/v1\n"
     "  kind: Agent\n"
     "  lifetime: 720h\n"
     "  hooks: {kubelet: none, etcd-ca: {command: [systemctl, restart, etcd3], timeout: 2m}}\n"
     "  check: {apiserver: \"127.0.0.1:6443\"}\n"
     "  health: {apiserver: none}\n\n"
     "The exit code of --once is 5 when something needs a new join token and 7 when it waits for others.\n\n"
     "  ensign agent\n"
     "  ensign agent --once --metrics-file /var/lib/node_exporter/ensign.prom\n",
     agent},
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
         OPTION_BIT(KEY_ALGORITHM) | OPTION_BIT(DRY_RUN) | OPTION_BIT(OUT) | OPTION_BIT(USER) | OPTION_BIT(GROUP),
     OPTION_BIT(CLUSTER) | OPTION_BIT(PROFILE), "ask for one certificate",
     "Sends a certification request, or makes one with --key FILE (a new key of --key-algorithm when\n"
     "there is no such file), and writes the certificate to standard output or --out FILE. --dry-run shows what would\n"
     "be issued, or every reason why not.\n\n"
     "  ensign certificate request --cluster vagrant --profile etcd-member --node etcdone --csr etcd.csr\n"
     "  ensign certificate request --cluster vagrant --profile apiserver-etcd-client --node cpone \\\n"
     "      --key client.key --key-algorithm rsa-3072 --out client.crt\n"
     "  ensign certificate request --cluster vagrant --profile etcd-member --node etcdone --csr etcd.csr --dry-run\n"
     "  ensign certificate request --cluster vagrant --profile user --user jane --group manager --csr jane.csr\n",
     certificate_request},
    {"certificate check-expiration", "", 0, 0, READ_OPTIONS | OPTION_BIT(CLUSTER) | OPTION_BIT(THRESHOLD), 0,
     "show what expires, as kubeadm does, for whole clusters",
     "The table of kubeadm certs check-expiration for all nodes of a cluster, and then its CAs. The exit\n"
     "code is 5 when something expires within --threshold, has expired, is missing, differs from the\n"
     "cluster file or is not in use where it belongs (see `ensign help cluster certificates`), and else 0.\n"
     "Without --cluster: all clusters, and the service's own certificate and identities. Time is the\n"
     "service's, not that of this machine. EXTERNALLY MANAGED is no: Ensign has the keys of the CAs;\n"
     "kubeadm on the nodes, which has not, says yes.\n\n"
     "  ensign certificate check-expiration --cluster vagrant\n"
     "  ensign certificate check-expiration --threshold 14d -o json > expiry.json\n",
     certificate_check_expiration},
    {"certificate revoke", "[SERIAL]", 0, 1,
     READ_OPTIONS | OPTION_BIT(CLUSTER) | OPTION_BIT(NODE) | OPTION_BIT(PROFILE) | OPTION_BIT(USER) |
         OPTION_BIT(REASON) | OPTION_BIT(YES),
     OPTION_BIT(REASON), "revoke certificates",
     "One, or with --yes all valid ones of a node, a profile or a user; all that is given must match.\n"
     "A node alone loses its identity and its join tokens, too, but takes nothing from others that it\n"
     "shares with them. The CRL that lists them is there when this returns; who checks it learns of it\n"
     "with its next copy (`ensign ca crl`). What is revoked is not renewed: with a new token, `ensign\n"
     "enroll` on the node makes it anew. With keyCompromise nothing is issued for its key any more,\n"
     "whoever asks. What control planes share is revoked by its serial or profile, and an admin has it made\n"
     "anew with `ensign shared-key reset`. The service itself refuses a revoked identity at once.\n\n"
     "  ensign certificate revoke 0cf548e069c1e9f49a2a7b9ca7aa7c161cbcfea9 --reason keyCompromise\n"
     "  ensign certificate revoke --cluster vagrant --node etcdtwo --reason cessationOfOperation --yes\n"
     "  ensign certificate revoke --cluster vagrant --user jane --reason privilegeWithdrawn --yes\n",
     certificate_revoke},
    {"ca show", "", 0, 0, READ_OPTIONS | OPTION_BIT(CLUSTER), OPTION_BIT(CLUSTER), "show the CAs of a cluster",
     "  ensign ca show --cluster vagrant -o wide\n", ca_show},
    {"ca bundle", "", 0, 0, OPTIONS_SERVICE | OPTION_BIT(CLUSTER) | OPTION_BIT(AUTHORITY) | OPTION_BIT(OUT),
     OPTION_BIT(CLUSTER) | OPTION_BIT(AUTHORITY), "fetch the CA certificates of an authority",
     "  ensign ca bundle --cluster vagrant --authority etcd-ca --out etcd-ca.crt\n"
     "  ensign ca bundle --cluster ensign --authority service-ca\n",
     ca_bundle},
    {"ca crl", "", 0, 0,
     OPTIONS_SERVICE | OPTION_BIT(CLUSTER) | OPTION_BIT(AUTHORITY) | OPTION_BIT(OUT) | OPTION_BIT(FORMAT),
     OPTION_BIT(CLUSTER) | OPTION_BIT(AUTHORITY), "fetch the CRL of an authority",
     "The list of the revoked certificates, which is good for 7 days and made anew when half of that is\n"
     "over, and with each revocation. etcd before 3.6 wants DER (--client-crl-file, --peer-crl-file); it\n"
     "reads the file at each connection, and refuses everybody while there is none that it can read.\n"
     "Connections that are open it leaves alone. A member of etcd that is revoked is only out when it is\n"
     "removed, too (etcdctl member remove): the others connect to it, and look at no CRL then.\n\n"
     "  ensign ca crl --cluster vagrant --authority etcd-ca --format der --out etcd-ca.crl\n",
     ca_crl},
    {"ca import", "", 0, 0,
     READ_OPTIONS | OPTION_BIT(CLUSTER) | OPTION_BIT(AUTHORITY) | OPTION_BIT(CERTIFICATE) | OPTION_BIT(KEY) |
         OPTION_BIT(PASSPHRASE_FILE),
     OPTION_BIT(CLUSTER) | OPTION_BIT(AUTHORITY) | OPTION_BIT(CERTIFICATE) | OPTION_BIT(KEY),
     "use an existing CA for a cluster",
     "Puts a CA that exists in the place of one that has not issued anything yet. The key may be PKCS#8\n"
     "or the form of openssl (RSA or EC PRIVATE KEY), encrypted or not; it leaves this program sealed to\n"
     "the service's signer. The bundle then has the imported certificate first, and the other behind it.\n"
     "The same again changes nothing. To take over a running cluster use \"ensign cluster adopt\".\n\n"
     "  ensign ca import --cluster vagrant --authority kubernetes --certificate ca.crt --key ca.key\n"
     "  ensign ca import --cluster vagrant --authority etcd-ca --certificate ca.pem --key ca-key.pem \\\n"
     "      --passphrase-file passphrase\n",
     ca_import},
    {"ca reissue", "", 0, 0, READ_OPTIONS | OPTION_BIT(CLUSTER) | OPTION_BIT(AUTHORITY),
     OPTION_BIT(CLUSTER) | OPTION_BIT(AUTHORITY), "give a CA a certificate that may sign CRLs",
     "For a CA that was made without cRLSign, as kubeadm's are: another certificate with the same name,\n"
     "key, key identifier and end, and a new serial. Nothing that the CA signed changes, and either\n"
     "certificate verifies all of it. The bundle then has both, the new one first: kubeadm looks at the\n"
     "first only, and the hash of the key that it pins is the same. A node that runs needs nothing; to\n"
     "have the new bundle there, enroll it with a new token. A CA with cRLSign is left alone.\n\n"
     "  ensign ca reissue --cluster vagrant --authority kubernetes\n",
     ca_reissue},
    {"identity create", "NAME", 1, 1, OPTIONS_SERVICE | OPTION_BIT(ROLE) | OPTION_BIT(LIFETIME) | OPTION_BIT(OUT),
     OPTION_BIT(ROLE), "make an identity for a person or a program",
     "Makes a key here and writes a context file (NAME.context, or --out FILE; mode 0600) with which\n"
     "that person can use ensign in this role: for 2160h, or what --lifetime says, up to 8760h.\n\n"
     "  ensign identity create alice --role operator --out alice.context\n"
     "  ensign identity create backup --role auditor --lifetime 8760h\n",
     identity_create},
    {"user create", "NAME", 1, 1,
     OPTIONS_SERVICE | OPTION_BIT(CLUSTER) | OPTION_BIT(GROUP) | OPTION_BIT(LIFETIME) | OPTION_BIT(KUBECONFIG),
     OPTION_BIT(CLUSTER) | OPTION_BIT(KUBECONFIG), "make a kubeconfig for a user of a cluster",
     "Makes a key here, fetches a certificate with this name and these groups, and writes both into a\n"
     "kubeconfig of mode 0600. What the user may do, bindings of RBAC to the name or to the groups say;\n"
     "the groups must stand in the cluster file (users: {groups: [manager]}). Kubernetes cannot take a\n"
     "certificate back before it expires: 720h, or what --lifetime says, up to 8760h. Run again with the\n"
     "same file it completes what was interrupted, leaves alone what has more than a third of its life\n"
     "left, and never replaces another user's file.\n\n"
     "  ensign user create jane --cluster vagrant --group manager --kubeconfig jane.kubeconfig\n"
     "  kubectl create clusterrolebinding managers --clusterrole=view --group=manager\n"
     "  kubectl create rolebinding jane-edits --clusterrole=edit --user=jane --namespace=shop\n"
     "  kubectl --kubeconfig jane.kubeconfig get pods\n",
     user_create},
    {"shared-key sync", "", 0, 0, HERE_OPTIONS, 0, "take, make or hand on the keys that control planes share",
     "On a control plane that is enrolled. The first one makes the key; whoever has it seals it for the\n"
     "others; the service passes on what it cannot open. When nobody has sealed it for this node within\n"
     "--timeout the exit code is 7, and the message says where to run this command. The key is then\n"
     "kept in /etc/ensign/node/shared and put where kubeadm looks; with --root DIR both below DIR. With\n"
     "--out DIR it is kept in DIR/shared, and unless --root is given only there. A file that is not from\n"
     "ensign is left alone; --force replaces it.\n\n"
     "  ensign shared-key sync\n"
     "  ensign shared-key sync --timeout 5m\n",
     shared_key_sync},
    {"shared-key show", "", 0, 0, READ_OPTIONS | OPTION_BIT(CLUSTER) | OPTION_BIT(NAME), OPTION_BIT(CLUSTER),
     "show who has a key that control planes share",
     "  ensign shared-key show --cluster vagrant\n"
     "  ensign shared-key show --cluster vagrant --name apiserver-etcd-client -o wide\n",
     shared_key_show},
    {"shared-key renew", "NAME", 1, 1, HERE_OPTIONS, 0, "renew a certificate that control planes share",
     "On a control plane that has it: with a new key, which is sealed for the others; they take it by\n"
     "`ensign shared-key sync`. Until then they use what they have.\n\n"
     "  ensign shared-key renew apiserver-etcd-client\n",
     shared_key_renew},
    {"shared-key reset", "NAME", 1, 1, OPTIONS_SERVICE | OPTION_BIT(CLUSTER) | OPTION_BIT(YES), OPTION_BIT(CLUSTER),
     "have a key that is lost made anew",
     "For a key that no control plane has any more, or that somebody has who should not, and for one whose\n"
     "certificate was revoked: the next control plane that asks makes another one. After that of sa, every token of a "
     "service account is refused.\n"
     "Try `ensign recovery open` first. Only an admin of the service may do it; says what it means and\n"
     "asks for the name, unless --yes is given.\n\n"
     "  ensign shared-key reset sa --cluster vagrant\n",
     shared_key_reset},
    {"recovery keygen", "FILE", 1, 1, 0, 0, "make the key that opens what control planes share",
     "Writes the private key to FILE, which is then kept offline, and prints the public key for the\n"
     "cluster file: recovery: {publicKey: …}.\n\n"
     "  ensign recovery keygen recovery.key\n",
     recovery_keygen},
    {"recovery open", "", 0, 0,
     OPTIONS_SERVICE | OPTION_BIT(CLUSTER) | OPTION_BIT(NAME) | OPTION_BIT(KEY_FILE) | OPTION_BIT(OUT),
     OPTION_BIT(CLUSTER) | OPTION_BIT(KEY_FILE) | OPTION_BIT(OUT), "open a shared key with the recovery key",
     "As an admin. Put into DIR/shared of a control plane's /etc/ensign/node, `ensign shared-key sync`\n"
     "hands it on from there.\n\n"
     "  ensign recovery open --cluster vagrant --name sa --key-file recovery.key --out sa.key\n",
     recovery_open},
    {"audit checkpoint", "", 0, 0, OPTIONS_SERVICE, 0, "fetch the signed checkpoint of the audit log",
     "Prints it (C2SP tlog-checkpoint), its signature checked. The one that `ensign audit verify` has\n"
     "remembered is shown to the service: when its log does not have it, the service issues nothing any\n"
     "more, and this fails.\n\n"
     "  ensign audit checkpoint\n",
     audit_checkpoint},
    {"audit verify", "", 0, 0, READ_OPTIONS, 0, "prove that the audit log was not changed",
     "Downloads the log, recomputes its tree, and checks it against the signed checkpoint, against the\n"
     "checkpoint of the last run ($XDG_STATE_HOME/ensign/checkpoints) and against the list of\n"
     "certificates: nothing was changed, cut off or hidden. When the log is older than what was seen, the\n"
     "service is shown that, and issues nothing until an admin has acknowledged it.\n\n"
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
    {"restore show", "", 0, 0, READ_OPTIONS, 0, "show whether the database is an older copy",
     "STATE is restored, when `ensignd restore` made it of a backup; rolled_back, when somebody has shown\n"
     "the service a checkpoint that its log does not have; or none. ENTRIES and ROOT are of the log as it\n"
     "was at TIME; SHOWN is how many entries it has had, as far as anybody has shown. In the first two\n"
     "states nothing is issued.\n\n"
     "  ensign restore show\n",
     restore_show},
    {"restore acknowledge", "ENTRIES", 1, 1, READ_OPTIONS, 0, "say that what an older copy lacks is known",
     "What came after these ENTRIES (see `ensign restore show`) is not in the database: certificates that\n"
     "are in use may be unknown to it, tokens that were used or revoked may be good again. Let everybody\n"
     "who has verified the log run `ensign audit verify` before, so that it is known how much is missing;\n"
     "a later checkpoint than was shown stops issuance again. If a newer database is still there, stop the\n"
     "service and put that back instead.\n\n"
     "  ensign restore acknowledge 1204\n",
     restore_acknowledge},
    {"whoami", "", 0, 0, READ_OPTIONS, 0, "show as whom the service knows you",
     "  ensign whoami --context alice.context\n", whoami},
    {"completion", "SHELL", 1, 1, 0, 0, "print what makes bash or zsh complete ensign's words",
     "For the shell that runs, and for all that are started later:\n\n"
     "  source <(ensign completion bash)\n"
     "  ensign completion bash > ~/.local/share/bash-completion/completions/ensign\n"
     "  ensign completion zsh > ~/.zfunc/_ensign   # with fpath+=~/.zfunc before compinit in ~/.zshrc\n",
     completion_run},
    {"version", "", 0, 0, 0, 0, "show the version", "  ensign version\n", version_run},
    {"help", "[COMMAND]", 0, 3, 0, 0, "explain a command",
     "  ensign help\n"
     "  ensign help token\n"
     "  ensign help token create\n",
     help_run},
    {0},
};
