# Members of etcd, added and removed, by the gateway for HTTP that each member has (etcd.io/docs/v3.4/dev-guide/api_grpc_gateway,
# api/etcdserverpb/rpc.proto: Cluster): it is there whatever tools a host has, in a pod, too.

# ENDPOINT METHOD JSON: prints the answer, or why there is none
member_call() {
    curl -sS --fail-with-body --connect-timeout 3 --max-time 15 --cacert "$etcd_ca" --cert "$etcd_client_cert" \
        --key "$etcd_client_key" -d "$3" "$1/v3/cluster/member/$2" 2>&1
}

# ENDPOINT: sets `members` to lines of ID URL NAME KIND STARTED. Who never started has told no URLs for clients.
members_ask() {
    members_answer=$(member_call "$1" list '{}') || return 1
    members=$(printf '%s\n' "$members_answer" | sed 's/},{/}\n{/g' | awk '
        function text(key) {
            if (!match($0, "\"" key "\":\\[?\"[^\"]*\"")) return "-"
            found = substr($0, RSTART, RLENGTH - 1)
            sub(/.*"/, "", found)
            return found
        }
        /"ID":/ {
            print text("ID"), text("peerURLs"), text("name"), /"isLearner":true/ ? "learner" : "voter",
                /"clientURLs":\["/ ? "started" : "new"
        }')
}

# Sets `member_endpoint` to another member's, and `members`
members_reach() {
    for member_endpoint in $etcd_others; do
        members_ask "$member_endpoint" && return 0
    done
    return 1
}

# FIELD: of the member with this host's URL; nothing: there is none
member_own() { printf '%s\n' "$members" | awk -v url="$peer_url" -v field="$1" '$2 == url { print $field }'; }

# etcd takes the next member when all others have been in touch for 5 s (server/etcdserver/server.go: HealthInterval). What
# was asked may have been done though no answer came.
member_enter() {
    members_reach || return 1
    [ -z "$(member_own 5)" ] || return 0
    member_answer=$(member_call "$member_endpoint" add "{\"peerURLs\":[\"$peer_url\"],\"isLearner\":true}") && members_reach
}

# Without data, where others have a cluster: as a learner, who has no vote before he has caught up
# (etcd.io/docs/v3.4/learning/design-learner), and so takes nobody's quorum away.
member_add() {
    member_answer=
    await 60 member_enter ||
        fail "expected etcd to take $own_name as a member within 60 s: ${member_answer:-$members_answer}"
    [ "$(member_own 5)" = new ] || fail "etcd has a member with the address of $own_name, whose data are not here any more:" \
        "\`ensign cluster remove $own_name --lost\` ends it"
    {
        printf 'ETCD_INITIAL_CLUSTER_STATE=existing\nETCD_INITIAL_CLUSTER='
        printf '%s\n' "$members" | awk -v url="$peer_url" -v name="$own_name" '
            { printf "%s%s=%s", (NR > 1 ? "," : ""), ($2 == url ? name : $3), $2 } END { print "" }'
    } > "$etcd_join"
}

member_votes() {
    members_reach || return 1
    [ "$(member_own 4)" = learner ] || return 0
    member_answer=$(member_call "$member_endpoint" promote "{\"ID\":\"$(member_own 1)\"}")
}

member_promote() {
    member_answer=
    await 120 member_votes || {
        last_words etcd
        fail "expected etcd to take $own_name for a voter within 120 s: ${member_answer:-$members_answer}"
    }
    rm -f "$etcd_join"
}

# URL: whether it is a member's no more
member_leave() {
    members_ask "$etcd_own" || return 1
    member_id=$(printf '%s\n' "$members" | awk -v url="$1" '$2 == url { print $1 }')
    [ -n "$member_id" ] || return 0
    member_answer=$(member_call "$etcd_own" remove "{\"ID\":\"$member_id\"}")
}

# Standard input: NAME PEER-URL of another host
step_member_remove() {
    read -r left_name left_url
    member_answer=
    await 40 member_leave "$left_url" ||
        fail "expected etcd to let $left_name go within 40 s: ${member_answer:-$members_answer}"
}
