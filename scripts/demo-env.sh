# shellcheck shell=bash
# Sourced by the demo's scripts: where the demo lives, and how its processes are known again.
# shellcheck disable=SC2034  # used by those who source this

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
state=$root/.demo
# Sockets want short paths, so they do not lie in the checkout.
if [ "$(id -u)" = 0 ]; then run=/run/swarmpy-demo; else run=${XDG_RUNTIME_DIR:-/tmp}/swarmpy-demo-$(id -u); fi
api=unix://$run/node/swarmpy.sock
status=${DEMO_STATUS_ADDRESS:-127.0.0.1:2378}
own_engine=unix://$run/engine/docker.sock
default_engine=unix:///var/run/docker.sock
image=swarmpy-demo/web:1
# What the demo's own engine puts its containers under, so that none of it stays behind.
cgroup=swarmpy-demo

PATH=$PATH:/usr/sbin:/sbin

say() { echo "demo: $*"; }
die() { echo "demo: $*" >&2; exit 1; }
swarmpy() { "$root/.venv/bin/swarmpy" --host "$api" "$@"; }

# A pid alone may long belong to someone else: the start time beside it tells.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }
remember() { echo "$2 $(started_at "$2")" >"$state/$1.pid"; }
pid_of() {
    local pid start
    [ -e "$state/$1.pid" ] || return 1
    read -r pid start <"$state/$1.pid"
    [ -n "$start" ] && [ "$(started_at "$pid")" = "$start" ] && echo "$pid"
}

engine_answers() { docker -H "$1" version >/dev/null 2>&1; }

# The engine the demo uses: its own when it started one, else the machine's.
engine_in_use() { if pid_of dockerd >/dev/null; then echo "$own_engine"; else echo "$default_engine"; fi; }

wait_until() {
    local what=$1 seconds=$2
    shift 2
    for _ in $(seq $((seconds * 5))); do
        if "$@"; then return 0; fi
        sleep 0.2
    done
    die "waited $seconds s for $what in vain"
}

# An engine of the demo's own, for machines where none runs.
start_engine() {
    mkdir -p "$run/engine" "$state/engine"
    # It leaves the machine's packet filter and forwarding alone: this host reaches its containers without them.
    setsid dockerd --host "$own_engine" --data-root "$state/engine" --exec-root "$run/engine/exec" \
        --pidfile "$run/engine/docker.pid" --cgroup-parent "$cgroup" \
        --bridge none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \
        >>"$state/dockerd.log" 2>&1 </dev/null &
    remember dockerd $!
    wait_until "the Docker engine (see $state/dockerd.log)" 60 engine_answers "$own_engine"
}
