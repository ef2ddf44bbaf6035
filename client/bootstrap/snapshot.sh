# Snapshots of etcd: one is taken of a member, or takes the place of the data of all members. Behind steps.sh.
#
# A restore is several steps, which may each be run again. The new data are made in a folder beside the old ones while
# the cluster runs. Then everything that writes to etcd is stopped, and etcd; then a rename each takes the old data aside
# and the new ones to their place. They are not renamed again once they are there, and what is aside is never touched.

interrupted=$marks/restore.begun # from the first thing that is stopped on to the end; no `apply` works here meanwhile

# NAME: a path from which a rename reaches the data: beside their folder, or in it where it is a disk of its own
beside() {
    mkdir -p "$(dirname "$etcd_data_dir")"
    if [ -d "$etcd_data_dir" ] && [ "$(stat -c %d "$etcd_data_dir")" != "$(stat -c %d "$(dirname "$etcd_data_dir")")" ]; then
        echo "$etcd_data_dir/$1"
    else
        echo "$etcd_data_dir.$1"
    fi
}

# PROGRAM: processes of that name in the host's own network; pods may run what they like
processes() {
    find /proc -maxdepth 2 -path '/proc/[0-9]*/exe' -lname "*/$1" 2>/dev/null | while read -r exe; do
        [ ! "${exe%/exe}/ns/net" -ef /proc/1/ns/net ] || echo "${exe%/exe}"
    done
}
gone() { [ -z "$(processes "$1")" ]; }

# PROGRAM
await_gone() {
    await 150 gone "$1" && return 0
    last_words kubelet
    fail "expected $1 to have ended$(within 150): process $(basename "$(processes "$1" | head -n 1)") goes on"
}

# ---- etcd's own programs ----

# FOLDER: those of etcd's image, which a host with stacked etcd has besides: of the process that has these data open,
# or else of the image that the manifest names
tools_copy() {
    [ -n "$stacked" ] || return 0
    for process in $(processes etcd); do
        [ "$process/root$etcd_data_dir" -ef "$etcd_data_dir" ] || continue
        cp "$process"/root/usr/local/bin/etcdctl "$process"/root/usr/local/bin/etcdutl "$1" 2>/dev/null || true
    done
    [ ! -e "$1/etcdctl" ] && have ctr || return 0
    image=$(sed -n 's/^ *image: *//p' $manifests/etcd.yaml $set_aside/etcd.yaml 2>/dev/null | head -n 1)
    mkdir -p "$1/image"
    ctr -n k8s.io images mount "$image" "$1/image" >/dev/null 2>&1 || return 0
    cp "$1"/image/usr/local/bin/etcdctl "$1"/image/usr/local/bin/etcdutl "$1" 2>/dev/null || true
    image_leave "$1"
}

# FOLDER: also for who was interrupted before
image_leave() {
    [ ! -d "$1/image" ] || ctr -n k8s.io images unmount --rm "$1/image" >/dev/null 2>&1 || umount "$1/image" 2>/dev/null || true
}

# FOLDER: empty, and for root alone
folder_new() {
    image_leave "$1"
    rm -rf "$1"
    install -d -m 0700 "$1"
}

# FOLDER NAME
tool() {
    for program in "$1/$2" "$(command -v "$2" || true)"; do
        [ -x "$program" ] && ETCDCTL_API=3 "$program" version >/dev/null 2>&1 && echo "$program" && return 0
    done
    return 0
}

# FOLDER: from 3.6 on what works on files is in etcdutl alone, which there is from 3.5 on
tools() {
    etcdctl=$(tool "$1" etcdctl)
    on_files=$(tool "$1" etcdutl)
    [ -n "$etcdctl" ] || fail "there is no etcdctl: install the package etcd-client, of the version of this etcd"
    [ -z "$on_files" ] || return 0
    on_files=$etcdctl
    case $(ETCDCTL_API=3 "$etcdctl" version | sed -n 's/^etcdctl version: //p') in
        3.[0-5].*) ;;
        *) fail "there is no etcdutl, without which etcdctl of 3.6 or later restores nothing: install it beside $etcdctl" ;;
    esac
}

ctl() {
    ETCDCTL_API=3 "$etcdctl" --endpoints https://127.0.0.1:2379 --cacert "$etcd_ca" --cert "$etcd_client_cert" \
        --key "$etcd_client_key" --dial-timeout 5s --command-timeout 10s "$@"
}

# NAME: a number that the JSON on standard input has once
member_of() { sed -n "s/.*\"$1\":\([0-9][0-9]*\).*/\1/p" | head -n 1; }

# FILE: "REVISION KEYS BYTES", of all revisions that are in it
file_status() {
    said=$(ETCDCTL_API=3 "$on_files" snapshot status "$1" -w json) || return 1
    echo "$(echo "$said" | member_of revision) $(echo "$said" | member_of totalKey) $(echo "$said" | member_of totalSize)"
}

# ---- a look ----

# "member leader|follower|down" and "restore none", or how far one is that was begun:
# "restore prepared|switched|started ID DIGEST REVISION"
gate_restore_look() {
    role=down
    if curl -fsS --max-time 3 http://127.0.0.1:2381/health 2>/dev/null | grep -q '"health":"true"'; then
        role=follower
        ! curl -fsS --max-time 3 http://127.0.0.1:2381/metrics | grep '^etcd_server_is_leader 1' >/dev/null || role=leader
    fi
    echo "member $role"
    work=$(beside ensign-restore)
    progress=none
    if [ -e "$interrupted" ] && [ -e "$work/prepared" ]; then
        progress=switched
        [ ! -e "$work/data/member" ] || progress=prepared
        [ ! -e "$work/started" ] || progress=started
        progress="$progress $(cat "$work/prepared")"
    fi
    echo "restore $progress"
}

# ---- save ----

# Standard output is the snapshot, and nothing else; the last line of error output tells of it.
step_snapshot_save() {
    work=$marks/snapshot
    trap 'image_leave "$work"; rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT PIPE TERM
    folder_new "$work"
    tools_copy "$work"
    tools "$work"
    umask 077
    ctl --command-timeout 30m snapshot save "$work/file" >&2 || fail "etcd gave no snapshot: see its lines above"
    status=$(file_status "$work/file") || fail "$on_files does not take what etcd gave"
    cat "$work/file"
    echo "snapshot $status" >&2
}

# ---- restore ----

# Each reads ID TOKEN DIGEST BYTES REVISION, of which the last is known behind the first.

# The snapshot itself comes from descriptor 8. "snapshot REVISION KEYS BYTES" is of it, "restored REVISION" of what was
# made.
step_restore_prepare() {
    read -r id token digest size revision
    work=$(beside ensign-restore)
    folder_new "$work"
    free=$(df -Pk "$work" | awk 'NR == 2 { print $4 }')
    [ "$free" -ge $((size / 1024 * 2 + 131072)) ] ||
        fail "expected room for the snapshot, twice, and 128 MiB beside $etcd_data_dir: there are $((free / 1024)) MiB"
    (umask 077; cat <&8 > "$work/snapshot")
    [ "$(sha256sum < "$work/snapshot")" = "$digest  -" ] || fail "the snapshot came here as another one: run it again"
    tools_copy "$work"
    tools "$work"
    status=$(file_status "$work/snapshot") || fail "$on_files does not take the snapshot: see its lines above"
    echo "snapshot $status"
    # What watches has seen later revisions than the snapshot's: none of them is to be given a second time.
    bump=
    ! "$on_files" snapshot restore --help 2>&1 | grep -q bump-revision || bump="--bump-revision 1000000000 --mark-compacted"
    ETCDCTL_API=3 "$on_files" snapshot restore "$work/snapshot" --name "$own_name" --initial-cluster "$initial_cluster" \
        --initial-cluster-token "$token" --initial-advertise-peer-urls "$peer_url" --data-dir "$work/data" \
        $bump >&2 || fail "$on_files did not restore the snapshot: see its lines above"
    [ -n "$stacked" ] || chown -R etcd:etcd "$work/data"
    chmod 0700 "$work/data"
    restored=$(file_status "$work/data/member/snap/db") || fail "$on_files does not take the data that it has made"
    restored=${restored%% *}
    rm "$work/snapshot"
    sync -f "$work"
    echo "$id $digest $restored" > "$work/prepared.new"
    sync "$work/prepared.new"
    mv "$work/prepared.new" "$work/prepared"
    sync "$work"
    echo "restored $restored"
}

# What renews certificates restarts what reads them.
stopping() {
    : > "$interrupted"
    sync "$marks"
    systemctl stop ensign-agent ensign-agent.timer 2>/dev/null || true
}

# NAME…: the kubelet ends the pod when its manifest is not there any more
manifests_away() {
    install -d -m 0700 "$set_aside"
    for name; do
        [ ! -f "$manifests/$name.yaml" ] || mv -f "$manifests/$name.yaml" "$set_aside/$name.yaml"
    done
    sync "$set_aside" "$manifests"
    systemctl start kubelet || { last_words kubelet; fail "the kubelet does not start, which has to end pods"; }
    for name; do await_gone "$name"; done
}

# NAME…
manifests_back() {
    for name; do
        [ ! -f "$set_aside/$name.yaml" ] || mv -f "$set_aside/$name.yaml" "$manifests/$name.yaml"
    done
    sync "$manifests"
}

step_restore_stop() {
    stopping
    manifests_away kube-apiserver kube-controller-manager kube-scheduler
}

# It does not start with the host either before its data are in their place.
step_restore_stop_etcd() {
    stopping
    if [ -n "$stacked" ]; then
        manifests_away etcd
    else
        systemctl disable -q --now etcd || { last_words etcd; fail "etcd does not stop"; }
        await_gone etcd
    fi
}

# Old data are where they were or aside, under a name that nothing had; new ones are where they were made or in
# their place: whatever interrupts this, each is in one of the two.
step_restore_switch() {
    read -r id others
    work=$(beside ensign-restore)
    gone etcd || fail "etcd was started meanwhile, by somebody else: stop that, and run the command again"
    [ "$(cut -d' ' -f1 "$work/prepared")" = "$id" ] || fail "what was prepared here is gone: run the command again"
    [ -d "$work/data/member" ] || return 0
    [ -d "$etcd_data_dir" ] || if [ -n "$stacked" ]; then install -d -m 0700 "$etcd_data_dir"; else install -d -o etcd -g etcd -m 0700 "$etcd_data_dir"; fi
    if [ -e "$etcd_data_dir/member" ]; then
        aside=$(beside "before-restore-$id")
        while [ -e "$aside/member" ]; do aside=$aside+; done
        install -d -m 0700 "$aside"
        mv -T "$etcd_data_dir/member" "$aside/member"
        sync -f "$aside"
        echo "the data before are in $aside"
    fi
    mv -T "$work/data/member" "$etcd_data_dir/member"
    sync -f "$work"
}

step_restore_start() {
    work=$(beside ensign-restore)
    [ -e "$work/prepared" ] && [ ! -e "$work/data/member" ] || fail "the new data are not in their place: run the command again"
    : > "$work/started"
    sync "$work"
    if [ -n "$stacked" ]; then
        manifests_back etcd
    else
        systemctl enable -q etcd
        systemctl reset-failed etcd 2>/dev/null || true
        systemctl start --no-block etcd
    fi
}

# "member REVISION KEYS HASH" of this member alone: KEYS and HASH as of the revision that was restored; "-" where that is
# compacted, as it is some minutes after API servers have begun to write.
gate_restore_verify() {
    read -r id token digest size revision
    tools "$(beside ensign-restore)"
    await 150 etcd_healthy || {
        last_words etcd
        last_words kubelet
        fail "expected etcd to be healthy$(within 150): http://127.0.0.1:2381/health says: $(curl -sS --max-time 3 http://127.0.0.1:2381/health 2>&1)"
    }
    now_at=$(ctl endpoint status -w json | member_of revision)
    hash=$(ctl endpoint hashkv --rev "$revision" -w json 2>/dev/null | member_of hash)
    keys=$(ctl get "" --prefix --keys-only --limit 1 --consistency s --rev "$revision" -w json 2>/dev/null | member_of count)
    echo "member $now_at ${keys:--} ${hash:--}"
}

step_restore_control_planes() {
    manifests_back kube-apiserver kube-controller-manager kube-scheduler
    gate_control_plane
}

# What watches the API server goes on from the revision that it has seen last: one that etcd has not come to yet, or
# has given to something else by then. It would miss changes, or hold what is no more. Only a new start reads all anew.
step_restore_kubelet() {
    systemctl restart kubelet || { last_words kubelet; fail "the kubelet does not start"; }
    gate_kubelet
}

# As the kubelet: kube-proxy, the DNS server, the network of pods. What does not come to rest was not well before either,
# mostly: that is no reason to call the restore failed.
step_restore_watchers() {
    watchers=$(kubectl --kubeconfig $admin -n kube-system get daemonsets,deployments -o name)
    for watcher in $watchers; do
        kubectl --kubeconfig $admin -n kube-system rollout restart "$watcher" || fail "$watcher was not restarted"
    done
    for watcher in $watchers; do
        kubectl --kubeconfig $admin -n kube-system rollout status "$watcher" --timeout 180s >&2 ||
            echo "$watcher is being restarted yet" >&2
    done
    gate_nodes
}

# As long as the mark is there, what was begun is gone on with; without it, what lies here is of no interest.
step_restore_end() {
    for unit in ensign-agent.service ensign-agent.timer; do
        ! systemctl is-enabled -q $unit 2>/dev/null || systemctl start $unit || { last_words $unit; fail "$unit does not start"; }
    done
    rmdir "$set_aside" 2>/dev/null || [ ! -e "$set_aside" ] || fail "there are manifests in $set_aside yet: look at them"
    rm -f "$interrupted"
    sync "$marks"
    rm -rf "$(beside ensign-restore)"
}
