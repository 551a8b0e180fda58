# Writes what there is to update in this guest into one file: `section NAME EXIT-CODE BYTES`, and so many bytes, for each.
# It installs nothing. 0: the report is whole, 65: this system has no package manager that is known here.
set -u
umask 077
report=$1
export LC_ALL=C
work=$(mktemp -d) || exit 73
trap 'rm -rf "$work"' EXIT
mkdir -p "$(dirname "$report")" || exit 73
find "$(dirname "$report")" -type f -mmin +60 -delete
: > "$report.part" || exit 73

section() {
    name=$1
    shift
    "$@" > "$work/said" 2> /dev/null < /dev/null
    code=$?
    printf 'section %s %s %s\n' "$name" "$code" "$(wc -c < "$work/said")" >> "$report.part"
    cat "$work/said" >> "$report.part"
    echo >> "$report.part"
}

active() {
    for unit in "$@"; do
        systemctl --quiet is-enabled "$unit" || systemctl --quiet is-active "$unit" || continue
        echo "$unit"
    done
}

apt_conflicts() {
    # The timer alone installs nothing: apt asks this setting.
    case $(apt-config shell value APT::Periodic::Unattended-Upgrade) in
    "" | "value='0'") ;;
    *) active apt-daily-upgrade.timer apt-daily-upgrade.service ;;
    esac
}

policies() {
    dpkg-query --show --showformat '${binary:Package}\n' | xargs apt-cache policy
}

interrupted() {
    find /var/lib/dpkg/updates -mindepth 1 -type f
}

reboot() {
    [ ! -e /run/reboot-required ] || echo reboot-required
}

rows() {
    dnf --quiet repoquery "$@"
}

section os-release cat /etc/os-release
if command -v apt-get > /dev/null; then
    # Without the mode an update that misses half of the repositories counts as one.
    section refresh apt-get --quiet -o APT::Update::Error-Mode=any -o Acquire::Retries=1 -o Acquire::http::Timeout=30 update
    section architecture dpkg --print-architecture
    section installed dpkg-query --show --showformat '${db:Status-Abbrev}\t${binary:Package}\t${Version}\n'
    section holds apt-mark showhold
    section sources apt-cache policy
    section policy policies
    section interrupted interrupted
    section conflicts apt_conflicts
    section reboot reboot
elif command -v dnf > /dev/null; then
    section refresh dnf --quiet --refresh makecache
    section installed rows --installed --latest-limit=1 --queryformat '%{name}\t%{arch}\t%{epoch}:%{version}-%{release}\n'
    section upgrades rows --upgrades --latest-limit=1 \
        --queryformat '%{name}\t%{arch}\t%{epoch}:%{version}-%{release}\t%{repoid}\n'
    section available rows --queryformat '%{name}\t%{arch}\t%{repoid}\n'
    section advisories dnf --quiet updateinfo list --security --updates
    section locks dnf --quiet versionlock list
    section check dnf --quiet check
    section conflicts active dnf-automatic.timer dnf-automatic-install.timer
    section restarts dnf --quiet needs-restarting --reboothint
else
    exit 65
fi
mv "$report.part" "$report"
