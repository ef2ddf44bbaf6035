
# ---- clusters that run, when their file changes ----

# The agent does it by itself; where none runs, this does.
agent_turn() { systemctl is-active -q ensign-agent || ensign agent --once || true; }

# An API server reads its certificate again within two minutes; one that does not run (7) reads it when it starts.
names_shown() {
    agent_turn
    while read -r name; do
        status=0
        curl -sS --max-time 3 -o /dev/null --cacert $identity/ca.crt --connect-to "::$host_text:6443" \
            "https://$name:6443/livez" || status=$?
        [ $status = 0 ] || [ $status = 7 ] || return 1
    done < "$apiserver_names"
}

step_certificates() {
    await 200 names_shown && return 0
    last_words ensign-agent
    fail "expected the API server on $host_text:6443 to show a certificate with all the names in $apiserver_names$(within 200), and $name is missing"
}

servers_named() {
    agent_turn
    while read -r path server; do
        [ "$(server_of "$path")" = "$server" ] || return 1
    done < "$kubeconfigs"
}

# The agent changes them once all API servers show the new name, and it answers; it restarts who reads them.
step_kubeconfigs() {
    await 120 servers_named || {
        last_words ensign-agent
        fail "expected $path to name the server $server$(within 120), and it names $(server_of "$path"): does $server answer, with a certificate for that name?"
    }
    gate_kubelet
}

# kubeadm writes where the kubelet looks, so it gets another folder to see there. The version stays what it is here: to
# change that is an upgrade.
manifests_make() {
    version=$(sed -n 's/^ *image: .*:\(v[0-9][^@ ]*\)$/\1/p' $manifests/kube-apiserver.yaml)
    [ -n "$version" ] || fail "$manifests/kube-apiserver.yaml has no image of a version"
    rm -rf "$made/manifests"
    install -d -m 0700 "$made" "$made/manifests"
    sed "s/^kind: ClusterConfiguration\$/&\nkubernetesVersion: $version/" "$settings" > "$made/kubeadm.yaml"
    unshare -m sh -c 'mount --bind "$1" "$2" && exec kubeadm init phase control-plane all --config "$3"' sh \
        "$made/manifests" $manifests "$made/kubeadm.yaml" 2>&1 || fail "kubeadm does not take the settings: see its lines above"
}

# COMPONENT [--all]: those that run; all: also those that have ended
containers() { crictl ps --quiet ${2:-} --label "io.kubernetes.container.name=$1"; }

# COMPONENT: what runs by the manifest of before is noted first, so that whoever goes on after an interruption knows it.
manifest_replace() {
    ! cmp -s "$made/manifests/$1.yaml" "$manifests/$1.yaml" || return 0
    containers "$1" --all > "$made/$1.before"
    base64 "$made/manifests/$1.yaml" | put "$manifests/$1.yaml" 0600
}

# COMPONENT: one that ends at once has been started, too; its health tells
restarted() {
    containers "$1" --all | grep -qvxFf "$made/$1.before" && ! containers "$1" | grep -qxFf "$made/$1.before"
}

# What the cluster keeps of them for those who join, and for its proxies.
cluster_settings() {
    kubeadm init phase upload-config kubeadm --config "$made/kubeadm.yaml" 2>&1 || fail "kubeadm-config was not changed"
    kubectl --kubeconfig $admin -n kube-public get configmap cluster-info --ignore-not-found -o yaml |
        sed "s|^\( *server: \).*|\1$endpoint|" > "$made/cluster-info.yaml"
    [ ! -s "$made/cluster-info.yaml" ] || kubectl --kubeconfig $admin replace -f "$made/cluster-info.yaml" ||
        fail "cluster-info was not changed"
    [ -n "$(kubectl --kubeconfig $admin -n kube-system get daemonset kube-proxy --ignore-not-found -o name)" ] || return 0
    before=$(proxy_settings)
    kubeadm init phase addon kube-proxy --config "$made/kubeadm.yaml" 2>&1 || fail "kube-proxy was not changed"
    [ -z "$resumed" ] && [ "$before" = "$(proxy_settings)" ] ||
        kubectl --kubeconfig $admin -n kube-system rollout restart daemonset kube-proxy
}

proxy_settings() { kubectl --kubeconfig $admin -n kube-system get configmap kube-proxy -o 'jsonpath={.metadata.resourceVersion}'; }

step_settings() {
    made=/var/lib/ensign-apply/settings
    manifests_make
    for component in kube-apiserver kube-controller-manager kube-scheduler; do manifest_replace $component; done
    for component in kube-apiserver kube-controller-manager kube-scheduler; do
        [ ! -f "$made/$component.before" ] || await 120 restarted $component ||
            { last_words kubelet; container_words $component; fail "expected the kubelet to start $component by its new manifest within 120 s"; }
    done
    gate_control_plane
    [ -z "$first" ] || cluster_settings
    rm -rf "$made"
}
