# What a host is like: prints one JSON document of texts and of lists of rows of texts, in printable ASCII. It changes
# nothing. Needs what each Debian or Ubuntu has; what else is missing there is missing from the answer.
# Given before this text: names, files, folders, programs (one a line): names to look up, files to hash, folders that may
# hold a cluster's data, programs to be asked for their versions.
LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
tab=$(printf '\t')
newline='
'

have() { command -v "$1" >/dev/null 2>&1; }

# KEY VALUE
fact() { printf 'fact\t%s\t%s\n' "$1" "$(printf %s "$2" | head -n 1 | tr '\t' ' ')"; }

# LIST, and a row a line with tabs between the cells, on standard input
rows() { sed "s/^/row$tab$1$tab/"; }

first_line() { timeout 10 "$@" 2>&1 | head -n 1; }

about_system() {
    fact os_id "$( (. /etc/os-release && echo "$ID") 2>/dev/null)"
    fact os_version "$( (. /etc/os-release && echo "$VERSION_ID") 2>/dev/null)"
    fact architecture "$(uname -m)"
    fact kernel "$(uname -r)"
    fact hostname "$(uname -n)"
    fact machine_id "$(cat /etc/machine-id 2>/dev/null)"
    fact cpus "$(getconf _NPROCESSORS_ONLN 2>/dev/null)"
    fact memory_kib "$(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo)"
    for manager in apt-get dnf yum zypper apk; do
        have "$manager" && { fact package_manager "$manager"; break; }
    done
    if have timedatectl; then
        fact time_synchronized "$(timeout 10 timedatectl show -p NTPSynchronized --value 2>/dev/null)"
    fi
    awk 'NR > 1 { print $1 "\t" $3 }' /proc/swaps 2>/dev/null | rows swaps
    for folder in / /var /var/lib/etcd; do
        [ ! -d "$folder" ] || df -Pk "$folder" 2>/dev/null |
            awk -v at="$folder" 'NR == 2 && $2 ~ /^[0-9]+$/ && $4 ~ /^[0-9]+$/ { print at "\t" $2 "\t" $4 "\t" $6 }'
    done | rows disks
}

about_network() {
    have ip && ip -o address show 2>/dev/null | awk '$3 ~ /^inet6?$/ { print $2 "\t" $4 }' | rows addresses
    have ip && { ip route show; ip -6 route show; } 2>/dev/null | tr '\t' ' ' | head -n 200 | rows routes
    printf '%s\n' "$names" | while IFS= read -r name; do
        [ -z "$name" ] || timeout 10 getent ahosts -- "$name" 2>/dev/null |
            awk -v name="$name" '!seen[$1]++ { print name "\t" $1 }'
    done | rows names
    if have ss; then
        fact ports_known yes
        ss -Hlntup 2>/dev/null | awk '{
            port = $5; sub(/^.*:/, "", port)
            address = substr($5, 1, length($5) - length(port) - 1)
            program = ""
            if (match($0, /users:\(\("[^"]*"/)) program = substr($0, RSTART + 9, RLENGTH - 10)
            if (port ~ /^[0-9]+$/) print $1 "\t" port "\t" address "\t" program
        }' | rows ports
    fi
}

about_kernel() {
    for module in overlay br_netfilter nf_conntrack ip_vs ip_vs_rr ip_vs_wrr ip_vs_sh ip_tables nf_tables; do
        state=absent
        if [ -d "/sys/module/$module" ] || [ "$(modinfo -F filename "$module" 2>/dev/null)" = "(builtin)" ]; then state=loaded
        elif have modprobe && modprobe -nq "$module" 2>/dev/null; then state=available; fi
        printf '%s\t%s\n' "$module" "$state"
    done | rows modules
    for name in net.ipv4.ip_forward net.ipv6.conf.all.forwarding net.bridge.bridge-nf-call-iptables \
        net.bridge.bridge-nf-call-ip6tables net.ipv4.ip_nonlocal_bind fs.inotify.max_user_instances; do
        path=/proc/sys/$(printf %s "$name" | tr . /)
        [ ! -r "$path" ] || printf '%s\t%s\n' "$name" "$(head -n 1 "$path" | tr '\t' ' ')"
    done | rows sysctls
}

asked() {
    case "$newline$programs$newline" in *"$newline$1$newline"*) have "$1" ;; *) false ;; esac
}

# PROGRAM ARGUMENT…: its name and the first line that it prints
version() { ! asked "$1" || printf '%s\t%s\n' "$1" "$(first_line "$@" | tr '\t' ' ')"; }

# The one that runs, where that is not the one on the disk any more: it is asked for itself, as it takes a while.
running_kubelet() {
    asked kubelet || return 0
    running=/proc/$(systemctl show -p MainPID --value kubelet 2>/dev/null)/exe
    [ ! -e "$running" ] || [ "$running" -ef "$(command -v kubelet)" ] ||
        printf 'running-kubelet\t%s\n' "$(first_line "$running" --version)"
}

about_programs() {
    {
        version kubelet --version
        running_kubelet
        sed -n 's/^ *image: .*kube-apiserver:\(v[0-9.]*\)$/kube-apiserver\t\1/p' \
            /etc/kubernetes/manifests/kube-apiserver.yaml 2>/dev/null | head -n 1
        version kubeadm version -o short
        ! asked kubectl || printf 'kubectl\tthere\n' # it takes longest of all to say its version, which is kubeadm's
        version containerd --version
        version crio --version
        version runc --version
        version etcd --version
        version haproxy -v
        version nginx -v
        version keepalived --version
        version ensign version
        version curl --version
        version crictl --version
        :
    } | rows versions
    have systemctl || return 0
    timeout 20 systemctl show -p Id -p LoadState -p ActiveState -p UnitFileState kubelet.service containerd.service \
        crio.service etcd.service haproxy.service nginx.service keepalived.service ensign-agent.service \
        ensign-pod-routes.service systemd-timesyncd.service chrony.service ntpsec.service ufw.service firewalld.service \
        nftables.service 2>/dev/null | awk -F= '
        function tell() {
            sub(/\.service$/, "", value["Id"])
            if (value["LoadState"] != "" && value["LoadState"] != "not-found")
                print value["Id"] "\t" value["LoadState"] "\t" value["ActiveState"] "\t" value["UnitFileState"]
            split("", value)
        }
        $0 == "" { tell(); next }
        { value[$1] = $2 }
        END { tell() }' | rows units
}

digest() { sha256sum | cut -c 1-64; }

# Few processes for many files: each costs a millisecond, and all hosts are asked at once.
about_files() {
    paths=$(printf '%s\n' "$files" | grep .)
    stats=$(printf '%s\n' "$paths" | xargs -r -d '\n' stat -c "%n$tab%F$tab%a$tab%U$tab%G$tab%s" -- 2>/dev/null)
    hashes=$(printf '%s\n' "$stats" | awk -F "$tab" '$2 ~ /^regular/ && $6 <= 16777216 { print $1 }' |
        xargs -r -d '\n' sha256sum -- 2>/dev/null)
    {
        printf '%s\n' "$stats" | sed "s/^/stat$tab/"
        printf '%s\n' "$hashes" | sed -n "s/^\([0-9a-f]\{64\}\)  /hash$tab\1$tab/p"
        printf '%s\n' "$paths" | sed "s/^/path$tab/"
    } | awk -F "$tab" -v OFS="$tab" '
        $1 == "stat" {
            kind[$2] = $3 ~ /^regular/ ? "file" : $3 == "symbolic link" ? "link" : $3 == "directory" ? "folder" : "other"
            status[$2] = $4 OFS $5 OFS $6 OFS $7
        }
        $1 == "hash" { hash[$3] = $2 }
        $1 == "path" && $2 != "" {
            if ($2 in kind) print $2, kind[$2], status[$2], hash[$2]
            else print $2, "absent", "", "", "", "", ""
        }' | rows files
}

# Of the first certificate in a file, as DER.
fingerprint() {
    sed -n '/^-----BEGIN CERTIFICATE-----/,/^-----END CERTIFICATE-----/ { /^-----/d; p; }
        /^-----END CERTIFICATE-----/q' "$1" 2>/dev/null | tr -d '\r' | base64 -d 2>/dev/null | digest
}

about_clusters() {
    for path in /etc/kubernetes/pki/ca.crt /etc/kubernetes/pki/front-proxy-ca.crt /etc/kubernetes/pki/etcd/ca.crt \
        /etc/etcd/pki/ca.crt /etc/etcd/ca.crt; do
        [ ! -f "$path" ] || printf '%s\t%s\n' "$path" "$(fingerprint "$path")"
    done | rows authorities
    for path in /etc/kubernetes/*.conf /etc/kubernetes/manifests/* /etc/kubernetes/pki/*.crt /var/lib/kubelet/config.yaml \
        /etc/ensign/node; do
        [ ! -e "$path" ] || printf '%s\n' "$path"
    done | rows remains
    printf '%s\n' "$folders" | while IFS= read -r folder; do
        [ -z "$folder" ] || [ -z "$(ls -A -- "$folder" 2>/dev/null | head -n 1)" ] || printf '%s\n' "$folder"
    done | rows remains
    for path in /var/lib/ensign-apply/*.begun; do
        [ ! -e "$path" ] || basename "$path" .begun
    done | rows begun
}

# Texts to JSON: what is not printable ASCII becomes a question mark, and a cell has at most 500 characters.
to_json() {
    awk -F "$tab" '
    function text(value) {
        value = substr(value, 1, 500)
        gsub(/[^ -~]/, "?", value)
        gsub(/\\/, "\\\\", value)
        gsub(/"/, "\\\"", value)
        return "\"" value "\""
    }
    $1 == "fact" { if (!($2 in known)) { known[$2] = 1; facts = facts "," text($2) ":" text($3) } }
    $1 == "row" {
        row = ""
        for (i = 3; i <= NF; i++) row = row (i > 3 ? "," : "") text($i)
        if (!($2 in lists)) order[++count] = $2
        if (++sizes[$2] <= 1000) lists[$2] = lists[$2] (sizes[$2] > 1 ? "," : "") "[" row "]"
    }
    END {
        printf "{\"version\":1%s", facts
        for (i = 1; i <= count; i++) printf ",%s:[%s]", text(order[i]), lists[order[i]]
        print "}"
    }'
}

main() {
    {
        about_system
        about_network
        about_kernel
        about_programs
        about_files
        about_clusters
    } | to_json
}

main </dev/null
