#!/usr/bin/env bash
# Waits until this machine's node takes work, and says so; shows its log when that does not happen in time.
set -euo pipefail

limit=180
for ((second = 0; second < limit; second++)); do
    if [ -e /run/swarmpy/agent.ready ]; then
        echo "the node is ready"
        exit 0
    fi
    sleep 1
done
echo "the node is not ready after $limit s; its log:" >&2
journalctl --no-pager --lines=40 --unit=swarmpy >&2
exit 1
