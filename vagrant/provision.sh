#!/usr/bin/env bash
# Makes a fresh Debian 12 machine a node: `provision.sh CHECKOUT [OPTION OF swarmpy install]...`, as root.
# Where JOIN_FILE names a file, the node joins by it, and the file is gone afterwards. May be run again at any time.
set -euo pipefail

checkout=$1
shift
venv=/opt/swarmpy
options=("$@")

packages=()
python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
[ -e /etc/ssl/certs/ca-certificates.crt ] || packages+=(ca-certificates)
if [ "${#packages[@]}" -gt 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends "${packages[@]}" >/dev/null
fi

# pip builds beside the sources: in a copy, so that the checkout stays as it is.
copy=$(mktemp -d)
trap 'rm -rf "$copy" ${JOIN_FILE:+"$JOIN_FILE"}' EXIT
tar -C "$checkout" --exclude=./.git --exclude=./.venv --exclude='./.cache' --exclude='*.egg-info' -cf - . | tar -C "$copy" -xf -
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check "$copy"
ln -sfn "$venv/bin/swarmpy" /usr/local/bin/swarmpy

# From stdin: what is a process's argument, others on the machine can read.
if [ -s "${JOIN_FILE:-}" ]; then
    "$venv/bin/swarmpy" install --join - "${options[@]}" <"$JOIN_FILE"
elif [ -n "${JOIN_FILE:-}" ] && [ ! -e /var/lib/swarmpy/node.json ]; then
    # Without a token it would make a cluster of its own.
    echo "provision: this machine is no member yet, and $JOIN_FILE holds no join token; is the first machine up?" >&2
    exit 1
else
    "$venv/bin/swarmpy" install "${options[@]}"
fi
