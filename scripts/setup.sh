#!/usr/bin/env bash
# Brings a fresh Debian machine to where swarmpy runs (`setup.sh demo`) or is tested (`setup.sh test`).
# Installs only what is missing, and does nothing at all when nothing is.
set -euo pipefail
cd "$(dirname "$0")/.."

purpose=${1:-demo}
stamp=.venv/.ready-$purpose

say() { echo "setup: $*"; }
have() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }

missing_packages() {
    python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
    have dockerd || echo docker.io iptables
    have ip || echo iproute2
    have etcd || echo etcd-server
    if [ "$purpose" = test ]; then
        have iptables || echo iptables
        have busybox || echo busybox-static
        have nft || echo nftables
        have wg || echo wireguard-tools
        have wireguard-go || echo wireguard-go
        have shellcheck || echo shellcheck
        have ruby || echo ruby
        have systemd-analyze || echo systemd
        have chromium || echo chromium
        # Of the Node.js that playwright brings along.
        /sbin/ldconfig -p | grep -q 'libatomic\.so\.1' || echo libatomic1
    fi
}

install_packages() {
    say "installing $*"
    export DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends "$@" >/dev/null
    # Debian starts an etcd of its own, which nobody here asked for: each node runs one on its own socket.
    if [[ " $* " == *" etcd-server "* ]] && [ -d /run/systemd/system ]; then
        systemctl disable --now etcd
    fi
}

# Without root the etcd wheel stands in for the package; the rest only an administrator can do.
say_what_root_would_do() {
    echo "setup: not root, so this was not done:" >&2
    echo "  apt-get install -y --no-install-recommends $*" >&2
    echo "Run it as root (or run make as root), then make again." >&2
}

make_venv() {
    local extras=$1
    [ -x .venv/bin/python ] || python3 -m venv .venv
    say "installing swarmpy into .venv"
    .venv/bin/pip install --quiet --quiet --disable-pip-version-check --editable ".$extras"
}

if ! have python3 || ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "setup: Python 3.11 or later is needed; Debian 12 has it: apt-get install python3" >&2
    exit 1
fi

extras=()
[ "$purpose" = test ] && extras+=(dev)
read -r -a missing <<<"$(missing_packages | tr ' ' '\n' | sort -u | tr '\n' ' ')"
if [ "${#missing[@]}" -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && have apt-get; then
        install_packages "${missing[@]}"
    else
        needed=()
        for package in "${missing[@]}"; do
            if [ "$package" = etcd-server ]; then extras+=(etcd); else needed+=("$package"); fi
        done
        if [ "${#needed[@]}" -gt 0 ]; then
            say_what_root_would_do "${needed[@]}"
            exit 1
        fi
    fi
fi

if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
    list=$(IFS=,; echo "${extras[*]}")
    make_venv "${list:+[$list]}"
    touch "$stamp"
fi
