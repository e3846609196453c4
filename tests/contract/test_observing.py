"""One observation of many images says what the single questions say, in every way in which a site is reached."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from drportal.drivers.base import (
    Answer,
    ImageRef,
    JournalReading,
    MirrorMode,
    SnapshotReading,
)
from drportal.drivers.observation import Part
from drportal.lab.control import LabClient
from tests.contract.conftest import Site

numbers = itertools.count(7500)
NO_ANSWER: Answer = None  # type: ignore[assignment]


@pytest.mark.parametrize("side", ["a", "b"])
async def test_many_images_at_once_are_what_each_is_alone(lab: LabClient, sites: dict[str, Site], side: str) -> None:
    site, pool = sites[side], lab.description.pool
    refs = {}
    for mode in MirrorMode:
        ref = ImageRef(pool, f"one-{next(numbers)}")
        lab.create_image("a", ref.name, mode=mode.value)
        refs[mode] = ref
    absent = ImageRef(pool, "no-such-image")
    parts = [Part.INFO, Part.JOURNAL, Part.SNAPSHOTS, Part.WATCHERS, Part.STATUS, Part.POOL, Part.MIRROR_CLIENTS]
    seen = await site.ceph.observe(pool, parts, [ref.name for ref in (*refs.values(), absent)])
    assert seen.images[absent.name].absent
    for mode, ref in refs.items():
        image = seen.images[ref.name]
        info = await site.ceph.info(ref)
        assert image.info is not None
        assert replace(image.info, answer=NO_ANSWER) == replace(info, answer=NO_ANSWER)
        assert image.status is not None
        assert image.status.global_id == info.global_id
        assert image.watchers is not None
        if mode is MirrorMode.JOURNAL:
            journal = await site.ceph.journal(ref)
            assert isinstance(image.journal, JournalReading)
            assert {client.client_id for client in image.journal.clients} == {one.client_id for one in journal.clients}
        else:
            snapshots = await site.ceph.snapshots(ref)
            assert isinstance(image.snapshots, SnapshotReading)
            known = {snapshot.snap_id: snapshot for snapshot in snapshots.mirror_snapshots}
            common = [one for one in image.snapshots.mirror_snapshots if one.snap_id in known]
            assert common, "at least the newest of the two readings' snapshots is the same"
            assert all((one.name, one.on_primary) == (known[one.snap_id].name, one.on_primary) for one in common)
            assert image.journal is None
    assert seen.pool is not None
    assert seen.mirror_clients is not None
    alone = await site.ceph.pool(pool)
    assert set(seen.pool.image_names) == set(alone.image_names)
    assert set(seen.pool.statuses) == set(alone.statuses)
    assert (seen.pool.mode, seen.pool.site_name, seen.pool.peers) == (alone.mode, alone.site_name, alone.peers)
    assert seen.mirror_clients.clients == (await site.ceph.mirror_clients(pool)).clients
    await every_mirrored_image_tells_its_role_at_once(sites, list(refs.values()))
    every = await site.ceph.observe(pool, [Part.INFO])
    assert set(every.images) == set(alone.statuses)
    assert all(image.info is not None and not image.troubles for image in every.images.values())


async def every_mirrored_image_tells_its_role_at_once(sites: dict[str, Site], refs: list[ImageRef]) -> None:
    """Demoted and promoted again at site a: what is asked of all must not be older than what is asked of one."""
    for act, primary in (("demote", False), ("promote", True)):
        for ref in refs:
            await getattr(sites["a"], act)(ref)
        seen = (await sites["a"].ceph.observe(refs[0].pool, [Part.INFO])).images
        told = [info.primary for ref in refs if (info := seen[ref.name].info) is not None]
        assert told == [primary] * len(refs)
        for site in sites.values():
            await each_image_alone_says_what_it_says_among_all(site, refs)


async def each_image_alone_says_what_it_says_among_all(site: Site, refs: list[ImageRef]) -> None:
    """The site program has more than one way to an image's role: what they say must be the same."""
    among_all = (await site.ceph.observe(refs[0].pool, [Part.INFO])).images
    for ref in refs:
        alone = await site.ceph.image(ref, [Part.INFO, Part.SNAPSHOTS])
        opened = await site.ceph.image(ref, [Part.INFO, Part.WATCHERS])
        by_itself = await site.ceph.info(ref)
        assert (alone.troubles, opened.troubles) == ({}, {})
        for told in (alone.info, opened.info, among_all[ref.name].info):
            assert told is not None
            assert replace(told, answer=NO_ANSWER) == replace(by_itself, answer=NO_ANSWER)
        assert alone.snapshots is not None
        if by_itself.mode is MirrorMode.SNAPSHOT:
            newest = alone.snapshots.mirror_snapshots[-1]
            assert (newest.state == "primary") is by_itself.primary
