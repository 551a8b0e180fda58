# Puts standard input in the place of one file, whole or not at all. 66: there is no such directory, 73: it cannot be
# written there, 74: it did not arrive whole, 28: it does not fit.
set -u
umask 077
path=$(printf %s "$1" | base64 -d; printf x) mode=$2 size=$3
path=${path%x}
directory=$(dirname "$path"; printf x)
directory=${directory%?x}
[ -d "$directory" ] || exit 66
draft=$(mktemp "$directory/.managedvm-XXXXXX") || exit 73
cat > "$draft" || { rm -f "$draft"; exit 28; }
# A connection that was lost half-way ends the input like any other end.
[ "$(wc -c < "$draft")" -eq "$size" ] || { rm -f "$draft"; exit 74; }
chmod "$mode" "$draft" && mv -f "$draft" "$path" || { rm -f "$draft"; exit 73; }
