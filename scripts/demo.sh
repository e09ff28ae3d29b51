#!/usr/bin/env bash
# From nothing to a stack that runs on three nodes: sets up, makes a lab, deploys a stack, fetches its page from each.
# A second run finds all of it and only looks again. `demo-stop.sh` ends and removes everything.
set -euo pipefail
# shellcheck source=scripts/demo-env.sh
. "$(dirname "$0")/demo-env.sh"
cd "$root"

[ "$(id -u)" = 0 ] || die "this makes network namespaces and starts Docker engines, which needs root: sudo make demo"
scripts/setup.sh demo
# The machine has one demo: it may be of another checkout.
if [ -d "$run" ] && [ ! -d "$state" ]; then
    die "a demo of another checkout is here already: end it with make demo-stop there, or: swarmpy lab down --name $lab"
fi
mkdir -p "$state"

say "three nodes on this machine: swarmpy lab up --nodes 3"
lab up --nodes 3 --managers 1
if ! docker -H "$engine" image inspect "$image" >/dev/null 2>&1; then
    say "making the image $image"
    scripts/demo-image.sh "$image" "$engine"
fi
lab load --from "$engine" "$image" >/dev/null
if ! pid_of page >/dev/null; then
    setsid "$root/.venv/bin/swarmpy" lab forward --name "$lab" node-1 2378 --port "$page_port" \
        >"$state/page.log" 2>&1 </dev/null &
    remember page $!
fi

swarmpy stack deploy -c examples/stacks/hello.yaml hello
echo
say "one port, published on every node; whichever replica answers:"
mapfile -t nodes < <(lab ls --format json | sed -n 's/.*"address": *"\([0-9.]*\)".*/\1/p')
"$root/.venv/bin/python" "$root/scripts/fetch_pages.py" "$web_port" "${nodes[@]}"
echo
swarmpy stack ps hello
echo
swarmpy node ls
echo
say "status page: http://127.0.0.1:$page_port/ui"
say "try:         .venv/bin/swarmpy --host $api service ls"
say "or:          docker -H $api service ls"
say "break it:    .venv/bin/swarmpy lab kill --name $lab node-3"
say "end it with: make demo-stop"
