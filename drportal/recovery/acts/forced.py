"""Forced promotion: only with a warrant, only where the other side is silent. Nothing leads here from ``Promote``."""

from __future__ import annotations

import asyncio

from drportal.drivers.base import Answer
from drportal.drivers.errors import Unreachable
from drportal.drivers.orders import Warrant
from drportal.engine.facts import RoleFacts
from drportal.recovery.acts.base import Deed, Probe, Task, conflict, done, not_done
from drportal.recovery.acts.images import order_for, strange
from drportal.recovery.world import SiteEnd, World, ref_of

FORK = (
    "and no run of this portal made it so. It may be the fork of an older accident, of another day than the other "
    "disks. Nothing was sent. Find out what it holds; if it is the right one, skip this step with that reason, and the "
    "run goes on with it. Otherwise demote it at {site}, and let it be copied anew when its peer is back."
)


class ForcePromote:
    only_checks = False

    def patience_s(self, world: World) -> float:
        return world.pace.verify_patience_s

    async def probe(self, world: World, task: Task) -> Probe:
        image, end, other = task.one_image, task.end, world.other(task.end)
        ref = ref_of(image)
        theirs, b = await _role_unless_silent(other, task)
        mine, a = await end.role_now(ref)
        if trouble := strange(mine, image.global_id, image.source, end.name):
            return conflict(trouble, a)
        if mine.primary and theirs is not None and theirs.primary:
            return conflict(
                f"TWO PRIMARIES: {image.source} is primary at {end.name} and at {other.name}. "
                "Nothing was sent. Stop every writer at one side first.",
                a,
                b,
            )
        if mine.primary:
            ours = world.made_primary is not None and image.key in await world.made_primary()
            said = f"rbd info says {image.source} is primary at {end.name}"
            return done(f"{said}.", a, b) if ours else conflict(f"{said}, {FORK.format(site=end.name)}", a, b)
        if theirs is not None:
            return conflict(
                f"{other.name} answers about {image.source}, so nothing is forced. Nothing was sent. "
                "Cancel this run and look at the image's verdict.",
                a,
                b,
            )
        facts = await world.approval() if world.approval is not None else None
        if facts is None:
            return conflict("The run has no approval. Nothing was sent.", a)
        warrant = Warrant(facts.approval_id, facts.sha256)
        command = end.ceph.forced_command_for(ref, warrant)
        deed = Deed(command, end.host, lambda ticket: end.ceph.force_promote(order_for(task, mine, ticket), warrant))
        return not_done(f"{image.source} is not primary at {end.name}, and {other.name} does not answer.", deed, a)


class Free:
    """Take the image from this site's own mirror daemon before it is forced; one that has let go is left alone."""

    only_checks = False

    def patience_s(self, world: World) -> float:
        return world.pace.verify_patience_s

    async def probe(self, world: World, task: Task) -> Probe:
        image, end = task.one_image, task.end
        ref = ref_of(image)
        (mine, a), (hold, b) = await asyncio.gather(end.role(ref), end.hold(ref))
        if trouble := strange(mine, image.global_id, image.source, end.name):
            return conflict(trouble, a)
        if not hold.daemons:
            return done(f"No mirror daemon at {end.name} has {image.source} open.", a, b)
        address = hold.daemons[0]
        deed = Deed(
            end.ceph.free_command_for(address),
            end.host,
            lambda ticket: end.ceph.free(order_for(task, mine, ticket), address),
        )
        return not_done(f"The mirror daemon at {end.name} has {image.source} open ({address}).", deed, a, b)


async def _role_unless_silent(end: SiteEnd, task: Task) -> tuple[RoleFacts | None, Answer | None]:
    """Only no answer is silence: a site that refuses, or whose key changed, raises."""
    try:
        return await end.role(ref_of(task.one_image))
    except Unreachable as error:
        return None, error.answer
