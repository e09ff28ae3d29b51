#!/usr/bin/env bash
# Two fresh Debian 12 machines, made by debootstrap and booted here in namespaces of their own, are provisioned as
# vagrant/ does it and become a cluster: systemd itself runs the unit, with all its hardening, and Docker's engine.
# Needs root, debootstrap and a cgroup2 file system. Takes minutes, the first time some more; cached in .cache/.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=$PWD/.cache/provision
base=$cache/debian12
lan=10.203.0
suite=bookworm
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
limit=120
cgroup="" work=""
declare -A holders=() inits=()

say() { echo "provision: $*"; }

fail() {
    echo "provision: $*" >&2
    for name in "${!inits[@]}"; do
        inside "$name" journalctl --no-pager --lines=30 --unit=swarmpy >&2 || true
    done
    exit 1
}

clean_up() {
    # The first process of a pid namespace takes all others, and all their mounts, with it.
    for holder in "${holders[@]}"; do kill -KILL "$holder" 2>/dev/null || true; done
    for holder in "${holders[@]}"; do wait "$holder" 2>/dev/null || true; done
    for _ in {1..50}; do
        [ -z "$cgroup" ] || find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
        if [ ! -d "$cgroup" ]; then break; fi
        sleep 0.1
    done
    [ -z "$work" ] || rm -rf --one-file-system "$work"
}

# until_true WHAT COMMAND...: tried for `limit` seconds.
until_true() {
    local what=$1
    shift
    for ((second = 0; second < limit; second++)); do
        if "$@" >/dev/null 2>&1; then
            say "$what"
            return
        fi
        sleep 1
    done
    fail "waited $limit s in vain until: $what"
}

make_base() {
    [ ! -d "$base" ] || return 0
    say "making a Debian 12 root file system, once"
    mkdir -p "$cache"
    rm -rf --one-file-system "$base.new"
    debootstrap --variant=minbase --include=systemd,systemd-sysv,ca-certificates,iproute2 "$suite" "$base.new" "$mirror" \
        >"$cache/debootstrap.log" || fail "debootstrap failed, see $cache/debootstrap.log"
    mv "$base.new" "$base"
}

# In a mount and pid namespace of its own: `build MACHINE OPTION...` provisions a root file system that is not booted.
build() {
    local root=$work/$1
    shift
    # shellcheck disable=SC2016
    unshare --mount --pid --fork --kill-child=SIGKILL bash -euc '
        root=$1 checkout=$2; shift 2
        mount --bind "$root" "$root"
        mount -t proc proc "$root/proc"; mount -t sysfs -o ro sysfs "$root/sys"; mount -t tmpfs tmpfs "$root/run"
        mount --rbind /dev "$root/dev"
        cp /etc/resolv.conf "$root/etc/resolv.conf"
        cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
        # Nothing is to be started in there.
        printf "#!/bin/sh\nexit 101\n" >"$root/usr/sbin/policy-rc.d"; chmod 755 "$root/usr/sbin/policy-rc.d"
        mkdir -p "$root/srv/swarmpy"; mount --bind -o ro "$checkout" "$root/srv/swarmpy"
        chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
            bash /srv/swarmpy/vagrant/provision.sh /srv/swarmpy --no-start "$@"
    ' build "$root" "$PWD" "$@" || fail "provisioning $(basename "$root") failed"
    rm "$root/usr/sbin/policy-rc.d"
}

# `boot MACHINE ADDRESS`: systemd as the first process of all namespaces. Its network is a bridge that others plug into.
boot() {
    local name=$1 address=$2
    # shellcheck disable=SC2016
    setsid bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' enter "$cgroup" \
        unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child=SIGKILL bash -euc '
        cd "$1"
        mount --bind . .; cd "$1"
        mount -t proc proc proc; mount -t sysfs sysfs sys; mount -t cgroup2 cgroup2 sys/fs/cgroup
        mount -t tmpfs tmpfs run; mount -t tmpfs tmpfs tmp; mount -t tmpfs -o mode=755 tmpfs dev
        for device in null zero full random urandom tty; do : >dev/$device; mount --bind /dev/$device dev/$device; done
        mkdir dev/pts dev/shm
        mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts; ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd
        mount -t tmpfs tmpfs dev/shm
        ip link set lo up
        ip link add lan type bridge; ip address add "$2/24" dev lan; ip link set lan up
        mkdir -p old; pivot_root . old; umount -l /old
        exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system
    ' boot "$work/$name" "$address" >"$work/$name.log" 2>&1 </dev/null &
    holders[$name]=$!
    until_true "$name has a first process" has_child "${holders[$name]}"
    inits[$name]=$(child_of "${holders[$name]}")
    until_true "$name runs systemd" inside "$name" systemctl show --property=Version
}

child_of() { tr -d ' ' <"/proc/$1/task/$1/children"; }
has_child() { [ -n "$(child_of "$1")" ]; }
inside() {
    local pid=${inits[$1]}
    shift
    nsenter --target "$pid" --mount --pid --net --uts --ipc --cgroup --root --wd "$@"
}
connect() {
    ip link add first netns "${inits[$1]}" type veth peer name second netns "${inits[$2]}"
    inside "$1" ip link set first master lan up
    inside "$2" ip link set second master lan up
}

is_ready() { inside "$1" test -e /run/swarmpy/agent.ready; }
is_failed_or_dead() { ! inside "$1" systemctl is-active --quiet swarmpy; }
shows_nodes() { [ "$(inside manager1 swarmpy node ls | grep -c -i ready)" = "$1" ]; }
main_pid() { inside "$1" systemctl show --property=MainPID --value swarmpy; }
is_another() { [ "$(main_pid "$1")" != "$2" ] && [ "$(main_pid "$1")" != 0 ]; }

[ "$(id -u)" = 0 ] || { echo "provision: run as root" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "provision: apt-get install debootstrap" >&2; exit 1; }
make_base
trap clean_up EXIT
work=$(mktemp -d "$cache/run-XXXXXX")
cgroup=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET)/swarmpy-provision-$$
mkdir "$cgroup"

say "provisioning a manager, twice: the second time changes nothing"
cp -a "$base" "$work/manager1"
echo manager1 >"$work/manager1/etc/hostname"
build manager1 --advertise-address "$lan.1" --label machine=manager1
unit=$work/manager1/etc/systemd/system/swarmpy.service
cp "$unit" "$work/unit"
cp -a "$work/manager1" "$work/worker1"
build manager1 --advertise-address "$lan.1" --label machine=manager1
cmp "$unit" "$work/unit" || fail "the unit has changed"
echo worker1 >"$work/worker1/etc/hostname"

boot manager1 "$lan.1"
until_true "manager1 is ready" is_ready manager1
if inside manager1 journalctl --no-pager --unit=swarmpy | grep -q SWMTKN; then fail "a token is in the journal"; fi

say "a second machine joins by a token from stdin"
# A machine that is not to start as a cluster of its own.
rm "$work/worker1/etc/systemd/system/multi-user.target.wants/swarmpy.service"
boot worker1 "$lan.2"
connect manager1 worker1
inside manager1 swarmpy token worker -q |
    inside worker1 swarmpy install --join - --advertise-address "$lan.2" --label machine=worker1
until_true "worker1 is ready" is_ready worker1
until_true "both are nodes of the cluster" shows_nodes 2
inside manager1 swarmpy node ls
[ "$(inside worker1 stat --format=%a /etc/swarmpy/join)" = 600 ] || fail "the join file is open to others"

say "a killed node is started again"
pid=$(main_pid manager1)
inside manager1 systemctl kill --signal=KILL --kill-whom=main swarmpy
until_true "manager1 runs anew" is_another manager1 "$pid"
until_true "both are nodes of the cluster again" shows_nodes 2

say "a node that leaves is not started again"
inside worker1 swarmpy leave
until_true "worker1 has left, and its service ended" is_failed_or_dead worker1
sleep 7
is_failed_or_dead worker1 || fail "the service of a node that left was started again"
inside worker1 swarmpy install --uninstall
say "all as it should be"
