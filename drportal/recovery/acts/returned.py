"""Acts at a site that came back after a forced promotion: its VMs off, its images demoted, discarded and copied again.

Whatever is done here takes something away; each looks first whether the other side is primary, and G-PEER looks again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from drportal.drivers.base import Answer, ImageRef, Order
from drportal.drivers.errors import DriverError
from drportal.drivers.orders import Receipt
from drportal.engine.facts import Mode, RoleFacts, Side, SideFacts, StatusFacts
from drportal.engine.home_gates import LOST_SIGHT
from drportal.engine.unfit import ONE_WAY_REMEDY, flatten, hangs_on, one_way
from drportal.engine.verdicts import Verdict, VerdictCode, VerdictPolicy, verdict
from drportal.recovery.acts.base import Deed, Probe, Task, Ticket, cannot_tell, conflict, done, not_done
from drportal.recovery.acts.images import order_for, strange
from drportal.recovery.acts.vms import PowerOff, action
from drportal.recovery.world import Located, SiteEnd, World, ref_of

# The daemon looks every 30 s at what it is told, and first takes the old copy away.
OBEYS_S = 300.0
FOLLOWS = frozenset({VerdictCode.PROTECTED, VerdictCode.PROTECTED_REVERSED, VerdictCode.BEHIND})


class StopReturned(PowerOff):
    """As any power-off; a VM that is not there any more needs none. One that OpenNebula has lost sight of has no guest
    that could be asked: it is powered off hard, and G-OFF says afterwards whether anybody still has its images open."""

    may_run = False

    async def judge(self, world: World, task: Task, located: Located) -> Probe:
        vm, site = located.vm, task.end.name
        if vm is None:
            return done(f"{site} has no VM that stands for {task.vm.name}.", located.answer)
        if vm.state_word == LOST_SIGHT:
            hard = action(task.end, vm, "poweroff-hard")
            return not_done(f"VM {vm.vm_id} at {site} is UNKNOWN.", hard, located.answer)
        return await super().judge(world, task, located)


class DemoteReturned:
    only_checks = False

    def patience_s(self, world: World) -> float:
        return world.pace.verify_patience_s

    async def probe(self, world: World, task: Task) -> Probe:
        """Two primaries are what it is for: that alone is no conflict here."""
        image, end, other = task.one_image, task.end, world.other(task.end)
        ref = ref_of(image)
        (mine, a), (theirs, b) = await asyncio.gather(end.role(ref), other.role(ref))
        if not mine.exists:
            return done(f"{image.source} is not at {end.name}: a copy is made anew.", a, b)
        if trouble := strange(mine, image.global_id, image.source, end.name):
            return conflict(trouble, a)
        if mine.primary is False:
            return done(f"rbd info says {image.source} is not primary at {end.name}.", a, b)
        if theirs.primary is not True:
            return conflict(_nobody_else(image.source, other.name), a, b)
        deed = Deed(
            end.ceph.command_for("demote", ref), end.host, lambda ticket: end.ceph.demote(order_for(task, mine, ticket))
        )
        return not_done(f"{image.source} is primary at {end.name}, and at {other.name} too.", deed, a, b)


class Saves:
    """Only what has left the line is saved: the rest is at the other side. Nothing of the image changes, so sending it
    twice costs time and room and nothing else; the site's receipt says what was made. ``act``: the driver's word."""

    only_checks = False

    def __init__(self, act: str, told: Callable[[Receipt, str, str], str]) -> None:
        self.act, self.told = act, told

    def patience_s(self, world: World) -> float:
        return world.pace.verify_patience_s

    async def probe(self, world: World, task: Task) -> Probe:
        image, end = task.one_image, task.end
        if task.operation_id and (receipt := await end.receipt(task.operation_id)) is not None:
            if receipt.going_on:
                return cannot_tell(f"{image.source} is being saved at {end.name}.", receipt.answer)
            if receipt.state == "done":
                return done(self.told(receipt, image.source, end.name), receipt.answer)
        (_, back), found, answers = await _verdict(world, task)
        mine = _role(back)
        if not mine.exists:
            return done(f"{image.source} is not at {end.name}: there is nothing to save.", *answers)
        if trouble := strange(mine, image.global_id, image.source, end.name):
            return conflict(trouble, *answers)
        if found.code in FOLLOWS:
            return done(f"At {end.name} it follows: it has nothing of its own to save.", *answers)
        deed = self._deed(end, ref_of(image), lambda ticket: order_for(task, mine, ticket))
        return not_done(f"What {end.name} wrote into {image.source} by itself is nowhere else.", deed, *answers)

    def _deed(self, end: SiteEnd, ref: ImageRef, order: Callable[[Ticket], Order]) -> Deed:
        ceph = end.ceph
        if self.act == "salvage":
            return Deed(ceph.command_for("salvage", ref), end.host, lambda ticket: ceph.salvage(order(ticket)))
        return Deed(
            "", end.host, lambda ticket: ceph.keep_copy(order(ticket)),
            lambda ticket: ceph.keep_command_for(ref, ticket.operation_id),
        )  # fmt: skip


def exported(receipt: Receipt, source: str, site: str) -> str:
    size, path, digest = (receipt.after.get(name) for name in ("bytes", "path", "sha256"))
    return f"{source} as it was at {site}: {size} bytes in {path}, SHA-256 {digest}."


def kept(receipt: Receipt, source: str, site: str) -> str:
    copy, size = receipt.after.get("copy"), receipt.after.get("bytes")
    mirrored = " IT IS MIRRORED: disable that." if receipt.after.get("mirrored") else " Not mirrored."
    return (
        f"{source} as it was at {site} is kept there as {copy}, {size} bytes.{mirrored} "
        f"When nobody wants it any more, at {site}: rbd rm {copy}"
    )


class Resync:
    """Only what has left the line of the other side is discarded; what follows, or is being copied, stays."""

    only_checks = False

    def patience_s(self, world: World) -> float:
        return max(OBEYS_S, world.pace.verify_patience_s)

    async def probe(self, world: World, task: Task) -> Probe:
        image, end, other = task.one_image, task.end, world.other(task.end)
        (good, back), found, answers = await _verdict(world, task)
        mine, status = _role(back), back.status
        if not mine.exists:
            return done(f"{image.source} is not at {end.name}: a copy is made anew.", *answers)
        if trouble := strange(mine, image.global_id, image.source, end.name):
            return conflict(trouble, *answers)
        if wrong := one_way(((end.name, back), (other.name, good))):
            return conflict(f"{wrong} Nothing was discarded. {ONE_WAY_REMEDY}", *answers)
        if wrong := hangs_on(good.role, image.source):
            return conflict(f"At {other.name}: {wrong} Nothing was discarded. {flatten(image.source)}", *answers)
        if mine.primary is True:
            return conflict(f"{image.source} is primary at {end.name} again. Nothing was sent.", *answers)
        if found.code in FOLLOWS or (found.code is VerdictCode.NOT_YET_PROTECTED and _copies(status)):
            return done(f"At {end.name} it follows or is being copied: {found.sentence}", *answers)
        if found.primary_side is None and found.code is not VerdictCode.CANNOT_TELL:
            return conflict(_nobody_else(image.source, other.name), *answers)
        if found.code is not VerdictCode.DIVERGED:
            return cannot_tell(f"It is not clear yet whether it has to be discarded: {found.sentence}", *answers)
        deed = Deed(
            end.ceph.command_for("resync", ref_of(image)),
            end.host,
            lambda ticket: end.ceph.resync(order_for(task, mine, ticket)),
        )
        return not_done(found.sentence, deed, *answers)


class Follows:
    """Nothing is sent: the step is its gate, and its sentence tells how far the copy is."""

    only_checks = True

    def patience_s(self, world: World) -> float:
        return 0.0

    async def probe(self, world: World, task: Task) -> Probe:
        side, answers = await task.end.side(task.one_image, positions=False)
        if side.role is None or not side.role.exists:
            return await self._not_yet(world, task, answers)
        said = f"{side.status.state}, {side.status.description}" if side.status else "no status yet"
        return not_done(f"{task.end.name} says: {said}.", None, *answers)

    async def _not_yet(self, world: World, task: Task, answers: list[Answer]) -> Probe:
        """A copy whose source is gone would be waited for without a word about that."""
        said, other = f"{task.one_image.source} is not at {task.end.name} yet", world.other(task.end)
        try:
            await other.role(ref_of(task.one_image))
        except DriverError as error:
            return cannot_tell(
                f"{said}, and {other.name}, from which it is copied, can't be read: {error.detail}", *answers
            )
        return cannot_tell(f"{said}.", *answers)


def _copies(status: StatusFacts | None) -> bool:
    """The daemon at the returned site makes this copy anew.

    One that has just come back says nothing of it at first, or that it replays, and *split-brain* a few seconds later
    (seen in snapshot mode): neither is a sign that it follows.
    """
    return status is not None and status.syncing


async def _verdict(world: World, task: Task) -> tuple[tuple[SideFacts, SideFacts], Verdict, list[Answer]]:
    """(The other site as side A and home, the returned one as side B), and what both say together."""
    image, journal = task.one_image, task.one_image.mode == Mode.JOURNAL
    (good, a), (back, b) = await asyncio.gather(
        world.other(task.end).side(image, positions=journal), task.end.side(image, positions=not journal)
    )
    return (good, back), verdict(good, back, VerdictPolicy(), world.clock(), home=Side.A), [*a, *b]


def _role(side: SideFacts) -> RoleFacts:
    assert side.role is not None, "a side that answered has one"
    return side.role


def _nobody_else(source: str, other: str) -> str:
    return (
        f"{source} is not primary at {other}, so what is here may be all there is. Nothing was sent. "
        "Look at the image's verdict."
    )
