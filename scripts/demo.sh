#!/usr/bin/env bash
# From nothing to a stack that runs: sets up, starts an engine where there is none, a node, a stack, fetches its page.
# A second run finds all of it and only looks again. `demo-stop.sh` ends and removes everything.
set -euo pipefail
# shellcheck source=scripts/demo-env.sh
. "$(dirname "$0")/demo-env.sh"
cd "$root"

scripts/setup.sh demo
mkdir -p "$state" "$run"
# A demo that never came to start anything owns nothing.
if { [ -e "$run/node" ] || [ -e "$run/engine" ]; } && [ "$(cat "$run/owner" 2>/dev/null)" != "$root" ]; then
    die "a demo of $(cat "$run/owner") is here already: end it with make demo-stop there"
fi
echo "$root" >"$run/owner"

start_node() {
    say "starting swarmpy up"
    setsid .venv/bin/swarmpy up --data-dir "$state/node" --run-dir "$run/node" --docker-host "$engine" \
        --status-address "$status" >"$state/node.log" 2>&1 </dev/null &
    remember node $!
    wait_until "the node (see $state/node.log)" 60 node_settled
    grep -q ' is ready$' "$state/node.log" || { tail -n 5 "$state/node.log" >&2; die "the node did not start"; }
}
# Ready, or gone for good.
node_settled() { grep -q ' is ready$' "$state/node.log" || ! pid_of node >/dev/null; }

if ! engine_answers "$default_engine" && ! pid_of dockerd >/dev/null; then
    [ "$(id -u)" = 0 ] || die "no Docker engine answers at $default_engine, and starting one needs root"
    say "no Docker engine answers: starting one of the demo's own"
    start_engine
fi
engine=$(engine_in_use)

if ! docker -H "$engine" image inspect "$image" >/dev/null 2>&1; then
    say "making the image $image"
    scripts/demo-image.sh "$image" "$engine"
fi

pid_of node >/dev/null || start_node
swarmpy stack deploy -c examples/stacks/hello.yaml hello
echo
say "the page of a replica:"
.venv/bin/python scripts/fetch_replica.py "$api" hello_web 8080
echo
swarmpy stack ps hello
echo
say "status page: http://$status/ui"
say "try:         .venv/bin/swarmpy --host $api service ls"
say "or:          docker -H $api service ls"
say "end it with: make demo-stop"
