#!/bin/bash
# finish_image.sh POOL/IMAGE: after a program that broke off: the image goes the rest of the way, wherever it stands.
set -u
move=$(dirname "$0")/move_image.sh
at() { ssh -F "$PEER_SSH_CONFIG" "$1" "$2" </dev/null; }
primary_at() { [ "$(at "$1" "rbd info $2 --format json" | jq .mirroring.primary)" = true ]; }

primary_at target "$1" && exit 0
if primary_at source "$1"; then "$move" leave "$1" || exit 1; fi
"$move" arrive "$1"
