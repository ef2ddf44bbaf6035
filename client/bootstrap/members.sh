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

# Without data, where others have a cluster: as a learner, who has no vote before he has caught up
# (etcd.io/docs/v3.4/learning/design-learner), and so takes nobody's quorum away.
member_add() {
    await 30 members_reach || fail "etcd runs on other hosts, and none of them tells who its members are: $members_answer"
    case $(member_own 5) in
    '')
        added=$(member_call "$member_endpoint" add "{\"peerURLs\":[\"$peer_url\"],\"isLearner\":true}") ||
            fail "etcd does not take $own_name as a member: $added"
        members_ask "$member_endpoint" || fail "etcd does not tell who its members are: $members_answer"
        echo "$own_name is a learner of etcd" ;;
    new) ;;
    *) fail "etcd has a member with the address of $own_name, whose data are not here any more: \`ensign cluster remove $own_name --lost\` ends it" ;;
    esac
    {
        printf 'ETCD_INITIAL_CLUSTER_STATE=existing\nETCD_INITIAL_CLUSTER='
        printf '%s\n' "$members" | awk -v url="$peer_url" -v name="$own_name" '
            { printf "%s%s=%s", (NR > 1 ? "," : ""), ($2 == url ? name : $3), $2 } END { print "" }'
    } > "$etcd_join"
}

member_votes() {
    members_reach || return 1
    [ "$(member_own 4)" = learner ] || return 0
    promoted=$(member_call "$member_endpoint" promote "{\"ID\":\"$(member_own 1)\"}")
}

member_promote() {
    promoted=
    await 120 member_votes || {
        last_words etcd
        fail "expected etcd to take $own_name for a voter within 120 s: ${promoted:-$members_answer}"
    }
    rm -f "$etcd_join"
}

# Standard input: NAME PEER-URL of another host
step_member_remove() {
    read -r removed_name removed_url
    members_ask "$etcd_own" || fail "etcd does not tell who its members are: $members_answer"
    removed_id=$(printf '%s\n' "$members" | awk -v url="$removed_url" '$2 == url { print $1 }')
    [ -n "$removed_id" ] || { echo "$removed_name is no member of etcd"; return 0; }
    answer=$(member_call "$etcd_own" remove "{\"ID\":\"$removed_id\"}") ||
        fail "etcd does not let $removed_name go: $answer"
    echo "$removed_name is no member of etcd any more"
}
