"""What the drivers say about mirrored images, on the embedded lab and on real Ceph alike."""

from __future__ import annotations

import itertools

import pytest

from drportal.drivers.base import ImageRef, MirrorMode, ScheduleLine
from drportal.drivers.errors import AlreadySo, Reason, Refused
from drportal.lab.control import LabClient
from tests.contract.conftest import Site, becomes_true

numbers = itertools.count(7000)
both_modes = pytest.mark.parametrize("mode", list(MirrorMode))


def made(lab: LabClient, mode: MirrorMode) -> ImageRef:
    """A new image, primary at a, replaying at b."""
    ref = ImageRef(lab.description.pool, f"one-{next(numbers)}")
    lab.create_image("a", ref.name, mode=mode.value)
    return ref


async def demotion_arrived(old: Site, new: Site, ref: ImageRef, mode: MirrorMode) -> bool:
    """The positional proof: what the demoted side wrote last is what the other side has, whole."""
    if mode is MirrorMode.JOURNAL:
        positions = {client.client_id: client.position for client in (await old.ceph.journal(ref)).clients}
        own = positions.pop("", None)
        return own is not None and bool(positions) and set(positions.values()) == {own}
    demoted = [s for s in (await old.ceph.snapshots(ref)).mirror_snapshots if s.state == "demoted"]
    arrived = (await new.ceph.snapshots(ref)).mirror_snapshots
    if not demoted or not arrived:
        return False
    last = arrived[-1]
    return last.state == "demoted" and last.complete is True and last.primary_snap_id == demoted[-1].snap_id


@both_modes
async def test_a_healthy_image_is_read_the_same_way_on_both_sides(
    lab: LabClient, a: Site, b: Site, mode: MirrorMode
) -> None:
    ref = made(lab, mode)
    here, there = await a.ceph.info(ref), await b.ceph.info(ref)
    assert (here.primary, there.primary) == (True, False)
    assert (here.mode, there.mode) == (mode, mode)
    assert here.global_id == there.global_id
    assert here.size_bytes == there.size_bytes > 0
    assert (here.parent, there.parent) == (None, None)

    async def healthy() -> bool:
        """A daemon that was killed stays listed for a while, with a warning; so does one that has just begun."""
        pools = [await site.ceph.pool(ref.pool) for site in (a, b)]
        return all("OK" in [daemon.health for daemon in pool.daemons] for pool in pools)

    await becomes_true(healthy, 180, "both mirror daemons are healthy")
    readings = [await site.ceph.pool(ref.pool) for site in (a, b)]
    for reading in readings:
        assert reading.mode == "image"
        assert ref.name in reading.image_names
        assert len(reading.peers) == 1
        assert reading.peers[0].direction == "rx-tx"
        assert reading.site_clock_skew_s is not None
        assert abs(reading.site_clock_skew_s) < 3
    assert readings[0].site_name == readings[1].peers[0].site_name
    assert readings[1].site_name == readings[0].peers[0].site_name
    replica = readings[1].statuses[ref.name]
    assert (replica.state, replica.global_id) == ("up+replaying", there.global_id)
    assert replica.age_s is not None
    assert -3 <= replica.age_s < 45
    status, answer = await b.ceph.status(ref)
    assert (status.name, status.state, answer.exit_status) == (ref.name, "up+replaying", 0)


async def test_an_orderly_handover_rests_on_positions_and_not_on_the_status(lab: LabClient, a: Site, b: Site) -> None:
    refs = {mode: made(lab, mode) for mode in MirrorMode}
    written = {}
    for mode, ref in refs.items():
        lab.write("a", ref.name, seed=f"before {ref.name}")
        written[mode] = lab.checksum("a", ref.name)
        await promotion_is_refused(b, ref)

    async def shown_as_primary(for_at_most_s: float) -> bool:
        told = [(await a.ceph.status(ref))[0] for ref in refs.values()]
        young = all(status.age_s is not None and status.age_s < for_at_most_s for status in told)
        return young and all("local image is primary" in status.description for status in told)

    lab.fail("b", "rbd-mirror-down")  # or the demotion may arrive before the next line
    just_written = "the status has just been written (every 30 s)"
    await becomes_true(lambda: shown_as_primary(3), 90, just_written, seldom_s=0.7)
    for ref in refs.values():
        await a.demote(ref)
        assert (await a.ceph.info(ref)).primary is False, "info is right at once"
    assert await shown_as_primary(40), "the status is a cache, written every 30 s"
    # Not so in snapshot mode: Ceph may accept a promotion there while the demotion is still being copied.
    await promotion_is_refused(b, refs[MirrorMode.JOURNAL])
    lab.restore("b", "rbd-mirror-down")

    async def arrived() -> bool:
        return all([await demotion_arrived(a, b, ref, mode) for mode, ref in refs.items()])

    await becomes_true(arrived, 180, "the demotions arrive")
    for mode, ref in refs.items():
        await b.promote(ref)
        assert ((await a.ceph.info(ref)).primary, (await b.ceph.info(ref)).primary) == (False, True)
        assert lab.checksum("b", ref.name) == written[mode]


async def promotion_is_refused(site: Site, ref: ImageRef) -> None:
    with pytest.raises(Refused) as caught:
        await site.promote(ref)
    assert caught.value.reason is Reason.DEMOTION_NOT_ARRIVED


@both_modes
async def test_what_is_so_already_is_told_apart_from_what_failed(
    lab: LabClient, a: Site, b: Site, mode: MirrorMode
) -> None:
    ref = made(lab, mode)
    for site, act, primary in ((a, a.promote, True), (b, b.demote, False)):
        with pytest.raises((AlreadySo, Refused)) as caught:
            await act(ref)
        # A cluster that keeps its log off standard error names no cause; then only the role tells.
        assert isinstance(caught.value, AlreadySo) or caught.value.reason is Reason.OTHER
        assert caught.value.answer is not None
        assert caught.value.answer.exit_status == 22
        assert (await site.ceph.info(ref)).primary is primary


async def test_an_image_that_is_not_there(a: Site, lab: LabClient) -> None:
    ref = ImageRef(lab.description.pool, "no-such-image")
    for ask in (a.ceph.info, a.ceph.status, a.ceph.watchers, a.ceph.snapshots, a.demote, a.promote):
        with pytest.raises(Refused) as caught:
            await ask(ref)
        assert caught.value.reason is Reason.NOT_FOUND
        assert caught.value.answer is not None
        assert caught.value.answer.exit_status == 2


async def test_a_pool_that_is_not_there(a: Site, reach: str) -> None:
    with pytest.raises(Refused) as caught:
        await a.ceph.pool("no-such-pool")
    # A key of an installed program is not even told whether there is a pool that is none of its own.
    assert caught.value.reason is (Reason.NO_RIGHTS if reach == "installed" else Reason.NOT_FOUND)


async def test_an_image_that_is_not_mirrored(lab: LabClient, a: Site) -> None:
    ref = ImageRef(lab.description.pool, f"one-{next(numbers)}")
    answer = await a.shell.act(["rbd", "create", "--size", "4", str(ref)])
    assert answer.exit_status == 0, answer.stderr
    info = await a.ceph.info(ref)
    assert (info.mode, info.primary, info.global_id) == (None, None, None)
    for ask in (a.ceph.status, a.demote, a.promote):
        with pytest.raises(Refused) as caught:
            await ask(ref)
        assert caught.value.reason is Reason.NOT_MIRRORED
    reading = await a.ceph.pool(ref.pool)
    assert ref.name in reading.image_names
    assert ref.name not in reading.statuses


async def test_a_mirror_daemon_that_keeps_an_image_open_is_told_from_a_guest(lab: LabClient, a: Site, b: Site) -> None:
    """In snapshot mode the *peer's* daemon watches the primary image as long as it follows it, VM or no VM."""
    refs = {mode: made(lab, mode) for mode in MirrorMode}
    for ref in refs.values():
        lab.write("a", ref.name, "so that there is something to follow")

    async def only_daemons_watch() -> bool:
        daemons = (await a.ceph.mirror_clients(lab.description.pool)).clients
        watchers = {mode: {one.client for one in (await a.ceph.watchers(ref)).watchers} for mode, ref in refs.items()}
        followed = bool(watchers[MirrorMode.SNAPSHOT])
        return followed and len(daemons) >= 2 and all(found <= daemons for found in watchers.values())

    await becomes_true(only_daemons_watch, 90, "nobody but mirror daemons has the images open")
    guest = (await a.cloud.everything()).vms[0].disks[0].source
    assert guest is not None
    pool, _, name = guest.partition("/")
    watching = {watcher.client for watcher in (await a.ceph.watchers(ImageRef(pool, name))).watchers}
    assert watching - (await a.ceph.mirror_clients(pool)).clients, "a running VM's watcher is nobody's daemon"


async def test_the_version_is_told(a: Site, b: Site) -> None:
    for site in (a, b):
        version, _ = await site.ceph.version()
        assert int(version.split(".")[0]) >= 15


async def test_snapshot_schedules_are_told_at_every_level(lab: LabClient, a: Site) -> None:
    """As both labs begin: one of a minute for the pool."""
    pool, ref = lab.description.pool, made(lab, MirrorMode.SNAPSHOT)
    of_pool = ScheduleLine(pool, "", "1m", "")

    async def schedule(*words: str) -> None:
        answer = await a.shell.act(["rbd", "mirror", "snapshot", "schedule", *words])
        assert answer.exit_status == 0, answer.stderr

    async def told() -> list[ScheduleLine]:
        return sorted((await a.ceph.schedules(pool)).lines, key=lambda line: (line.image, line.interval))

    assert await told() == [of_pool]
    of_image = ("--pool", pool, "--image", ref.name)
    await schedule("add", *of_image, "5m")
    await schedule("add", *of_image, "60m", "14:00")
    await schedule("add", "2h")
    own = [ScheduleLine(pool, ref.name, "1h", "14:00:00"), ScheduleLine(pool, ref.name, "5m", "")]
    assert await told() == [of_pool, *own], "the pool's own stands before that of all pools"
    await schedule("remove", "--pool", pool)
    assert await told() == [ScheduleLine("", "", "2h", ""), *own]
    await schedule("remove", *of_image, "5m")
    await schedule("remove", "2h")
    assert await told() == own[:1]
    await schedule("remove", *of_image)
    assert await told() == []
    await schedule("add", "--pool", pool, "1m")
    assert await told() == [of_pool]
