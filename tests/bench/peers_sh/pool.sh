#!/bin/bash
# pool.sh POOL/IMAGE...: the fastest that a script can be. Demotes and promotes the whole pool, and believes exit 0: no
# condition is checked, so this is the peer for speed alone (a half-copied demotion would be promoted, and torn).
set -u
pool=${1%%/*}
patience_s=${PEER_PATIENCE_S:-180}
at() { ssh -F "$PEER_SSH_CONFIG" "$1" "$2" </dev/null; }

at source "rbd mirror pool demote $pool" >/dev/null || exit 1
end=$((SECONDS + patience_s))
until said=$(at target "rbd mirror pool promote $pool" 2>&1); do
    [ "$SECONDS" -lt "$end" ] || { printf '%s\n' "$said" >&2; exit 1; }
    sleep 1
done
