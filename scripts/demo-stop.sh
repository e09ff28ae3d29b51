#!/usr/bin/env bash
# Ends what `demo.sh` started and removes what it made, also when it only got half-way. Nothing else is touched.
set -uo pipefail
# shellcheck source=scripts/demo-env.sh
. "$(dirname "$0")/demo-env.sh"
cd "$root" || exit 1

[ -d "$state" ] || [ -d "$run" ] || { say "nothing to stop"; exit 0; }
if [ -e "$run/owner" ] && [ "$(cat "$run/owner")" != "$root" ]; then
    die "the demo that runs is of $(cat "$run/owner"): end it with make demo-stop there"
fi

# SIGTERM, and after 20 s SIGKILL, to a process the demo started.
end() {
    local pid
    pid=$(pid_of "$1") || return 0
    kill -TERM "$pid" 2>/dev/null
    for _ in $(seq 100); do
        [ -e "/proc/$pid" ] || return 0
        pid_of "$1" >/dev/null || return 0
        sleep 0.2
    done
    say "$1 (pid $pid) does not end: killing it"
    kill -KILL "$pid" 2>/dev/null
}

# Everything swarmpy made on an engine carries the id of the node that made it.
remove_from_engine() {
    local node=$1 label
    label=com.docker.swarm.node.id=$node
    docker -H "$engine" ps -aq --filter "label=$label" | xargs -r docker -H "$engine" rm -fv >/dev/null
    docker -H "$engine" network ls -q --filter "label=swarmpy.node=$node" |
        xargs -r docker -H "$engine" network rm >/dev/null
    docker -H "$engine" image rm "$image" >/dev/null 2>&1
}

end node
# One that was killed left its containers running: it alone can tidy them up.
if [ -e "$state/dockerd.pid" ] && ! pid_of dockerd >/dev/null; then start_engine; fi
engine=$(engine_in_use)
if engine_answers "$engine" && [ -e "$state/node/node.json" ]; then
    remove_from_engine "$(grep -o '"id":"[0-9a-z]*"' "$state/node/node.json" | cut -d '"' -f 4)"
fi
end dockerd

# What an engine that was killed leaves mounted or counted.
grep -E " ($state|$run)/" /proc/self/mounts | cut -d ' ' -f 2 | sort -r | xargs -r -n 1 umount
find /sys/fs/cgroup -depth -type d -path "*/$cgroup*" -exec rmdir {} + 2>/dev/null
rm -rf "$state" "$run"
say "stopped; nothing of it is left"
