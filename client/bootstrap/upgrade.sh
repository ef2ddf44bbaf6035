# ---- another version of Kubernetes ----

# It lies there until the whole node is done: what is interrupted begins anew.
upgrade_mark=$marks/upgrading.begun
upgrade_saved=$marks/kubelet.conf

# PROGRAM…, where they come from a repository
upgrade_packages() {
    [ -n "$upgrade_package" ] || return 0
    wanted=
    for program; do wanted="$wanted $program=$upgrade_package"; done
    installing install --no-install-recommends --allow-change-held-packages $wanted
    apt-mark hold "$@" >/dev/null
}

# kubeadm moves an old manifest away and then the new one there: who dies between the two leaves none.
upgrade_mend() {
    [ -n "$resumed" ] && [ -n "$upgrade_control_plane" ] || return 0
    folder=$(ls -dt /etc/kubernetes/tmp/kubeadm-backup-manifests*/ 2>/dev/null | head -n 1)
    for name in etcd kube-apiserver kube-controller-manager kube-scheduler; do
        [ -e "$manifests/$name.yaml" ] || [ ! -f "$folder$name.yaml" ] || cp -p "$folder$name.yaml" "$manifests/$name.yaml"
    done
    gate_control_plane
}

# From 1.31 on kubeadm may write another server into the kubelet's kubeconfig, which is not its file here. One that the
# agent has renewed meanwhile stays.
upgrade_restore() {
    conf=/etc/kubernetes/kubelet.conf
    if ! cmp -s "$upgrade_saved" $conf &&
        [ "$(grep client-certificate "$upgrade_saved" | tr -d ' ')" = "$(grep client-certificate $conf | tr -d ' ')" ]; then
        cp -p "$upgrade_saved" $conf.ensign-new
        mv -f $conf.ensign-new $conf
        echo "put $conf back as it was"
    fi
    rm -f "$upgrade_saved"
}

# NAME CLUSTERROLE OPTION a line: certificates of this version have no rights without them, and not each kubeadm makes
# them when it upgrades.
upgrade_bind() {
    printf '%s' "$upgrade_bindings" | while read -r name role option; do
        kubectl --kubeconfig $admin get clusterrolebinding "$name" >/dev/null 2>&1 ||
            kubectl --kubeconfig $admin create clusterrolebinding "$name" --clusterrole "$role" "$option" || exit 1
    done || fail "the API server did not take a ClusterRoleBinding of Kubernetes $upgrade_version"
}

step_upgrade() {
    [ ! -e "$upgrade_mark" ] || resumed=yes
    : > "$upgrade_mark"
    sync "$marks"
    upgrade_mend
    [ -z "$upgrade_package" ] || installing update
    upgrade_packages kubeadm
    [ "$(kubeadm version -o short)" = "v$upgrade_version" ] ||
        fail "expected kubeadm v$upgrade_version, and it is $(kubeadm version -o short)"
    [ -f "$upgrade_saved" ] || cp -p /etc/kubernetes/kubelet.conf "$upgrade_saved"
    # A node that was drained has no room for the pod by which kubeadm tries the cluster.
    kubeadm upgrade $upgrade_words ${resumed:+--ignore-preflight-errors=CreateJob} 2>&1 || {
        last_words kubelet
        fail "kubeadm upgrade failed: see its lines above"
    }
    upgrade_restore
    sync -f /etc/kubernetes /var/lib/kubelet
    case $upgrade_words in apply*) upgrade_bind ;; esac
}

# On a node that was cordoned here, so that one which an administrator has cordoned stays so.
cordoned=ensign/cordoned

node_get() { kubectl --kubeconfig $admin get node "$upgrade_node" -o "jsonpath=$1"; }
node_patch() { kubectl --kubeconfig $admin patch node "$upgrade_node" -p "$1" >/dev/null; }

uncordon() {
    [ -n "$(node_get "{.metadata.annotations.$cordoned}")" ] || return 0
    node_patch "{\"metadata\": {\"annotations\": {\"$cordoned\": null}}, \"spec\": {\"unschedulable\": null}}" ||
        fail "$upgrade_node is still cordoned: kubectl uncordon $upgrade_node"
}

# Where it fails the node takes pods again.
step_upgrade_drain() {
    unschedulable=$(node_get '{.spec.unschedulable}') || fail "the API server does not tell of the node $upgrade_node"
    [ "$unschedulable" = true ] ||
        node_patch "{\"metadata\": {\"annotations\": {\"$cordoned\": \"yes\"}}, \"spec\": {\"unschedulable\": true}}" ||
        fail "$upgrade_node cannot be cordoned"
    (drain "$upgrade_node" ${drain_force:+--force}) && return 0
    uncordon
    fail "those that nothing makes again: save what is needed of them, and have them deleted by --drain-force; a PodDisruptionBudget needs room (kubectl get pdb -A); what takes long: --drain-timeout"
}

step_upgrade_kubelet() {
    upgrade_packages kubelet kubectl
    [ "$(kubelet --version)" = "Kubernetes v$upgrade_version" ] ||
        fail "expected kubelet v$upgrade_version, and it is $(kubelet --version)"
    systemctl daemon-reload
    systemctl restart kubelet || { last_words kubelet; fail "the kubelet does not start"; }
    if [ -n "$upgrade_control_plane" ]; then gate_control_plane; else gate_kubelet; fi
}

node_state() { node_get '{.status.nodeInfo.kubeletVersion} {.status.conditions[?(@.type=="Ready")].status}'; }
node_is_back() { [ "$(node_state)" = "v$upgrade_version True" ]; }

step_upgrade_uncordon() {
    await 180 node_is_back ||
        fail "expected $upgrade_node to be Ready with v$upgrade_version$(within 180): its version and whether it is: $(node_state 2>&1)"
    uncordon
}

step_upgraded() {
    rm -f "$upgrade_mark"
}
