"""The acts of a disaster and of the way back, through the driver and the site program; and its word for each."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from drportal.drivers.base import ImageRef, MirrorMode, Order
from drportal.drivers.errors import Reason, Refused
from drportal.drivers.orders import Warrant
from drportal.drivers.site_program import SiteProgram
from drportal.engine.gates import GateId
from drportal.lab.control import MIB, LabClient
from tests.contract.conftest import Site, becomes_true
from tests.contract.handover import CATCHES_UP_S, Handover

numbers = itertools.count(9000)
SIZE = 8 * MIB
WARRANT = Warrant("approval-1", "c0ffee" * 10 + "abcd")


@pytest.fixture
def mode(reach: str) -> MirrorMode:
    """On real Ceph each of these costs a minute, so each way in which a site is reached has its own."""
    return MirrorMode.SNAPSHOT if reach == "program-librbd" else MirrorMode.JOURNAL


async def made(lab: LabClient, mode: MirrorMode) -> ImageRef:
    """A new image, primary at a, replaying at b."""
    ref = ImageRef(lab.description.pool, f"one-{next(numbers)}")
    await asyncio.to_thread(lab.create_image, "a", ref.name, mode=mode.value, size_bytes=SIZE)
    return ref


async def caught_up(lab: LabClient, a: Site, b: Site, ref: ImageRef) -> Handover:
    """With data of its own that b has, too."""
    await asyncio.to_thread(lab.write, "a", ref.name, f"first of {ref}")
    image = await Handover.of(ref, a, b)
    await image.becomes_met(GateId.PATH, CATCHES_UP_S)
    await image.becomes_met(GateId.SYNC, CATCHES_UP_S)
    return image


def program(site: Site) -> SiteProgram:
    assert isinstance(site.ceph, SiteProgram)
    return site.ceph


async def deposit(site: Site, ref: ImageRef) -> None:
    """What the site's own people do there, where the program asks for it."""
    hello = (await program(site).hello()).raw
    if hello["force_promote"] == "deposited":
        (Path(hello["state"]) / "approvals" / WARRANT.sha256).write_text(f"{ref}\n")


async def test_a_lost_site_comes_home_and_what_only_it_had_is_saved(
    lab: LabClient, a: Site, b: Site, mode: MirrorMode
) -> None:
    ref = await made(lab, mode)
    image = await caught_up(lab, a, b, ref)
    await deposit(b, ref)
    forced = await b.order(ref, primary=False)
    answer = await b.ceph.force_promote(forced, WARRANT)
    assert answer.exit_status == 0
    assert answer.command.endswith(f"mirror image promote --force {ref}")
    assert await image.primaries() == (True, True), "the other side lives, so there are two"
    told = (await program(b).receipts(0)).receipts
    (receipt,) = [one for one in told if one["op"] == forced.operation_id]
    assert (receipt["verb"], receipt["state"], receipt["approval"]) == ("force-promote", "done", WARRANT.sha256)

    since = (await a.ceph.snapshots(ref)).mirror_snapshots[-1].snap_id if mode is MirrorMode.SNAPSHOT else None
    await asyncio.to_thread(lab.write, "a", ref.name, f"written at the lost site to {ref}")
    await asyncio.to_thread(lab.write, "b", ref.name, f"written at the survivor to {ref}")
    lost, kept = [await asyncio.to_thread(lab.checksum, side, ref.name) for side in ("a", "b")]
    assert lost != kept

    order = await a.order(ref, primary=True)
    assert (await a.ceph.salvage(order)).exit_status == 0
    await is_saved(lab, a, order, lost)

    assert (await a.ceph.demote(await a.order(ref, primary=True))).exit_status == 0
    await is_measured(lab, a, ref, since)
    if lab.description.kind == "ceph":
        await is_not_kept_without_room_or_name(a, ref)
    copy = await is_kept(lab, a, ref, lost)
    assert (await a.ceph.resync(await a.order(ref, primary=False))).exit_status == 0

    async def copied_again() -> bool:
        """The copy is another image then; until it is there, there is none."""
        try:
            follows = (await a.ceph.status(ref))[0].state == "up+replaying"
            return follows and await asyncio.to_thread(lab.checksum, "a", ref.name) == kept
        except Refused:
            return False

    await becomes_true(copied_again, CATCHES_UP_S, "the lost site has what the survivor has")
    assert await image.primaries() == (False, True)
    assert await asyncio.to_thread(lab.checksum, "a", copy.name) == lost, "it outlives the discard"


async def is_measured(lab: LabClient, site: Site, ref: ImageRef, since: int | None) -> None:
    """All of the image was written once since its peer had it."""
    found, answer = await site.ceph.measure(ref, since)
    assert (found.entries is None) is (since is not None)
    told = json.loads(answer.stdout)
    assert told["how"] == ("blocks" if since is not None else "journal")
    if lab.description.kind == "embedded":  # each entry of the model is one block, whatever was written
        assert found.size_bytes > 0
    else:
        assert SIZE <= found.size_bytes < 2 * SIZE
    if since is not None:
        with pytest.raises(Refused) as caught:
            await site.ceph.measure(ref, 987654)
        assert caught.value.reason is Reason.NOT_FOUND, "no figure from another snapshot"
    elif (await program(site).hello()).raw["engine"] == "rbd":
        with pytest.raises(Refused, match="can't compare"):
            await site.ceph.measure(ref, 1)


async def is_not_kept_without_room_or_name(site: Site, ref: ImageRef) -> None:
    """Nothing is begun where the pool's quota has no room for it; where its name is taken, it says what is in the way.
    Both by Ceph's own word, so on real Ceph only."""

    async def by_hand(*argv: str) -> None:
        answer = await site.shell.act(argv)
        assert answer.exit_status == 0, answer.stderr

    order = await site.order(ref, primary=False)
    quota = ("ceph", "osd", "pool", "set-quota", ref.pool, "max_bytes")
    await by_hand(*quota, str(1000 * MIB))  # less than is kept free in any case
    try:
        with pytest.raises(Refused, match="has room for") as caught:
            await site.ceph.keep_copy(order)
        assert caught.value.reason is Reason.NO_ROOM
    finally:
        await by_hand(*quota, "0")
    order = await site.order(ref, primary=False)
    name = f"{ref.name}.kept-{hashlib.sha256(order.operation_id.encode()).hexdigest()[:16]}.part"
    await by_hand("rbd", "create", "--size", "1M", f"{ref.pool}/{name}")
    with pytest.raises(Refused) as caught:
        await site.ceph.keep_copy(order)
    assert f"rbd rm {ref.pool}/{name}" in caught.value.detail
    receipt = await site.ceph.receipt(order.operation_id)
    assert receipt is not None and receipt.state == "not-done"
    await by_hand("rbd", "rm", f"{ref.pool}/{name}")


async def is_kept(lab: LabClient, site: Site, ref: ImageRef, content: str) -> ImageRef:
    """Under a name of its own, not mirrored, with what the image held; asked again, it is one copy."""
    order = await site.order(ref, primary=False)
    answer = await site.ceph.keep_copy(order)
    assert answer.exit_status == 0
    assert " copy --no-progress --image-feature " in answer.command
    receipt = await site.ceph.receipt(order.operation_id)
    assert receipt is not None
    assert (receipt.state, receipt.after["bytes"], receipt.after["mirrored"]) == ("done", SIZE, False)
    assert json.loads((await site.ceph.keep_copy(order)).stdout)["after"] == receipt.after
    pool, _, name = receipt.after["copy"].partition("/")
    copy = ImageRef(pool, name)
    found = await site.ceph.info(copy)
    assert (found.size_bytes, found.mode, found.primary, "journaling" in found.features) == (SIZE, None, None, False)
    assert await asyncio.to_thread(lab.checksum, "a", copy.name) == content
    listed = (await site.ceph.pool(ref.pool)).image_names
    assert [one for one in listed if one.startswith(f"{ref.name}.kept-")] == [copy.name]
    return copy


async def is_saved(lab: LabClient, site: Site, order: Order, content: str) -> None:
    """The file is what its receipt and its sum say, and gives back what the image held, byte for byte."""
    receipt = await site.ceph.receipt(order.operation_id)
    assert receipt is not None and receipt.state == "done"
    file = Path(receipt.after["path"])
    held = file.read_bytes()
    assert receipt.after["bytes"] == len(held)
    assert receipt.after["sha256"] == hashlib.sha256(held).hexdigest()
    assert file.with_name(file.name + ".sha256").read_text().split() == [receipt.after["sha256"], file.name]
    if lab.description.kind == "embedded":  # its images have no bytes; the file names what the copy was
        assert f"{order.ref} at site a: " in held.decode() and content in held.decode()
        return
    restored = ImageRef(order.ref.pool, f"{order.ref.name}-restored")
    for argv in (
        ["rbd", "create", "--size", f"{SIZE}B", str(restored)],
        ["rbd", "import-diff", str(file), str(restored)],
    ):
        answer = await site.shell.act(argv)
        assert answer.exit_status == 0, answer.stderr
    assert await asyncio.to_thread(lab.checksum, "a", restored.name) == content


async def test_one_operation_is_one_act_and_a_barred_one_none(lab: LabClient, a: Site, mode: MirrorMode) -> None:
    ref = await made(lab, mode)
    order = await a.order(ref, primary=True)
    first = await a.ceph.demote(order)
    assert (await a.ceph.promote(await a.order(ref, primary=False))).exit_status == 0
    again = await a.ceph.demote(order)
    assert json.loads(again.stdout) == json.loads(first.stdout), "the same id is answered with its receipt"
    assert (await a.ceph.info(ref)).primary is True, "and is not carried out again"
    other = replace(order, expect=replace(order.expect, global_id="another"))
    with pytest.raises(Refused, match="another act"):
        await a.ceph.demote(other)

    lost = await a.order(ref, primary=True)
    receipt = await a.ceph.receipt(lost.operation_id)
    assert receipt is not None
    assert (receipt.state, receipt.going_on) == ("not-done", False), "asked for, it can never be begun"
    with pytest.raises(Refused, match="barred"):
        await a.ceph.demote(lost)
    assert (await a.ceph.info(ref)).primary is True


async def test_who_has_lost_the_run_can_not_act_any_more(lab: LabClient, a: Site, mode: MirrorMode) -> None:
    ref = await made(lab, mode)
    group = f"group-{uuid.uuid4()}"
    new = replace(await a.order(ref, primary=True), group=group, fence=7)
    assert (await a.ceph.demote(new)).exit_status == 0
    old = replace(await a.order(ref, primary=False), group=group, fence=6)
    with pytest.raises(Refused) as caught:
        await a.ceph.promote(old)
    assert caught.value.reason is Reason.STALE_FENCE
    assert (await a.ceph.info(ref)).primary is False
    mine = replace(await a.order(ref, primary=False), group=group, fence=7)
    assert (await a.ceph.promote(mine)).exit_status == 0
