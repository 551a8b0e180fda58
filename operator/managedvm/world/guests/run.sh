# Runs one recorded job and leaves its result beside the record. A second run of the same job does nothing.
set -u
umask 077
directory=$1 volatile=$2 seconds=$3 first=$4 last=$5
job=${directory##*/}
work=$volatile/work-$job

exec 8> "$volatile/run.lock"
flock -w 10 8 || exit 75
(set -C; : > "$directory/runner") 2> /dev/null || exit 0

set --
while IFS= read -r word; do
    # The x keeps line ends at the end of an argument, which a substitution would take away.
    word=$(printf %s "${word#x}" | base64 -d; printf x)
    set -- "$@" "${word%x}"
done < "$directory/command"

rm -rf "$work"
mkdir -p "$work" && mkfifo "$work/pipe" && : > "$work/first" && : > "$work/last" || exit 77
{
    # dd writes what it reads at once, so this much is kept even of an output that never ends.
    dd bs=256 count="$((first / 256))" > "$work/first" 2> /dev/null
    tail -c "$((last + 1))" > "$work/last"
    : > "$work/drained"
} < "$work/pipe" 8>&- &

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
HOME=${HOME:-/root}
LC_ALL=C.UTF-8
export PATH HOME LC_ALL
(umask 022; cd / && exec timeout --kill-after=30 "$seconds" "$@") > "$work/pipe" 2>&1 < /dev/null 8>&-
code=$?

# A daemon that the command left behind may hold the pipe open for ever; its output is not waited for.
tries=0
until [ -e "$work/drained" ] || [ "$tries" -ge 50 ]; do
    tries=$((tries + 1))
    sleep 0.1
done

keep() {
    {
        printf 'exit %s\nfirst %s\nlast %s\n\n' "$code" "$(wc -c < "$work/first")" "$(wc -c < "$work/last")" &&
            cat "$work/first" "$work/last"
    } > "$1/result.part" && mv "$1/result.part" "$1/result"
}
if ! keep "$directory"; then
    rm -f "$directory/result.part"
    mkdir -p "$volatile/jobs/$job" && keep "$volatile/jobs/$job"
fi
rm -rf "$work"
