#!/usr/bin/env bash
# Builds the Debian package of the programs that lie in DIRECTORY: programs, unit, documents, man pages and completions, user and folder.
# usage: deb.sh DIRECTORY-OF-THE-BINARIES OUT-DIRECTORY
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
binaries=$(cd "${1:?usage: deb.sh DIRECTORY-OF-THE-BINARIES OUT-DIRECTORY}" && pwd)
out=$(mkdir -p "${2:?the directory for the package}" && cd "$2" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
umask 022
# Installing gives the root directory the mode that this one has.
chmod 0755 "$tree"

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
architecture=$(dpkg --print-architecture)
# Two builds of one commit are one package.
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2>/dev/null || date +%s)}"

install -D -m 0755 -s -t "$tree/usr/bin" "$binaries/keyward" "$binaries/keyward-audit-verify"
install -D -m 0644 -t "$tree/usr/lib/systemd/system" "$root/packaging/keyward.service"
install -D -m 0644 "$root/packaging/deb/default" "$tree/etc/default/keyward"
doc="$tree/usr/share/doc/keyward"
install -D -m 0644 -t "$doc" "$root/README.md" "$root/docs/OPERATIONS.md" "$root/docs/THREATS.md" "$root/audit/SPEC.md" "$root/packaging/deb/copyright"
install -D -m 0644 "$root/policies/README.md" "$doc/POLICIES.md"
gzip -9n <"$root/CHANGELOG.md" >"$doc/changelog.gz"
chmod 0644 "$doc/changelog.gz"

# Man pages and completions.
mkdir -p "$tree/usr/share/man/man1"
"$binaries/keyward" man --dir "$tree/usr/share/man/man1" >/dev/null
find "$tree/usr/share/man" -type f -exec gzip -9n {} +
find "$tree/usr/share/man" -type f -exec chmod 0644 {} +
for place in bash:bash-completion/completions/keyward zsh:zsh/vendor-completions/_keyward fish:fish/vendor_completions.d/keyward.fish; do
    "$binaries/keyward" completions "${place%%:*}" | install -D -m 0644 /dev/stdin "$tree/usr/share/${place#*:}"
done

# The libraries that the programs are linked to, as packages of at least the versions here.
depends=$(ldd "$tree/usr/bin/keyward" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p' | xargs -r realpath | sort -u |
    while read -r library; do dpkg -S "$library" 2>/dev/null || dpkg -S "${library#/usr}" 2>/dev/null || true; done |
    sed 's/:.*//' | sort -u | xargs -r dpkg-query -W -f '${Package} ${Version}\n' |
    awk '{ sub(/[-+~].*/, "", $2); printf "%s%s (>= %s)", separator, $1, $2; separator = ", " }')

mkdir -p "$tree/DEBIAN"
cat >"$tree/DEBIAN/control" <<CONTROL
Package: keyward
Version: $version
Architecture: $architecture
Maintainer: keyward maintainers <keyward@localhost>
Section: admin
Priority: optional
Installed-Size: $(du -sk --exclude=DEBIAN "$tree" | cut -f1)
Depends: $depends, passwd
Recommends: ca-certificates
Suggests: systemd
Description: secrets-access gateway with provable evidence
 keyward proves who asks for a secret, decides by policy, records the access durably in a hash-chained log, and only then
 releases the value. keyward-audit-verify checks an exported log offline.
CONTROL
echo /etc/default/keyward >"$tree/DEBIAN/conffiles"
for script in postinst prerm postrm; do install -m 0755 "$root/packaging/deb/$script" "$tree/DEBIAN/$script"; done
(cd "$tree" && find etc usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
find "$tree" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
package="$out/keyward_${version}_${architecture}.deb"
dpkg-deb --root-owner-group -Zxz --build "$tree" "$package"
