#!/bin/bash
# Makes build/fieldgate_VERSION_ARCH.deb out of bin/fieldgate (make deb).
set -euo pipefail
cd "$(dirname "$0")/.."
version=${VERSION:-0.1.0}
arch=${ARCH:-amd64}
newest_libc=2.36 # bookworm's; the package must run there

binary=bin/fieldgate
root=build/deb
rm -rf "$root"
umask 022

# The newest symbol version that the binary wants is the libc that it needs.
libc=$(objdump -T "$binary" | grep -oE 'GLIBC_[0-9.]+' | sed 's/GLIBC_//' | sort -uV | tail -1)
if [ "$(printf '%s\n%s\n' "$libc" "$newest_libc" | sort -V | tail -1)" != "$newest_libc" ]; then
	echo "deb.sh: $binary needs libc $libc, the package must run on $newest_libc (Debian 12); build it there" >&2
	exit 1
fi

install -Dm755 "$binary" "$root/usr/bin/fieldgate"
install -Dm644 systemd/fieldgate.service "$root/lib/systemd/system/fieldgate.service"
install -Dm644 packaging/fieldgate.yaml "$root/etc/fieldgate/fieldgate.yaml"
install -Dm644 packaging/fieldgate.sysusers "$root/usr/lib/sysusers.d/fieldgate.conf"
install -Dm644 packaging/60-fieldgate.rules "$root/lib/udev/rules.d/60-fieldgate.rules"
install -Dm644 packaging/debian/copyright "$root/usr/share/doc/fieldgate/copyright"
gzip -9nc CHANGELOG.md >build/changelog.gz
install -Dm644 build/changelog.gz "$root/usr/share/doc/fieldgate/changelog.gz"
install -Dm644 -t "$root/usr/share/fieldgate/client" webui/dist/client/mqtt.js webui/dist/client/licenses.md
install -d "$root/usr/share/bash-completion/completions" "$root/usr/share/man/man1"
"$binary" completion bash >"$root/usr/share/bash-completion/completions/fieldgate"
go run -tags manpages -ldflags "-X main.version=$version" ./cmd/fieldgate man-pages "$root/usr/share/man/man1"
gzip -9n "$root"/usr/share/man/man1/*.1

install -d "$root/DEBIAN"
install -m644 packaging/debian/conffiles "$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do
	install -m755 "packaging/debian/$script" "$root/DEBIAN/$script"
done
size=$(du -sk --exclude=DEBIAN "$root" | cut -f1)
sed -e "s/@VERSION@/${version//-/+}/" -e "s/@ARCH@/$arch/" -e "s/@LIBC@/$libc/" -e "s/@SIZE@/$size/" packaging/debian/control >"$root/DEBIAN/control"
(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"

deb=build/fieldgate_${version//-/+}_$arch.deb
rm -f build/fieldgate_*.deb
dpkg-deb --root-owner-group --build -Zxz "$root" "$deb" >/dev/null
echo "$deb"
