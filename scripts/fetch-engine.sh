#!/usr/bin/env bash
# Another Docker engine than the machine's, unpacked into a folder for `swarmpy lab up --engine FOLDER`; the system's own
# packages and lists stay as they are. fetch-engine.sh VERSION FOLDER, where VERSION is 26.1 or 28.5. A folder that has
# it already is left alone.
set -euo pipefail

version=${1:-} folder=${2:-}
case $version in
    26.1) suite=trixie ;;
    28.5) suite=sid ;;
    *) echo "fetch-engine: VERSION is 26.1 or 28.5, the engines in Debian's archive: fetch-engine.sh VERSION FOLDER" >&2; exit 2 ;;
esac
[ -n "$folder" ] || { echo "fetch-engine: say where to: fetch-engine.sh VERSION FOLDER" >&2; exit 2; }

packages=(docker.io containerd runc)
keys=/usr/share/keyrings/debian-archive-keyring.gpg
if [ -x "$folder/dockerd" ]; then exit 0; fi

# Where this machine has Debian from.
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    grep -v '^#' | grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ' || true)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work"/{lists/partial,cache/archives/partial,debs,parts,root}
echo "deb [signed-by=$keys] ${mirror:-http://deb.debian.org/debian} $suite main" >"$work/sources.list"
: >"$work/status"

apt() {
    apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts="$work/parts" \
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts="$work/parts" \
        -o Dir::State::Lists="$work/lists" -o Dir::State::Status="$work/status" \
        -o Dir::Cache="$work/cache" -o Acquire::Languages=none -o APT::Sandbox::User=root "$@"
}

apt update
(cd "$work/debs" && apt download "${packages[@]}")
for package in "$work"/debs/*.deb; do dpkg -x "$package" "$work/root"; done

mkdir -p "$(dirname "$folder")"
made=$(mktemp -d "$folder.XXXXXX")
chmod 755 "$made"
# Built for a later C library, a program may not even load here; the machine's own then stands in for it.
loads() { ! LC_ALL=C ldd "$1" 2>&1 | grep -q 'not found'; }
for program in dockerd docker-proxy docker-init containerd containerd-shim-runc-v2 runc; do
    found=$(find "$work/root" -type f -name "$program" -perm -u+x | head -n 1)
    if [ -n "$found" ] && loads "$found"; then mv "$found" "$made/$program"; fi
done
found=$("$made/dockerd" --version) || { rm -rf "$made"; echo "fetch-engine: this dockerd does not run here" >&2; exit 1; }
case $found in
    *" $version."*) ;;
    *) rm -rf "$made"; echo "fetch-engine: Debian $suite has another engine now: $found" >&2; exit 1 ;;
esac
# Another fetch may have been faster: its folder is as good. What else there may be of that name is not.
mv --no-target-directory "$made" "$folder" 2>/dev/null || rm -rf "$made"
[ -x "$folder/dockerd" ] || { echo "fetch-engine: $folder is there already, and has no dockerd: remove it" >&2; exit 1; }
echo "$found"
