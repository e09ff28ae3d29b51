#!/usr/bin/env bash
# Makes the demo's image on this machine, with no registry: one static busybox and a page.
# demo-image.sh IMAGE ENGINE
set -euo pipefail
cd "$(dirname "$0")/.."

image=$1 engine=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

is_static() { ! LC_ALL=C ldd "$1" 2>&1 | grep -q '=>'; }

# Debian's package is only unpacked: installing it would push a machine's own busybox aside.
unpack_busybox() {
    (cd "$work" && chmod 755 . && apt-get download -qq busybox-static >/dev/null 2>&1 && dpkg -x busybox-static_*.deb unpacked) || {
        echo "demo-image: no static busybox here: apt-get install busybox-static" >&2
        exit 1
    }
    echo "$work/unpacked/bin/busybox"
}

busybox=$(command -v busybox || true)
if [ -z "$busybox" ] || ! is_static "$busybox"; then busybox=$(unpack_busybox); fi

rootfs=$work/rootfs
mkdir -p "$rootfs"/{bin,etc,tmp,www/cgi-bin}
cp "$busybox" "$rootfs/bin/busybox"
for name in sh httpd nc sleep hostname; do ln -s busybox "$rootfs/bin/$name"; done
cp examples/hello/index.cgi "$rootfs/www/cgi-bin/index.cgi"
cp examples/hello/healthcheck "$rootfs/healthcheck"
echo 'root:x:0:0:root:/:/bin/sh' >"$rootfs/etc/passwd"

tar -C "$rootfs" -c . | docker -H "$engine" import \
    --change 'CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]' --change 'EXPOSE 8080' - "$image" >/dev/null
