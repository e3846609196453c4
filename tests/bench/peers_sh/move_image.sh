#!/bin/bash
# One image from one site to the other, by the published procedure, with the conditions that the portal checks too.
#
#   move_image.sh leave POOL/IMAGE     conditions at both sides, then demote at the source
#   move_image.sh arrive POOL/IMAGE    the demotion has arrived whole, then promote at the target, then look
#   move_image.sh both POOL/IMAGE
#
# PEER_SSH_CONFIG names an ssh configuration with the hosts "source" and "target". Needs ssh and jq.
set -u -o pipefail

step=$1
image=$2
patience_s=${PEER_PATIENCE_S:-180}
limits='timeout -k 5 30 rbd --client-mount-timeout 5 --rados-mon-op-timeout 5 --rados-osd-op-timeout 5'

die() { printf '%s: %s\n' "$image" "$1" >&2; exit 1; }
at() { ssh -F "$PEER_SSH_CONFIG" "$1" "$2" </dev/null; }
read_at() { at "$1" "$limits $2 --format json"; }

# until CONDITION...: ask again until it holds, or give up with its name
until_true() {
    local until=$((SECONDS + patience_s))
    until "$@"; do
        [ "$SECONDS" -lt "$until" ] || die "not within $patience_s s: $*"
        sleep 0.5
    done
}

primary() { read_at "$1" "info $image" | jq -e --argjson want "$2" '.mirroring.primary == $want' >/dev/null; }
mode() { read_at source "info $image" | jq -re .mirroring.mode; }

# only rbd-mirror watches it: in snapshot mode the target's daemon does, under its own name at the source's monitor
nobody_has_it_open() {
    local open sessions
    open=$(read_at source "status $image") || return 1
    jq -e '.watchers | length == 0' >/dev/null <<<"$open" && return 0
    sessions=$(at source "timeout -k 5 30 ceph --connect-timeout 5 tell 'mon.*' sessions --format json") || return 1
    jq -e --argjson sessions "$sessions" '
        [$sessions[] | select(.entity_name | startswith("client.rbd-mirror")) | .global_id] as $mirrors
        | [.watchers[].client] - $mirrors | length == 0' >/dev/null <<<"$open"
}

# the target's rbd-mirror spoke less than 90 s ago, and replays
target_replays() {
    local answer
    answer=$(at target "$limits mirror image status $image --format json && date +%s && date +%z") || return 1
    local status now zone
    status=$(head -n -2 <<<"$answer")
    now=$(tail -n 2 <<<"$answer" | head -n 1)
    zone=$(tail -n 1 <<<"$answer")
    jq -e '.state == "up+replaying"' >/dev/null <<<"$status" || return 1
    local spoke
    spoke=$(date -d "$(jq -r .last_update <<<"$status") $zone" +%s) || return 1
    [ $((now - spoke)) -lt 90 ]
}

# the journal's own client and the peer have committed the same first position
same_position() {
    read_at source "journal status --pool ${image%/*} --image ${image#*/}" | jq -e '
        [.registered_clients[] | select(.id == "") | .commit_position.object_positions[0]] as $own
        | [.registered_clients[] | select(.id != "") | .commit_position.object_positions[0]] as $peer
        | ($own | length) == 1 and ($peer | length) == 1 and $own[0] != null and $own[0] == $peer[0]' >/dev/null
}

newest='[.[] | select(.namespace.type == "mirror")] | max_by(.id)'

last_snapshot_whole() {
    read_at target "snap ls --all $image" | jq -e "$newest | .namespace.complete" >/dev/null
}

# the target's newest mirror snapshot is the source's own demotion, whole
demotion_whole() {
    local own
    own=$(read_at source "snap ls --all $image" | jq -e "$newest | select(.namespace.state == \"demoted\") | .id") || return 1
    read_at target "snap ls --all $image" | jq -e --argjson own "$own" "$newest | .namespace
        | .state == \"demoted\" and .complete and .primary_snap_id == \$own" >/dev/null
}

leave() {
    primary source true || die "is not primary at the source"
    primary target false || die "is not a copy at the target"
    until_true nobody_has_it_open
    until_true target_replays
    if [ "$mode" = journal ]; then until_true same_position; else until_true last_snapshot_whole; fi
    at source "rbd mirror image demote $image" >/dev/null || die "was not demoted"
}

arrive() {
    until_true primary source false
    if [ "$mode" = journal ]; then until_true same_position; else until_true demotion_whole; fi
    primary source false || die "became primary at the source again"
    at target "rbd mirror image promote $image" >/dev/null || die "was not promoted"
    primary target true || die "is not primary at the target after the promotion"
}

mode=$(mode) || die "its mirroring mode cannot be read"
case $step in
    leave) leave ;;
    arrive) arrive ;;
    both) leave && arrive ;;
    *) die "no such step: $step" ;;
esac
