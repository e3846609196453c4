"""Acts on the roles of images.

Both sides are read each time: what is right at one side may be wrong because of the other.
"""

from __future__ import annotations

import asyncio

from drportal.drivers.base import Answer, Expectation, MirrorSnapshot, Order
from drportal.drivers.errors import DriverError
from drportal.engine.facts import Mode, RoleFacts
from drportal.recovery.acts.base import Deed, Probe, Task, Ticket, cannot_tell, conflict, done, not_done
from drportal.recovery.world import SiteEnd, World, ref_of


class _RoleAct:
    only_checks = False
    verb = ""

    def patience_s(self, world: World) -> float:
        return world.pace.verify_patience_s

    async def probe(self, world: World, task: Task) -> Probe:
        ref, image = ref_of(task.one_image), task.one_image
        other = world.other(task.end)
        (mine, a), there = await asyncio.gather(task.end.role(ref), _role_or_error(other, task))
        if trouble := strange(mine, image.global_id, image.source, task.end.name):
            return conflict(trouble, a)
        theirs, b = (None, None) if isinstance(there, DriverError) else there
        if theirs is not None and mine.primary and theirs.primary:
            return conflict(
                f"TWO PRIMARIES: {image.source} is primary at {task.end.name} and at {other.name}. "
                "Nothing was sent. Stop every writer at one side first.",
                a,
                b,
            )
        command = task.end.ceph.command_for(self.verb, ref)
        deed = Deed(command, task.end.host, lambda ticket: self.send(task, mine, ticket))
        return self.judge(task, mine, theirs, deed, (a, b), there.detail if isinstance(there, DriverError) else "")

    async def send(self, task: Task, mine: RoleFacts, ticket: Ticket) -> Answer:
        raise NotImplementedError

    def judge(
        self,
        task: Task,
        mine: RoleFacts,
        theirs: RoleFacts | None,
        deed: Deed,
        answers: tuple[Answer | None, ...],
        dark: str,
    ) -> Probe:
        raise NotImplementedError


class Demote(_RoleAct):
    verb = "demote"

    async def send(self, task: Task, mine: RoleFacts, ticket: Ticket) -> Answer:
        return await task.end.ceph.demote(order_for(task, mine, ticket))

    def judge(
        self,
        task: Task,
        mine: RoleFacts,
        theirs: RoleFacts | None,
        deed: Deed,
        answers: tuple[Answer | None, ...],
        dark: str,
    ) -> Probe:
        source = task.one_image.source
        if mine.primary is False:
            return done(f"rbd info says {source} is not primary at {task.end.name}.", *answers)
        return not_done(f"{source} is primary at {task.end.name}.", deed, *answers)


class Promote(_RoleAct):
    """Unforced. There is no way from here to a forced promotion."""

    verb = "promote"

    async def send(self, task: Task, mine: RoleFacts, ticket: Ticket) -> Answer:
        """In snapshot mode it goes by the very snapshot that the gate judged (``task.end`` remembers its look)."""
        newest = None
        if mine.mode is Mode.SNAPSHOT:
            newest = await task.end.newest_snapshot(ref_of(task.one_image))
        return await task.end.ceph.promote(order_for(task, mine, ticket, newest))

    def judge(
        self,
        task: Task,
        mine: RoleFacts,
        theirs: RoleFacts | None,
        deed: Deed,
        answers: tuple[Answer | None, ...],
        dark: str,
    ) -> Probe:
        source = task.one_image.source
        if mine.primary is True:
            if theirs is None:
                return cannot_tell(
                    f"{source} is primary at {task.end.name}; the other side cannot be read: {dark}", *answers
                )
            return done(f"rbd info says {source} is primary at {task.end.name}, and not at the other side.", *answers)
        if theirs is None:
            return cannot_tell(f"The role of {source} at the other side cannot be read: {dark}", *answers)
        return not_done(f"{source} is not primary at {task.end.name}.", deed, *answers)


def order_for(task: Task, mine: RoleFacts, ticket: Ticket, newest: MirrorSnapshot | None = None) -> Order:
    assert mine.image_id is not None and mine.global_id is not None and mine.primary is not None
    expect = Expectation(mine.image_id, mine.global_id, mine.primary, newest)
    return Order(ref_of(task.one_image), ticket.operation_id, ticket.group, ticket.fence, expect)


async def _role_or_error(end: SiteEnd, task: Task) -> tuple[RoleFacts, Answer | None] | DriverError:
    try:
        return await end.role(ref_of(task.one_image))
    except DriverError as error:
        return error


def strange(role: RoleFacts, global_id: str, source: str, site: str) -> str | None:
    """What makes this not the image that the plan was made for (renamed, replaced, mirroring switched off behind
    our back).
    """
    if not role.exists:
        return f"{source} does not exist at {site}. Nothing was sent. Find out who removed it before anything else."
    if role.primary is None:
        return f"{source} is not mirrored any more at {site}. Nothing was sent. Find out who changed that."
    if role.global_id != global_id:
        return (
            f"{source} at {site} is another image than the one in the plan (mirroring id {role.global_id}). "
            "Nothing was sent. Discover again."
        )
    return None
