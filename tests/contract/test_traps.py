"""The ways in which plain ``rbd`` loses data with exit 0, on both kinds of lab, and what the portal says to each.

Each trap has two halves. The *victim* goes the way of a shell: exit 0, and the copies differ. The *saved* image is in
the same situation: the portal's gate refuses with its reason, the way that it names is walked, and the data are equal.
Most of the time Ceph's beats are waited for; so images of both modes are in the same situation at the same time.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from drportal.drivers.base import ImageRef, MirrorMode
from drportal.drivers.base_cloud import VmPhase
from drportal.drivers.errors import Reason, Refused
from drportal.drivers.site_program import SiteProgram
from drportal.engine.gates import START_OVER, GateId, GateOutcome
from drportal.engine.verdicts import VerdictCode
from drportal.lab.control import MIB, LabClient, LabError
from tests.contract.conftest import Site, becomes_true
from tests.contract.handover import ARRIVES_S, CATCHES_UP_S, Handover

Scenario = Callable[[LabClient, Site, Site, MirrorMode], Awaitable[None]]

numbers = itertools.count(8000)
WAITED_LONG_S = 90.0
JUST_S = 5.0
TRIES = 8


async def made(
    lab: LabClient, a: Site, b: Site, mode: MirrorMode, count: int, size_bytes: int = 4 * MIB
) -> list[Handover]:
    """New images, primary at a with data of their own, replaying and caught up at b."""
    refs = [ImageRef(lab.description.pool, f"one-{next(numbers)}") for _ in range(count)]
    await asyncio.gather(
        *(asyncio.to_thread(lab.create_image, "a", ref.name, mode=mode.value, size_bytes=size_bytes) for ref in refs)
    )
    images = [await Handover.of(ref, a, b) for ref in refs]
    for image in images:
        await write(lab, "a", image, "first")
    await asyncio.gather(*(image.becomes_met(GateId.PATH, CATCHES_UP_S) for image in images))
    await asyncio.gather(*(image.becomes_met(GateId.SYNC, CATCHES_UP_S) for image in images))
    return images


async def in_both_modes(scenario: Scenario, lab: LabClient, a: Site, b: Site) -> None:
    """Beside each other, each with images of its own; the scenario must break nothing that the other one needs."""

    async def one(mode: MirrorMode) -> None:
        try:
            await scenario(lab, a, b, mode)
        except BaseException as error:
            error.add_note(f"with images in {mode.value} mode")
            raise

    async with asyncio.TaskGroup() as modes:
        for mode in MirrorMode:
            modes.create_task(one(mode))


async def write(lab: LabClient, site: str, image: Handover, what: str) -> None:
    await asyncio.to_thread(lab.write, site, image.ref.name, f"{what} of {image.ref}")


async def content(lab: LabClient, site: str, image: Handover) -> str:
    return await asyncio.to_thread(lab.checksum, site, image.ref.name)


async def differ(lab: LabClient, image: Handover) -> bool:
    return await content(lab, "a", image) != await content(lab, "b", image)


async def after_a_beat(*places: tuple[Site, Handover]) -> None:
    """Until the mirror daemon of each site has just had its beat: only at that does it take up a new primary."""

    async def young() -> bool:
        told = await asyncio.gather(*(site.ceph.status(image.ref) for site, image in places))
        return all(status.age_s is not None and status.age_s < JUST_S for status, _ in told)

    await becomes_true(young, 100, "the mirror daemons' next beat", seldom_s=JUST_S / 5)


# --- abort after the demote, write, try again


async def sprung(lab: LabClient, victim: Handover, saved: Handover) -> bool:
    """What plain rbd does to the victim now: exit 0, without --force, and what was written last is gone. False when the
    mirror daemon was quick enough: then there is no trap."""
    told = {image.ref: await image.gate(GateId.DEMOTED) for image in (victim, saved)}
    tried = await victim.promote()
    if told[victim.ref].met:
        assert tried.exit_status == 0
        assert not await differ(lab, victim), "the gate said that nothing would be lost"
        return False
    if tried.exit_status != 0 or told[saved.ref].met:
        return False
    if not await differ(lab, victim):
        return False  # it arrived between the gate's look and the promotion
    for result in told.values():
        assert result.outcome is GateOutcome.NOT_MET, result.sentence
        if victim.mode is MirrorMode.JOURNAL:
            assert "replayed" in result.sentence
        else:
            assert "belongs to an earlier handover" in result.sentence
            assert result.hopeless, "snapshot ids tell at once that waiting is in vain"
    return True


async def test_a_retry_after_an_abort_loses_the_write_with_rbd_and_is_refused_and_mended_by_the_portal(
    lab: LabClient, a: Site, b: Site
) -> None:
    await in_both_modes(retried, lab, a, b)


async def retried(lab: LabClient, a: Site, b: Site, mode: MirrorMode) -> None:
    for _ in range(TRIES):
        victim, saved = await made(lab, a, b, mode, 2)
        await arrived(saved, victim)
        await after_a_beat((b, saved), (b, victim))
        for image in (saved, victim):
            assert (await image.back().promote()).exit_status == 0
            await write(lab, "a", image, "after the abort")
            assert (await image.demote()).exit_status == 0
        if await sprung(lab, victim, saved):
            break
    else:
        pytest.fail("b followed each time before the second demote, so nothing was shown")
    assert await victim.primaries() == (False, True)

    await asyncio.sleep(20)  # far longer than a demotion takes
    late = await saved.gate(GateId.DEMOTED, demoted_s_ago=WAITED_LONG_S)
    assert late.outcome is GateOutcome.NOT_MET
    assert late.hopeless
    assert late.remedy is not None
    assert START_OVER in late.remedy

    written = await content(lab, "a", saved)
    await saved.start_over()
    assert await content(lab, "b", saved) == written


async def arrived(*images: Handover) -> None:
    """Demoted in order, and the demotion is there."""
    for image in images:
        assert (await image.demote()).exit_status == 0
    await asyncio.gather(*(image.becomes_met(GateId.DEMOTED, ARRIVES_S) for image in images))


# --- failback seconds after the failover


async def test_a_quick_failback_ends_with_two_primaries_with_rbd_and_is_refused_and_mended_by_the_portal(
    lab: LabClient, a: Site, b: Site
) -> None:
    await in_both_modes(failed_back, lab, a, b)


async def failed_back(lab: LabClient, a: Site, b: Site, mode: MirrorMode) -> None:
    for _ in range(TRIES):
        victim, saved = await made(lab, a, b, mode, 2)
        await arrived(saved, victim)
        await after_a_beat((a, saved), (a, victim))
        for image in (saved, victim):
            assert (await image.promote()).exit_status == 0
            assert not (await image.back().gate(GateId.PATH)).met, "the portal would not demote: a does not follow yet"
            await write(lab, "b", image, "at the other side")
            assert (await image.back().demote()).exit_status == 0
        if await sprung(lab, victim.back(), saved.back()):
            break
    else:
        pytest.fail("a followed each time before the demote, so nothing was shown")

    assert (await victim.promote()).exit_status == 0, "and now the other one too, without --force"
    assert await victim.primaries() == (True, True)
    both = await victim.gate(GateId.PROMOTED)
    assert both.outcome is GateOutcome.NOT_MET
    assert both.sentence.startswith("TWO PRIMARIES")
    assert (await victim.verdict()).code is VerdictCode.TWO_PRIMARIES

    written = await content(lab, "b", saved)
    await saved.back().start_over()
    assert await saved.primaries() == (True, False)
    assert await content(lab, "a", saved) == written


# --- the mirror daemon dies while the demotion snapshot is copied

SIZES_MIB = (64, 128, 256, 256)
SLICE_S = 0.1
# The embedded lab copies a disk of any size in less than a second: there a demotion takes half a minute instead.
SLOWLY_PER_S = 30


async def arriving(image: Handover) -> bool | None:
    """None: the demotion is not there at all; else whether the copy of it is complete."""
    snaps = (await image.target.ceph.snapshots(image.ref)).mirror_snapshots
    return bool(snaps[-1].complete) if snaps and snaps[-1].state == "demoted" else None


async def half_copied(lab: LabClient, a: Site, b: Site) -> tuple[list[Handover], dict[str, set[str]]]:
    """Two demoted images of which b has the demotion in part only, its daemon dead; each one's old and new content.

    Of the first one the bytes at b are neither: an incomplete snapshot alone can also mean that the daemon had not
    yet written a byte, or had written the last one.
    """
    for size_mib in SIZES_MIB:
        images = await made(lab, a, b, MirrorMode.SNAPSHOT, 2, size_mib * MIB)
        whole = {image.ref.name: {await content(lab, "b", image)} for image in images}
        for image in images:
            await write(lab, "a", image, "second")
            whole[image.ref.name].add(await content(lab, "a", image))
        slowly = lab.description.kind == "embedded"
        if slowly:
            await asyncio.to_thread(lab.fail, "b", "slow-replay", rate=SLOWLY_PER_S)
        await asyncio.gather(*(image.demote() for image in images))
        torn = await frozen_in_the_middle(lab, images, whole)
        await asyncio.to_thread(lab.fail, "b", "rbd-mirror-down")
        await asyncio.to_thread(lab.restore, "b", "rbd-mirror-hung")
        if slowly:
            await asyncio.to_thread(lab.restore, "b", "slow-replay")
        if torn:
            return sorted(images, key=lambda image: image not in torn), whole
        await asyncio.to_thread(lab.restore, "b", "rbd-mirror-down")
    pytest.fail("the mirror daemon was never found in the middle of both copies, so nothing was shown")


async def frozen_in_the_middle(lab: LabClient, images: list[Handover], whole: dict[str, set[str]]) -> list[Handover]:
    """Let b's daemon work in slices and look in between, while it stands still: a look takes longer than many a copy.

    Returns the images whose bytes at b are neither the old nor the new ones, with the daemon frozen and both copies
    incomplete; nothing when one of them was complete first.
    """
    until = asyncio.get_running_loop().time() + ARRIVES_S
    while asyncio.get_running_loop().time() < until:
        await asyncio.to_thread(lab.fail, "b", "rbd-mirror-hung")
        found = [await arriving(image) for image in images]
        if True in found:
            return []
        if found == [False, False]:
            torn = [image for image in images if await content(lab, "b", image) not in whole[image.ref.name]]
            if torn:
                return torn
        await asyncio.to_thread(lab.restore, "b", "rbd-mirror-hung")
        await asyncio.sleep(SLICE_S)
    raise AssertionError("b never began to copy both demotions")


async def test_half_a_demotion_is_promoted_to_a_torn_disk_by_rbd_and_refused_and_mended_by_the_portal(
    lab: LabClient, a: Site, b: Site
) -> None:
    (victim, saved), whole = await half_copied(lab, a, b)
    refused = await victim.gate(GateId.DEMOTED)
    assert refused.outcome is GateOutcome.NOT_MET
    assert "Ceph would promote a torn disk with exit 0" in refused.sentence

    if isinstance(b.ceph, SiteProgram):
        with pytest.raises(Refused) as caught:
            await b.promote(victim.ref)
        assert caught.value.reason is Reason.DEMOTION_NOT_ARRIVED, (
            "the site refuses by itself, whatever the portal judged"
        )
    assert (await victim.promote()).exit_status == 0, "after the dead daemon's lock has expired"
    assert await victim.primaries() == (False, True)
    assert await content(lab, "b", victim) not in whole[victim.ref.name], "neither the old nor the new content: torn"

    await asyncio.to_thread(lab.restore, "b", "rbd-mirror-down")

    async def looks_handed_over() -> bool:
        states = [(await site.ceph.status(saved.ref))[0].state for site in (a, b)]
        return states == ["up+unknown", "up+unknown"]

    await becomes_true(looks_handed_over, 150, "both sides show up+unknown, as after a demotion that arrived")
    still = await saved.gate(GateId.DEMOTED, demoted_s_ago=WAITED_LONG_S)
    assert still.outcome is GateOutcome.NOT_MET, "the restarted daemon does not finish the copy"
    assert still.hopeless
    assert still.remedy is not None
    assert START_OVER in still.remedy

    await saved.start_over()
    assert await content(lab, "b", saved) == await content(lab, "a", saved)
    assert await content(lab, "b", saved) in whole[saved.ref.name]


# --- demoted under a running VM


async def test_a_demote_cuts_a_running_vm_off_with_rbd_and_the_portal_wants_it_off_first(
    lab: LabClient, a: Site, b: Site
) -> None:
    vm = (await a.cloud.everything()).vms[0]
    assert vm.phase is VmPhase.RUNNING
    assert vm.disks[0].source is not None
    disk = await Handover.of(ImageRef(*vm.disks[0].source.split("/")), a, b, vm.vm_id)
    await disk.becomes_met(GateId.PATH, CATCHES_UP_S)
    refused = await disk.gate(GateId.OFF)
    assert refused.outcome is GateOutcome.NOT_MET
    assert "OpenNebula says RUNNING" in refused.sentence
    assert int(refused.facts["foreign_watchers"] or 0) >= 1, "and it sees who holds the image"

    writer = asyncio.create_task(writes_on(lab, disk))
    await asyncio.sleep(1)
    assert not writer.done(), "a client writes"
    assert (await disk.demote()).exit_status == 0, "exit 0 under a writer, and no warning"
    assert "not primary" in await asyncio.wait_for(writer, 20), "the writer is cut off"
    assert (await a.cloud.vm(vm.vm_id))[0].phase is VmPhase.RUNNING, "OpenNebula does not notice"
    assert int((await disk.gate(GateId.OFF)).facts["foreign_watchers"] or 0) >= 1

    await disk.becomes_met(GateId.DEMOTED, ARRIVES_S)
    assert (await disk.back().promote()).exit_status == 0
    await a.cloud.vm_action(vm.vm_id, "poweroff")
    await disk.becomes_met(GateId.OFF, 90)
    written = await content(lab, "a", disk)
    await disk.orderly()
    assert await content(lab, "b", disk) == written

    await disk.back().orderly()  # home again, as the other scenarios expect it
    await a.cloud.vm_action(vm.vm_id, "resume")

    async def runs() -> bool:
        return (await a.cloud.vm(vm.vm_id))[0].phase is VmPhase.RUNNING

    await becomes_true(runs, 60, "the VM runs at home")


async def writes_on(lab: LabClient, image: Handover) -> str:
    """Writes until it is refused; what it was told then."""
    for number in itertools.count():
        try:
            await write(lab, "a", image, f"write {number}")
        except LabError as error:
            return str(error)
        await asyncio.sleep(0.2)
    raise AssertionError


# --- a copy that has left the line of its primary


async def test_a_diverged_copy_keeps_the_way_shut_until_it_is_discarded_and_copied_again(
    lab: LabClient, a: Site, b: Site
) -> None:
    """The end that the way back of an interrupted move has now and then; here it is brought about by force."""
    await in_both_modes(diverged, lab, a, b)


async def diverged(lab: LabClient, a: Site, b: Site, mode: MirrorMode) -> None:
    (image,) = await made(lab, a, b, mode, 1)
    assert (await image.force_promote()).exit_status == 0
    await write(lab, "b", image, "nobody else's")
    await write(lab, "a", image, "meanwhile at home")
    assert (await image.back().demote()).exit_status == 0
    assert await image.primaries() == (True, False), "which looks like a copy that follows"
    written = await content(lab, "a", image)

    assert await image.follow_or_copy_again(), "it does not follow"
    await image.orderly()
    assert await content(lab, "b", image) == written


# --- the status text that stays primary


async def test_the_status_still_says_primary_after_a_demote_and_the_portal_goes_by_info(
    lab: LabClient, a: Site, b: Site
) -> None:
    images = [image for mode in MirrorMode for image in await made(lab, a, b, mode, 1)]
    written = [await content(lab, "a", image) for image in images]

    async def shown_as_primary(image: Handover) -> bool:
        return "local image is primary" in (await a.ceph.status(image.ref))[0].description

    await asyncio.to_thread(lab.fail, "b", "rbd-mirror-down")
    for image in images:
        await becomes_true(partial(shown_as_primary, image), 60, "the status shows the primary (every 30 s)")
        await after_a_beat((a, image))  # the next one would tell
        assert (await image.demote()).exit_status == 0
        assert await image.primaries() == (False, False), "nobody is primary"
        assert await shown_as_primary(image), "and the status says that a is"

    for image in images:
        told = await image.gate(GateId.DEMOTED)
        assert told.outcome is GateOutcome.NOT_MET
        assert told.facts["source_primary"] is False, "by rbd info"
        assert (await image.verdict()).code is VerdictCode.HANDOVER_NOT_PROPAGATED

    await asyncio.to_thread(lab.restore, "b", "rbd-mirror-down")
    await asyncio.gather(*(image.becomes_met(GateId.DEMOTED, CATCHES_UP_S) for image in images))
    for image, before in zip(images, written, strict=True):
        assert (await image.promote()).exit_status == 0
        assert await content(lab, "b", image) == before
