# Writes the first bytes of one file. 66: there is no such file, 73: it cannot be read.
set -u
path=$(printf %s "$1" | base64 -d; printf x) most=$2
path=${path%x}
[ -f "$path" ] || exit 66
head -c "$most" < "$path" || exit 73
