#!/usr/bin/env bash
# Ends what `demo.sh` started and removes what it made, also when it only got half-way. Nothing else is touched.
set -uo pipefail
# shellcheck source=scripts/demo-env.sh
. "$(dirname "$0")/demo-env.sh"
cd "$root" || exit 1

[ -d "$state" ] || { say "nothing to stop"; exit 0; }
pid=$(pid_of page) && kill -TERM "$pid" 2>/dev/null
if [ -d "$run" ] || [ -d "/var/lib/swarmpy-lab/$lab" ]; then
    lab down || die "the lab could not be removed: run make demo-stop again"
fi
rm -rf "$state"
say "stopped; nothing of it is left"
