#!/usr/bin/env bash
# Installs the package into an empty root, uses it, upgrades, removes and purges it: what it brings, who owns it, and that no data goes
# with it. Needs root (or fakeroot); no systemd, no network. The unit is checked by systemd-analyze if that is installed.
# usage: deb-test.sh PACKAGE
set -euo pipefail

package=$(realpath "${1:?usage: deb-test.sh PACKAGE}")
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
say() { printf 'deb-test: %s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }
has() { [[ -e "$root/$1" ]] || fail "$1 is missing"; }
gone() { [[ ! -e "$root/$1" ]] || fail "$1 is still there"; }
mode() { [[ "$(stat -c %a "$root/$1")" == "$2" ]] || fail "$1 has mode $(stat -c %a "$root/$1"), not $2"; }
((EUID == 0)) || fail "needs root, or fakeroot"

mkdir -p "$root"/var/lib/dpkg/{info,updates,triggers} "$root"/etc "$root"/var/log
touch "$root"/var/lib/dpkg/status "$root"/etc/{passwd,group,shadow,gshadow}
# Maintainer scripts run here, on that root (DPKG_ROOT); what the package depends on is this machine's.
apt_like() {
    dpkg --root="$root" --force-script-chrootless --force-depends --log=/dev/null "$@" 2>&1 |
        sed -e '/depends on\|is not installed\|dependency problems\|^ *$/d' -e 's/^/    /'
}

[[ "$(dpkg-deb -c "$package")" == drwxr-xr-x* ]] || fail "it would change the mode of the root directory"

say "install"
apt_like -i "$package"
for file in usr/bin/keyward usr/bin/keyward-audit-verify usr/lib/systemd/system/keyward.service usr/share/doc/keyward/copyright etc/default/keyward; do
    has "$file"
done
for verb in keyward keyward-serve keyward-secret-get keyward-audit-verify keyward-key-rotate; do
    has "usr/share/man/man1/$verb.1.gz"
done
for place in bash-completion/completions/keyward zsh/vendor-completions/_keyward fish/vendor_completions.d/keyward.fish; do
    grep -q keyward "$root/usr/share/$place" || fail "usr/share/$place completes nothing"
done
mode usr/bin/keyward 755
mode usr/share/man/man1/keyward.1.gz 644
mode var/lib/keyward 700
grep -q '^keyward:.*:/var/lib/keyward:/usr/sbin/nologin$' "$root/etc/passwd" || fail "no user keyward"
ids=$(sed -n 's/^keyward:[^:]*:\([0-9]*\):\([0-9]*\):.*/\1:\2/p' "$root/etc/passwd")
[[ "$(stat -c %u:%g "$root/var/lib/keyward")" == "$ids" ]] || fail "/var/lib/keyward is not the user's"
[[ -z "$(find "$root/usr" "$root/etc" -perm /022 ! -type l)" ]] || fail "somebody else may write what was installed"
(cd "$root" && md5sum --quiet -c var/lib/dpkg/info/keyward.md5sums) || fail "what lies there is not what was packed"

say "use"
installed="$root/usr/bin/keyward"
"$installed" --version
"$installed" init --dir "$root/var/lib/keyward/gateway" --origin deb-test.example/keyward >/dev/null
"$installed" --config "$root/var/lib/keyward/gateway/keyward.toml" doctor
if command -v systemd-analyze >/dev/null; then
    say "unit"
    unit=$(mktemp -d)
    sed -e "s#/usr/bin/keyward#$installed#" "$root/usr/lib/systemd/system/keyward.service" >"$unit/keyward.service"
    verdict=$(systemd-analyze verify --man=no "$unit/keyward.service" 2>&1 | grep -F keyward.service || true)
    [[ -z "$verdict" ]] || fail "$verdict"
    exposure=$(systemd-analyze security --offline=true --no-pager "$unit/keyward.service" 2>/dev/null | sed -n 's/.*Overall exposure level for keyward.service: \([0-9.]*\).*/\1/p')
    rm -r "$unit"
    say "exposure level ${exposure:-not told}"
    [[ -z "$exposure" ]] || awk -v level="$exposure" 'BEGIN { exit !(level <= 2.0) }' || fail "the unit is exposed: $exposure"
else
    say "systemd-analyze is not installed: the unit was not checked"
fi

say "upgrade keeps what was changed and stored"
echo 'KEYWARD_LOG=warn' >>"$root/etc/default/keyward"
before=$(sha256sum "$root/var/lib/keyward/gateway/keys/root.key")
apt_like --force-confold -i "$package"
grep -q '^KEYWARD_LOG=warn' "$root/etc/default/keyward" || fail "a changed configuration file was replaced"
[[ "$(sha256sum "$root/var/lib/keyward/gateway/keys/root.key")" == "$before" ]] || fail "the root key changed"

say "remove keeps configuration and data"
apt_like -r keyward
gone usr/bin/keyward
gone usr/lib/systemd/system/keyward.service
has etc/default/keyward
has var/lib/keyward/gateway/keys/root.key

say "purge keeps data, and says so"
purged=$(apt_like -P keyward)
echo "$purged"
gone etc/default/keyward
has var/lib/keyward/gateway/keys/root.key
grep -q '/var/lib/keyward is kept' <<<"$purged" || fail "it did not say that data is kept"
grep -q '^keyward:' "$root/etc/passwd" || fail "the owner of the data is gone"

say "purge without data leaves nothing"
rm -r "$root/var/lib/keyward/gateway"
apt_like -i "$package" >/dev/null
apt_like -P keyward >/dev/null
gone var/lib/keyward
! grep -q '^keyward:' "$root/etc/passwd" || fail "the user is still there"
say "good: $(basename "$package"), $(stat -c %s "$package") bytes"
