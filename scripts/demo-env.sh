# shellcheck shell=bash
# Sourced by the demo's scripts: where the demo lives, and how its processes are known again.
# shellcheck disable=SC2034  # used by those who source this

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
state=$root/.demo
lab=${DEMO_LAB:-demo}
run=/run/swarmpy-lab/$lab
api=unix://$run/node-1/swarmpy/swarmpy.sock
engine=unix://$run/node-1/docker.sock
page_port=${DEMO_PAGE_PORT:-2378}
image=swarmpy-demo/web:1
# What examples/stacks/hello.yaml publishes.
web_port=8080

PATH=$PATH:/usr/sbin:/sbin

say() { echo "demo: $*"; }
die() { echo "demo: $*" >&2; exit 1; }
swarmpy() { "$root/.venv/bin/swarmpy" --host "$api" "$@"; }
lab() { local verb=$1; shift; "$root/.venv/bin/swarmpy" lab "$verb" --name "$lab" "$@"; }

# A pid alone may long belong to someone else: the start time beside it tells.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }
remember() { echo "$2 $(started_at "$2")" >"$state/$1.pid"; }
pid_of() {
    local pid start
    [ -e "$state/$1.pid" ] || return 1
    read -r pid start <"$state/$1.pid"
    [ -n "$start" ] && [ "$(started_at "$pid")" = "$start" ] && echo "$pid"
}
