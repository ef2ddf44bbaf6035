# What is done on a host. A step is a function; before it come `begin`, the files that belong to it and variables, after
# it `end`. Each step can be run again, whatever became of an earlier run: a mark that lies there from `begin` to `end`
# tells that one was interrupted. Waits have deadlines; who fails says what was expected and what the host itself logged.
set -eu
LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
unset KUBECONFIG || true
umask 022
marks=/var/lib/ensign-apply
changes=
admin=/etc/kubernetes/admin.conf
manifests=/etc/kubernetes/manifests
identity=/etc/ensign/node/kubelet

have() { command -v "$1" >/dev/null 2>&1; }
fail() { printf '%s\n' "$*" >&2; exit 1; }
now() { cut -d. -f1 /proc/uptime; }

# UNIT: what it said last of failures, or else whatever it said
last_words() {
    words=$(journalctl -u "$1" -n 300 --no-pager -o cat 2>/dev/null | grep -iE 'fail|refus|denied|panic' | tail -n 6)
    [ -n "$words" ] || words=$(journalctl -u "$1" -n 8 --no-pager -o cat 2>/dev/null || true)
    [ -z "$words" ] || printf 'the unit %s said:\n%s\n' "$1" "$words" >&2
}

# SECONDS: how long it was waited for, in words
within() { [ -n "$hurry" ] || printf ' within %s s' "$1"; }

# SECONDS COMMAND…: runs it again and again until it ends with 0
await() {
    await_end=$(($(now) + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ -z "$hurry" ] && [ "$(now)" -lt "$await_end" ] || return 1
        sleep 0.25
    done
}

# NAME: one step at a time on a host; what an interrupted `apply` left running here is waited for
begin() {
    exec 9>/run/ensign-apply.lock
    flock -w 300 9 || fail "another \`ensign cluster apply\` has been at work on this host for 5 minutes"
    install -d -m 0700 "$marks"
    mark=$marks/$1.begun
    resumed=
    [ ! -e "$mark" ] || resumed=yes
    : > "$mark"
    sync "$marks"
}

end() {
    rm -f "$mark"
    [ ! -d "$marks" ] || sync "$marks" # a host that was taken back has none
}

# PATH MODE: what comes in base64 on standard input
put() {
    put_folder=$(dirname "$1")
    put_new=$put_folder/.ensign-new
    mkdir -p "$put_folder"
    rm -f "$put_new"
    (umask 077; base64 -d > "$put_new")
    chmod "$2" "$put_new"
    if [ ! -L "$1" ] && cmp -s "$put_new" "$1" && [ "$(stat -c %a:%u:%g "$1")" = "$(stat -c %a:%u:%g "$put_new")" ]; then
        rm -f "$put_new"
        return 0
    fi
    sync "$put_new"
    mv -f "$put_new" "$1"
    sync "$put_folder"
    changes="$changes $1"
    echo "wrote $1"
}

# PATH…: whether one of them was written, perhaps by a run that got no further
changed() {
    [ -z "$resumed" ] || return 0
    for path; do
        case "$changes " in *" $path "*) return 0 ;; esac
    done
    return 1
}

# UNIT PATH…: runs from now on and after each boot, with these files as they are now
serve() {
    serve_unit=$1
    shift
    systemctl enable -q "$serve_unit"
    if changed "$@"; then systemctl restart "$serve_unit"; else systemctl start "$serve_unit"; fi ||
        { last_words "$serve_unit"; fail "$serve_unit does not start"; }
}

# ---- preparation ----

# Packages start their services as soon as they are there; these are to wait for their configuration.
installing() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=120 "$@" ||
        fail "apt-get $1 failed: see its lines above, and the package sources of this host"
}

step_packages() {
    masked=
    for unit in etcd haproxy nginx keepalived; do
        systemctl cat "$unit.service" >/dev/null 2>&1 || masked="$masked $unit.service"
    done
    [ -z "$masked" ] || systemctl mask -q --runtime $masked
    installing update
    installing install --no-install-recommends --allow-change-held-packages $packages
    [ -z "$masked" ] || systemctl unmask -q --runtime $masked
    systemctl daemon-reload
    [ -z "$held" ] || apt-mark hold $held >/dev/null
    for program in $programs; do
        have "$program" || fail "there is no $program, and the cluster file has it come from nowhere (bootstrap.packages)"
    done
}

no_swap() {
    [ -z "$(tail -n +2 /proc/swaps)" ] || swapoff -a || fail "swapoff failed: is there too little memory for what is in swap?"
    swap_line='^[^#[:space:]]\S*\s+\S+\s+swap\s'
    ! grep -qsE "$swap_line" /etc/fstab || sed -i.before-ensign -E "/$swap_line/ s/^/# ensign: no swap for the kubelet: /" /etc/fstab
    for unit in $(systemctl list-unit-files --no-legend --type=swap 2>/dev/null | cut -d' ' -f1); do
        systemctl mask -q "$unit"
    done
}

step_host() {
    no_swap
    for module in $modules; do
        modprobe "$module" 2>/dev/null || [ -d "/sys/module/$module" ] || echo "the kernel has no module $module" >&2
    done
    sysctl -q -p /etc/sysctl.d/90-ensign.conf || fail "the kernel did not take /etc/sysctl.d/90-ensign.conf"
    systemctl daemon-reload
    serve "$runtime" "$runtime_config"
    [ -S "$runtime_socket" ] || await 20 test -S "$runtime_socket" || {
        last_words "$runtime"
        fail "expected $runtime to listen on $runtime_socket within 20 s"
    }
    systemctl enable -q kubelet
    if systemctl is-active -q kubelet && changed /etc/default/kubelet; then systemctl restart kubelet; fi
}

step_ensign() {
    [ -f "$ensign_package" ] || fail "there is no ensign here: install it, or name its .deb in the cluster file (bootstrap.packages.ensign)"
    dpkg -i "$ensign_package" >/dev/null 2>&1 || # what it needs is there already, mostly
        installing install -f --no-install-recommends --allow-downgrades "$ensign_package"
}

# ---- certificates ----

# The token comes on standard input of the function. Who waits long for what others have to seal (code 7) holds all of them
# up: they do it next. A service that is busy (code 4) is asked again.
step_enrol() {
    read -r token
    for pause in 0 2 5 10; do
        sleep $pause
        status=0
        printf '%s\n' "$token" | ensign enroll --server "$server" --token-file - --timeout 3s || status=$?
        [ $status = 4 ] || break
    done
    [ $status = 0 ] || [ $status = 7 ] || exit $status
    end
    exit $status
}

step_share() {
    ensign shared-key sync --timeout 30s || exit $?
}

# ---- etcd and the load balancer ----

etcd_healthy() { curl -fsS --max-time 3 http://127.0.0.1:2381/health | grep -q '"health":"true"'; }

# On standard input: what a running etcd may have to be restarted for. The first members it reads at its first start alone.
etcd_settings() { grep '^ETCD_' | grep -v '^ETCD_INITIAL_' | sort; }

etcd_outdated() {
    etcd_pid=$(systemctl show -p MainPID --value etcd)
    changed /etc/systemd/system/etcd.service.d/ensign.conf ||
        [ "$(tr '\0' '\n' < "/proc/$etcd_pid/environ" | etcd_settings)" != "$(etcd_settings < /etc/default/etcd)" ]
}

# The unit counts as started when there is a quorum, which needs the others.
step_etcd() {
    install -d -o etcd -g etcd -m 0700 "$etcd_data_dir"
    systemctl daemon-reload
    systemctl enable -q etcd
    if ! systemctl is-active -q etcd; then
        [ -z "$etcd_runs" ] || [ -d "$etcd_data_dir/member" ] || member_add
        systemctl reset-failed etcd 2>/dev/null || true
        systemctl start --no-block etcd
    elif etcd_outdated; then
        systemctl restart etcd || true
        gate_etcd
    fi
    [ -z "$etcd_runs" ] || member_promote
}

gate_etcd() {
    await 90 etcd_healthy && return 0
    last_words etcd
    fail "expected etcd to be healthy$(within 90): http://127.0.0.1:2381/health says: $(curl -sS --max-time 3 http://127.0.0.1:2381/health 2>&1)"
}

listens() { ss -Hltn "sport = :$1" | grep -q .; }

step_haproxy() {
    haproxy -c -q -f /etc/haproxy/haproxy.cfg || fail "haproxy does not take its configuration"
    systemctl enable -q haproxy
    if changed /etc/haproxy/haproxy.cfg; then systemctl reload-or-restart haproxy; else systemctl start haproxy; fi ||
        { last_words haproxy; fail "haproxy does not start"; }
}

step_nginx() {
    nginx -t -q || fail "nginx does not take its configuration"
    serve nginx /etc/nginx/nginx.conf
    serve keepalived /etc/keepalived/keepalived.conf
}

# The kubelet starts it, once there is one.
step_kube_vip() { :; }

gate_balancer() {
    await 20 listens "$endpoint_port" && return 0
    last_words haproxy
    last_words nginx
    fail "expected something to listen on port $endpoint_port$(within 20)"
}

# ---- control planes and workers ----

ok() { [ "$(curl -ksS --max-time 3 "$1")" = ok ]; }

# COMPONENT: what its newest container said last
container_words() {
    newest=$(ls -t /var/log/pods/kube-system_"$1"-*/"$1"/*.log 2>/dev/null | head -n 1)
    [ -z "$newest" ] || { printf 'the container %s said:\n' "$1"; tail -n 4 "$newest" | cut -c -300; } >&2
}

# NAME URL SECONDS [COMPONENT]
healthy() {
    await "$3" ok "$2" && return 0
    last_words kubelet
    [ -z "${4:-}" ] || container_words "$4"
    fail "expected $1 to be healthy$(within "$3"): $2 says: $(curl -ksS --max-time 3 "$2" 2>&1 | head -c 300)"
}

gate_kubelet() {
    healthy "the kubelet" http://127.0.0.1:10248/healthz 60
}

gate_control_plane() {
    gate_kubelet
    healthy "the API server" "https://$host_text:6443/livez" "$control_plane_timeout" kube-apiserver
    healthy "the controller manager" https://127.0.0.1:10257/healthz "$control_plane_timeout" kube-controller-manager
    healthy "the scheduler" https://127.0.0.1:10259/healthz "$control_plane_timeout" kube-scheduler
}

# What kubeadm's own interrupted run may have made or left running. Not "all": it may not stand beside what the
# configuration ignores.
leftovers() {
    for left in manifests manifests/kube-apiserver.yaml manifests/kube-controller-manager.yaml manifests/kube-scheduler.yaml \
        manifests/etcd.yaml kubelet.conf bootstrap-kubelet.conf pki/ca.crt; do
        case $left in manifests) printf Dir ;; *) printf File ;; esac
        printf 'Available--etc-kubernetes-%s,' "$(echo "$left" | tr / -)"
    done
    printf 'Port-%s,' 6443 10250 10257 10259 2379 2380
    printf 'DirAvailable-%s' "$(echo "$etcd_data_dir" | tr / -)"
}

kubeadm_run() {
    kubeadm_status=0
    kubeadm "$@" --config /etc/kubernetes/kubeadm.yaml ${resumed:+--ignore-preflight-errors="$(leftovers)"} 2>&1 ||
        kubeadm_status=$?
    [ $kubeadm_status = 0 ] || {
        last_words kubelet
        fail "kubeadm $1 failed: see its lines above"
    }
    sync -f /etc/kubernetes /var/lib/kubelet # it does not: a power cut could leave empty files where nothing is amiss
}

# KUBECONFIG: its server
server_of() { sed -n 's/^ *server: *"\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$1"; }

# kubeadm does not join as a node that is Ready, which the kubelet of an interrupted run is, and for 40 s that of a host
# that was taken back. A node may say of itself that it is not.
not_ready() {
    systemctl stop kubelet
    api=$(server_of /etc/kubernetes/kubelet.conf)
    curl -fsS --max-time 10 -o /dev/null --cacert $identity/ca.crt --cert $identity/tls.crt --key $identity/tls.key \
        -X PATCH -H 'Content-Type: application/strategic-merge-patch+json' \
        -d '{"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "Joining"}]}}' \
        "$api/api/v1/nodes/$own_name/status" 2>/dev/null || true # most often there is none yet
}

initialised() { [ -f $manifests/kube-apiserver.yaml ] && [ -f /var/lib/kubelet/config.yaml ]; }

# kubeadm finds the members of etcd by their pods. A kubelet that was there before the API server has tried in vain to show
# them, and tries again a minute later; one that starts does so at once.
member_shown() { kubectl --kubeconfig $admin -n kube-system get pod "etcd-$own_name"; }

show_member() {
    await 2 member_shown && return 0
    systemctl restart kubelet
    await 90 member_shown || { last_words kubelet; fail "expected the API server to have the pod etcd-$own_name within 90 s"; }
}

# Nobody joins by a token here, so that none is left behind.
step_init() {
    [ -n "$resumed" ] || ! initialised || return 0
    kubeadm_run init ${skip_phases:+--skip-phases="$skip_phases"}
    kubectl --kubeconfig $admin -n kube-system delete secret --field-selector type=bootstrap.kubernetes.io/token
    gate_control_plane
    [ -z "$stacked" ] || show_member
}

# The next may join while this one's pods start, which the gate waits for; but a member of etcd has to be well before
# another is added.
step_control_plane() {
    [ -n "$resumed" ] || ! initialised || return 0
    not_ready
    kubeadm_run join
    gate_kubelet
    [ -z "$stacked" ] || gate_etcd
}

step_worker() {
    [ -n "$resumed" ] || [ ! -f /var/lib/kubelet/config.yaml ] || return 0
    not_ready
    kubeadm_run join
    gate_kubelet
}

# ---- what makes nodes ready ----

step_bridge() {
    systemctl daemon-reload
    serve ensign-pod-routes /etc/systemd/system/ensign-pod-routes.service
}

step_manifest() {
    kubectl --kubeconfig $admin apply -f "$manifest" || fail "the API server did not take the manifest of the CNI"
}

# A word a line.
step_command() {
    while IFS= read -r word; do set -- "$@" "$word"; done < "$command"
    KUBECONFIG=$admin "$@" 2>&1 || fail "the command of the CNI failed: see its lines above"
}

# Lines of NODE KEY=VALUE…
step_labels() {
    while read -r node words; do
        kubectl --kubeconfig $admin label --overwrite node "$node" $words || fail "$node did not get its labels: $words"
    done < "$labels"
}

nodes_ready() {
    for node in $nodes; do
        kubectl --kubeconfig $admin get node "$node" \
            -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' | grep -qx True || return 1
    done
}

# Without it a node is Ready, and its pods reach no Service. Where there is none of kubeadm's, nothing is waited for.
proxies_ready() {
    counts=$(kubectl --kubeconfig $admin -n kube-system get daemonset kube-proxy --ignore-not-found \
        -o 'jsonpath={.status.numberReady} of {.status.desiredNumberScheduled}') || return 1
    [ -z "$counts" ] || [ "${counts% of *}" = "${counts#* of }" ]
}

gate_nodes() {
    if await 180 nodes_ready; then
        await 120 proxies_ready && return 0
        fail "expected kube-proxy to be ready on all nodes$(within 120): it is on $counts"
    fi
    kubectl --kubeconfig $admin get nodes -o wide >&2 || true
    kubectl --kubeconfig $admin get nodes -o 'jsonpath={range .items[*]}{.metadata.name}{": "}{.status.conditions[?(@.type=="Ready")].message}{"\n"}{end}' >&2 || true
    fail "expected all nodes to be Ready$(within 180)"
}

# ---- nodes that leave ----

# NODE [OPTION]: its pods go elsewhere, but for those of DaemonSets
drain() {
    kubectl --kubeconfig $admin drain "$@" --ignore-daemonsets --delete-emptydir-data --timeout "${drain_seconds:-300}s" 2>&1 ||
        fail "$1 is not drained: see the lines above for the pods that stand in the way"
}

# Standard input: NODE [force]
step_drain() {
    read -r drained force
    known=$(kubectl --kubeconfig $admin get node "$drained" --ignore-not-found -o name) || fail "the API server does not answer"
    [ -z "$known" ] || (drain "$drained" ${force:+--force}) ||
        fail "those that nothing makes again: save what is needed of them, and have them deleted by --force; $drained takes no pods until then (kubectl uncordon $drained)"
}

step_node_delete() {
    read -r deleted
    kubectl --kubeconfig $admin delete node "$deleted" --ignore-not-found --timeout 30s
}

# ---- at the end ----

step_agent() {
    systemctl daemon-reload
    systemctl enable -q --now ensign-agent || { last_words ensign-agent; fail "ensign-agent does not start"; }
}

# It would get past everything that RBAC says. `ensign certificate revoke` ends it for good.
step_tidy() {
    rm -rf /etc/kubernetes/super-admin.conf /etc/ensign/node/super-admin
}

# ---- taking a host back ----

# What asks the cluster fails, before anything is removed, where others are taken back at the same time: without its
# kubeconfig kubeadm asks nobody.
kubeadm_reset() {
    kubeadm reset -f --cri-socket "$runtime_socket" 2>&1 && return 0
    rm -f $admin
    kubeadm reset -f --cri-socket "$runtime_socket" 2>&1 || fail "kubeadm reset failed: see its lines above"
}

step_reset() {
    systemctl disable -q --now ensign-agent ensign-agent.timer 2>/dev/null || true
    if have kubeadm && { [ -e /var/lib/kubelet/config.yaml ] || [ -e $manifests/kube-apiserver.yaml ]; }; then
        kubeadm_reset
    fi
    for unit in etcd haproxy nginx keepalived ensign-pod-routes; do
        case " $units " in *" $unit "*) systemctl disable -q --now "$unit" 2>/dev/null || true ;; esac
    done
    for path in $removed; do rm -rf "$path"; done
    ! ip link show cni0 >/dev/null 2>&1 || ip link delete cni0
    systemctl daemon-reload
}
