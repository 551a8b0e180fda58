# Records one job and starts it, at most once, however often this is called for it.
#
# Its answer is its exit code: 0 the job is begun, 75 another job runs, 76 the id is another command's,
# 77 it cannot be recorded, 78 it was recorded and did not begin.
set -u
umask 077
job=$1 seconds=$2 first=$3 last=$4 runner=$5
shift 5
state=/var/lib/managedvm volatile=/run/managedvm

mkdir -p "$volatile" || exit 77
exec 9> "$volatile/start.lock"
flock -w 10 9 || exit 75

directory=
for home in "$state" "$volatile"; do
    [ -d "$home/jobs/$job" ] && directory=$home/jobs/$job
done
if [ -n "$directory" ]; then
    printf '%s\n' "$@" | cmp -s - "$directory/command" || exit 76
    [ -e "$directory/runner" ] && exit 0
fi
flock -n "$volatile/run.lock" true || exit 75

# The disk first, because it outlives a restart. A full one is no reason not to run what may empty it.
[ -n "$directory" ] || for home in "$state" "$volatile"; do
    draft=$home/jobs/.draft
    mkdir -p "$home/jobs" || continue
    find "$home/jobs" -mindepth 1 -maxdepth 1 -mtime +30 -exec rm -rf {} +
    rm -rf "$draft"
    # The rename makes the record whole or absent.
    if mkdir "$draft" &&
        printf '%s\n' "$@" > "$draft/command" &&
        printf %s "$runner" | base64 -d > "$draft/run" &&
        mv "$draft" "$home/jobs/$job"; then
        directory=$home/jobs/$job
        break
    fi
    rm -rf "$draft"
done
[ -n "$directory" ] || exit 77

# VMware Tools kill what they started when they restart: the job must be a child of something else.
set -- "$directory/run" "$directory" "$volatile" "$seconds" "$first" "$last"
if [ -d /run/systemd/system ]; then
    systemd-run --quiet --collect --unit="managedvm-job-$job" --property=KillMode=process \
        /bin/sh "$@" 9>&- || exit 78
else
    setsid /bin/sh "$@" < /dev/null > /dev/null 2>&1 9>&- &
fi

# The next call must find the job's lock held, or its record begun.
tries=0
until [ -e "$directory/runner" ]; do
    [ "$tries" -lt 100 ] || exit 78
    tries=$((tries + 1))
    sleep 0.1
done
