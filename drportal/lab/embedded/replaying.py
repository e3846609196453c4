"""What rbd-mirror does to one image between two looks at it, played in order of time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from drportal.lab.embedded.copies import JOURNAL, SNAPSHOT, Copy, Published, Replay, Role, Snap
from drportal.lab.embedded.describe import replaying_text, syncing_text
from drportal.lab.embedded.pair import Pair
from drportal.lab.embedded.progress import last_poll, rebase, stop, synced_source_id
from drportal.lab.embedded.writelog import Content, Point

Event = tuple[float, Callable[[float], None]]
NEVER: Event = (math.inf, lambda at: None)

NOBODY_PRIMARY = Published("unknown", "remote image is not primary", 0.0)


def advance(pair: Pair, now: float) -> None:
    """Play everything up to `now`. Cheap when nothing happened: at most a few beats are evaluated, and nothing at all
    before the next thing is due."""
    if pair.mode is not None and now >= pair.due_at:
        for _ in range(10_000):
            at, happen = min(_events(pair, now), key=lambda event: event[0], default=NEVER)
            if at > now:
                pair.due_at = at
                break
            happen(at)
            pair.at = max(pair.at, at)
    pair.at = max(pair.at, now)


def daemon_gone(pair: Pair, site: str, now: float) -> None:
    """rbd-mirror of `site` died: what it held stays locked until its watch expires."""
    copy = pair.copies.get(site)
    if copy is None:
        return
    if copy.replay is not None:
        copy.lock_until = now + pair.around.timing.watch_s
    stop(pair, copy, now)
    if copy.syncing:
        copy.sync_until = math.inf
    pair.touch(now)


def daemon_stands(pair: Pair, site: str, now: float) -> None:
    """rbd-mirror of `site` stands still: what it has open it keeps, and what it copies stays where it is."""
    copy = pair.copies.get(site)
    if copy is None:
        return
    if copy.replay is not None:
        rebase(pair, copy, now)
        # for ever: seen on real clusters in snapshot mode only
        copy.lock_until = math.inf if pair.mode == SNAPSHOT else now + pair.around.timing.watch_s
    pair.touch(now)


def daemon_goes_on(pair: Pair, site: str, now: float, stood_s: float) -> None:
    """It takes up its work where it stood, and the beat that it missed meanwhile comes now."""
    copy = pair.copies.get(site)
    if copy is not None:
        if copy.replay is not None:
            copy.lock_until = now
            rebase(pair, copy, now)
        if copy.sync_from is not None:
            copy.sync_from, copy.sync_until = copy.sync_from + stood_s, copy.sync_until + stood_s
    last = pair.around.tick_number(site, now)
    if pair.mode is not None and last > pair.ticked.get(site, -1):
        pair.ticked[site] = last
        evaluate(pair, site, now)
    pair.touch(now)


# ---- what comes next


def _events(pair: Pair, now: float) -> Iterator[Event]:
    """Those that are due at `now`, and of each kind the next one after it."""
    for site in list(pair.copies) + [s for s in pair.create_at if s not in pair.copies]:
        yield from _work(pair, site)
    for copy in pair.copies.values():
        beat = _schedule_beat(pair, copy, now)
        if beat is not None:
            yield beat
    for site in _sites(pair):
        tick = _next_tick(pair, site, now)
        if tick is not None:
            yield tick


def _sites(pair: Pair) -> tuple[str, ...]:
    one = next(iter(pair.copies), None)
    return () if one is None else (one, pair.around.other(one))


def _work(pair: Pair, site: str) -> Iterator[Event]:
    around, copy, source = pair.around, pair.copies.get(site), pair.far(site)
    if not around.daemon_works(site) or not around.replay_rate_per_s(site) or source is None:
        return
    if copy is None:
        if source.role is Role.PRIMARY:
            yield pair.create_at[site], lambda at: _appear(pair, site, at)
    elif copy.syncing:
        yield copy.sync_until, lambda at: _synced(pair, copy, at)
    elif copy.replay is not None:
        yield from _journal_work(pair, copy, source) if pair.mode == JOURNAL else _snapshot_work(pair, copy, source)


def _journal_work(pair: Pair, copy: Copy, source: Copy) -> Iterator[Event]:
    """Only the end of a journal is an event: the demotion record arrives."""
    replay, timing = copy.replay, pair.around.timing
    if source.role is not Role.ORPHAN or replay is None or source.point is None:
        return
    end = source.log.segments[-1]
    length = source.point.index
    if replay.goal < length:
        poll = last_poll(pair, max(replay.at, end.began + timing.settle_s) + timing.poll_s)
        yield poll, lambda at: rebase(pair, copy, at)
    else:
        wait_s = (length - replay.position) / replay.rate_per_s
        yield replay.at + wait_s + 1e-6, lambda at: _demotion_arrived(pair, copy, length, at)


def _snapshot_work(pair: Pair, copy: Copy, source: Copy) -> Iterator[Event]:
    replay = copy.replay
    assert replay is not None
    if replay.busy is not None:
        left_s = (replay.busy_amount - replay.busy_done) / replay.rate_per_s
        yield replay.at + left_s, lambda at: _snap_copied(pair, copy, source, at)
        return
    newest = source.last_snap
    if newest is not None and newest.source_id is None and newest.id > synced_source_id(copy, source):
        at = max(replay.at, newest.created + pair.around.timing.notice_s)
        yield at, lambda begin: _begin_snap(pair, copy, source, newest, begin)


def _schedule_beat(pair: Pair, copy: Copy, now: float) -> Event | None:
    """The snapshot schedule. Of many missed beats only the last two matter."""
    last, every = copy.last_snap, pair.around.schedule_s(copy.site, pair.name)
    scheduled = pair.mode == SNAPSHOT and copy.role is Role.PRIMARY and pair.around.site_up(copy.site)
    if not scheduled or last is None or every is None:
        return None
    beat = max(
        (math.floor((last.created - pair.phase) / every) + 1) * every + pair.phase,
        (math.floor((now - pair.phase) / every) - 1) * every + pair.phase,
    )
    if beat <= last.created:
        beat += every
    return beat, lambda at: _scheduled(pair, copy, at)


def _scheduled(pair: Pair, copy: Copy, at: float) -> None:
    pair.take_snap(copy, at, demoted=False)
    _prune_source(copy)


def _next_tick(pair: Pair, site: str, now: float) -> Event | None:
    around = pair.around
    if not around.daemon_works(site):
        return None
    last, done = around.tick_number(site, now), pair.ticked.get(site, -1)
    number = done + 1 if pair.calm < 4 else max(last, done + 1)

    def beat(at: float) -> None:
        pair.ticked[site] = number
        pair.calm += 1
        evaluate(pair, site, at)

    return around.tick_time(site, number), beat


# ---- what happens


def publish(pair: Pair, site: str, state: str, description: str, at: float) -> None:
    """Write the status into both clusters, as the daemon of `site` does."""
    status = Published(state, description, at)
    if site in pair.copies:
        pair.published[site] = status
    pair.published_far[site] = status


def evaluate(pair: Pair, site: str, at: float) -> None:
    """One look of the rbd-mirror of `site` at this image, at a beat."""
    copy, source, around = pair.copies.get(site), pair.far(site), pair.around
    if not around.replay_rate_per_s(site):
        _last_words(pair, copy, source, at)
        return
    if copy is None:
        if source is not None and source.role is Role.PRIMARY:
            pair.create_at.setdefault(site, at + around.timing.create_s)
        elif source is not None:
            publish(pair, site, NOBODY_PRIMARY.state, NOBODY_PRIMARY.description, at)
    elif copy.role is Role.PRIMARY:
        publish(pair, site, "stopped", "local image is primary", at)
    elif source is None:
        publish(pair, site, "error", "error bootstrapping replay", at)
    elif source.role is Role.PRIMARY:
        _follow(pair, copy, source, at)
    elif copy.role is Role.REPLICA and not copy.syncing:
        _replay(pair, copy, source, at)
    elif copy.replay is None:
        publish(pair, site, NOBODY_PRIMARY.state, NOBODY_PRIMARY.description, at)


def _last_words(pair: Pair, copy: Copy | None, source: Copy | None, at: float) -> None:
    """The peer does not answer: on the first beat after that the daemon tells once more, to its own cluster, how far it
    had come. Then the old text stays, with its old time. (While a line was cut, Ceph was seen to write nothing; after
    the death of a primary also the old text again and again, as if the peer were idle. Here a cut line does that, which
    is the harder to see through.)
    """
    said = pair.published.get(copy.site) if copy is not None else None
    if copy is None or copy.replay is None or source is None or said is None or said.state != "replaying":
        return
    if pair.around.parted():
        pair.published[copy.site] = Published(said.state, said.description, at)
    elif said.at < copy.replay.at:
        pair.published[copy.site] = Published(said.state, replaying_text(pair, copy, source, at), at)


def _follow(pair: Pair, copy: Copy, source: Copy, at: float) -> None:
    """The other side is primary: obey a resync, go on, begin, or find that the histories have parted."""
    if copy.resync:
        del pair.copies[copy.site]
        pair.published[copy.site] = pair.published_far[copy.site] = None
        source.peer_index = None
        pair.create_at[copy.site] = at + pair.around.timing.tick_s
        pair.calm = 0
    elif copy.syncing:
        if math.isinf(copy.sync_until):
            _begin_sync(pair, copy, at)
        publish(pair, copy.site, *syncing_text(pair, copy, at), at)
    elif copy.replay is None and diverged(pair, copy, source, at):
        publish(pair, copy.site, "error", "split-brain detected" if pair.mode == JOURNAL else "split-brain", at)
    else:
        _replay(pair, copy, source, at)


def _replay(pair: Pair, copy: Copy, source: Copy, at: float) -> None:
    if copy.replay is None:
        if source.role is Role.PRIMARY:
            copy.role = Role.REPLICA
        position = 0
        if copy.point is not None and pair.mode == JOURNAL:
            position = copy.point.index if copy.point.log == source.log.number else _epoch_begin(source)
        copy.replay = Replay(at, position, position, pair.around.replay_rate_per_s(copy.site))
        pair.calm = 0
    publish(pair, copy.site, "replaying", replaying_text(pair, copy, source, at), at)


def _epoch_begin(source: Copy) -> int:
    return source.log.epochs[-1][0] if source.log.epochs else 0


def diverged(pair: Pair, copy: Copy, source: Copy, at: float) -> bool:
    """Whether the copy's last record is not in the source's history, so that replay cannot continue it."""
    if pair.mode == JOURNAL:
        point = copy.point
        return point is None or not source.log.contains(point, source.log.length_at(at), pair.logs)
    last = copy.last_snap
    if last is None:
        return True
    if last.source_id is not None:
        return all(snap.id != last.source_id or snap.source_id is not None for snap in source.snaps)
    return all(snap.source_id != last.id for snap in source.snaps)


def _demotion_arrived(pair: Pair, copy: Copy, length: int, at: float) -> None:
    source = pair.far(copy.site)
    assert copy.replay is not None and source is not None
    copy.replay = Replay(at, length, length, copy.replay.rate_per_s)
    stop(pair, copy, at)
    copy.role = Role.ORPHAN
    pair.calm = 0
    publish(pair, copy.site, "stopped", "stopped", at)


def _begin_snap(pair: Pair, copy: Copy, source: Copy, theirs: Snap, at: float) -> None:
    replay = copy.replay
    assert replay is not None
    held = synced_source_id(copy, source)
    before = next((snap.index for snap in source.snaps if snap.id == held), 0)
    replay.at, replay.busy, replay.busy_done = at, theirs, 0.0
    replay.busy_amount = max(1, theirs.index - before)
    if copy.last_snap is not None and not copy.last_snap.complete:
        copy.snaps.pop()
    snap = Snap(pair.around.next_snap_id(copy.site), theirs.name_id, at, theirs.demoted, theirs.content)
    snap.complete, snap.source_id, snap.source_created = False, theirs.id, theirs.created
    copy.snaps.append(snap)
    if theirs.demoted:
        copy.role = Role.ORPHAN  # from here on Ceph itself would accept a promotion, were the copy not locked


def _snap_copied(pair: Pair, copy: Copy, source: Copy, at: float) -> None:
    replay, mine = copy.replay, copy.snaps[-1]
    assert replay is not None and replay.busy is not None
    held = synced_source_id(copy, source)
    theirs_before = next((snap.content for snap in source.snaps if snap.id == held), None)
    same = theirs_before is None or theirs_before == copy.base
    mine.complete, mine.content = True, mine.content if same else copy.base.mixed_with(mine.content, "mixed")
    copy.base, copy.snaps = mine.content, [mine]
    replay.at, replay.busy = at, None
    for snap in source.snaps:
        snap.peer_linked = snap.id >= (mine.source_id or 0)
    _prune_source(source)
    if mine.demoted:
        copy.replay = None
        pair.calm = 0
        publish(pair, copy.site, "unknown", "remote image demoted", at)


def _prune_source(source: Copy) -> None:
    """Keep what the other side still needs, and one older."""
    unlinked = [snap for snap in source.snaps if not snap.peer_linked][:-1]
    source.snaps = [snap for snap in source.snaps if snap not in unlinked]


def _appear(pair: Pair, site: str, at: float) -> None:
    """The copy comes into being on the other side, empty, and its first full copy begins."""
    del pair.create_at[site]
    copy = pair.new_copy(site, Content.named("new", at), at)
    copy.role = Role.REPLICA
    pair.published[site] = pair.published_far[site] = None
    _begin_sync(pair, copy, at)
    pair.calm = 0


def _begin_sync(pair: Pair, copy: Copy, at: float) -> None:
    timing = pair.around.timing
    takes_s = min(timing.sync_most_s, pair.size_bytes / timing.sync_bytes_per_s)
    copy.sync_from, copy.sync_until = at, at + takes_s


def _synced(pair: Pair, copy: Copy, at: float) -> None:
    source = pair.far(copy.site)
    assert source is not None and copy.sync_from is not None
    rate = pair.around.replay_rate_per_s(copy.site)
    index = source.log.length_at(copy.sync_from)
    copy.sync_from = None
    copy.base, copy.point = source.log.content_at(index), Point(source.log.number, index)
    copy.replay = Replay(at, index, index, rate)
    theirs = source.last_snap
    if pair.mode == SNAPSHOT and theirs is not None:
        copy.base = theirs.content
        mine = Snap(pair.around.next_snap_id(copy.site), theirs.name_id, at, theirs.demoted, theirs.content)
        mine.source_id, mine.source_created = theirs.id, theirs.created
        copy.snaps = [mine]
        if theirs.demoted:
            copy.role, copy.replay = Role.ORPHAN, None
            publish(pair, copy.site, "unknown", "remote image demoted", at)
            return
    pair.calm = 0
    publish(pair, copy.site, "replaying", replaying_text(pair, copy, source, at), at)
