#!/bin/bash
# Installs the package into a clean root folder, as a fresh Debian would, and runs
# the binary there. Needs root (chroot).
set -euo pipefail
cd "$(dirname "$0")/.."
deb=$(ls build/fieldgate_*.deb)
root=$(mktemp -d)
chmod 755 "$root"
serve=
trap '[ -z "$serve" ] || kill "$serve" 2>/dev/null || true; rm -rf "$root"' EXIT

say() { echo "package: $*"; }
fail() { echo "package: $*" >&2; exit 1; }

# A root folder with a shell, the tools that maintainer scripts may use, and their libraries.
copy() {
	local file=$1
	[ -e "$root$file" ] || install -D "$(readlink -f "$file")" "$root$file"
	# ldd prints nothing to copy for scripts and static binaries
	local lib
	for lib in $(ldd "$file" 2>/dev/null | grep -oE '/[^ ]+' || true); do
		[ -e "$root$lib" ] || install -D "$(readlink -f "$lib")" "$root$lib"
	done
}
for tool in sh cat cut env getent groupadd hostname id install rm rmdir timeout useradd usermod; do
	copy "$(PATH=$PATH:/usr/sbin:/sbin command -v $tool)"
done
# What the package may count on: all of libc6, and nothing else.
dpkg -L libc6 | grep -E '/lib.*\.so[.0-9]*$' | while read -r lib; do copy "$lib"; done
mkdir -p "$root"/{bin,dev,etc/default,proc,tmp,var/lib/dpkg/{info,updates,triggers},var/log}
copy /bin/sh
mknod -m666 "$root/dev/null" c 1 3
mknod -m444 "$root/dev/urandom" c 1 9
echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
printf 'root:x:0:\ndialout:x:20:\n' >"$root/etc/group"
: >"$root/etc/shadow"
: >"$root/etc/gshadow"
cp /etc/login.defs "$root/etc/"
{
	for package in libc6 passwd; do
		printf 'Package: %s\nStatus: install ok installed\nArchitecture: amd64\nMaintainer: x <x@x.invalid>\nVersion: %s\nDescription: x\n\n' \
			"$package" "$(dpkg-query -Wf '${Version}' "$package")"
	done
} >"$root/var/lib/dpkg/status"
: >"$root/var/lib/dpkg/available"

listing=$(dpkg-deb -c "$deb")
for file in usr/bin/fieldgate lib/systemd/system/fieldgate.service etc/fieldgate/fieldgate.yaml usr/lib/sysusers.d/fieldgate.conf \
	lib/udev/rules.d/60-fieldgate.rules usr/share/doc/fieldgate/copyright usr/share/man/man1/fieldgate.1.gz usr/share/bash-completion/completions/fieldgate \
	usr/share/fieldgate/client/mqtt.js usr/share/fieldgate/client/licenses.md; do
	grep -q " ./$file\$" <<<"$listing" || fail "$file is missing"
done
for script in postinst prerm postrm conffiles; do
	dpkg-deb -I "$deb" "$script" >/dev/null || fail "$script is missing"
done
say "lists what it should"

in_root() { chroot "$root" /usr/bin/env PATH=/usr/bin:/bin:/usr/sbin:/sbin "$@"; }
install_log=$(PATH=$PATH:/usr/sbin:/sbin dpkg --root="$root" --install "$deb" 2>&1) || fail "install: $install_log"
grep -q 'its setup code is [0-9]' <<<"$install_log" || in_root fieldgate setup-code || fail "the installation does not tell the setup code: $install_log"
grep -q '^fieldgate:' "$root/etc/passwd" || fail "no user fieldgate"
[ "$(stat -c %U:%a "$root/var/lib/fieldgate" 2>/dev/null | cut -d: -f2)" = 700 ] || fail "/var/lib/fieldgate has a wrong mode"
foreign=$(find "$root/var/lib/fieldgate" -user 0)
[ -z "$foreign" ] || fail "root owns what the service must write: $foreign"
say "installs and tells the setup code"

in_root fieldgate version
in_root fieldgate check
[ "$(in_root fieldgate setup-code)" != "" ] || fail "no setup code"

chroot "$root" /usr/bin/fieldgate serve 2>"$root/tmp/serve.log" & # chroot becomes the service, so that this is its process
serve=$!
for _ in $(seq 100); do
	[ -S "$root/var/lib/fieldgate/admin.sock" ] && break
	sleep 0.1
done
in_root fieldgate config export | grep -q '^bridges: \[\]' || fail "the service does not answer: $(cat "$root/tmp/serve.log")"
kill "$serve"
wait "$serve" || fail "serve ended with an error: $(cat "$root/tmp/serve.log")"
serve=
say "runs there"

PATH=$PATH:/usr/sbin:/sbin dpkg --root="$root" --purge fieldgate >/dev/null 2>&1 || fail "purge"
[ ! -e "$root/var/lib/fieldgate" ] && [ ! -e "$root/usr/bin/fieldgate" ] || fail "purge leaves things behind"
say "ok"
