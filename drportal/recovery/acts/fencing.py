"""Shuts whoever holds an image open at a returned site out of its Ceph, for a while; and lets them back in."""

from __future__ import annotations

import asyncio

from drportal.drivers.orders import Receipt
from drportal.recovery.acts.base import Deed, Probe, Task, cannot_tell, conflict, done, not_done
from drportal.recovery.acts.images import order_for, strange
from drportal.recovery.world import World, ref_of


class ShutOut:
    """By the addresses that have it open now, mirror daemons left out. Each is one client, never a whole host: another
    VM there is not touched, and a VM that is started anew is another client."""

    only_checks = False

    def patience_s(self, world: World) -> float:
        return world.pace.verify_patience_s

    async def probe(self, world: World, task: Task) -> Probe:
        image, end = task.one_image, task.end
        ref = ref_of(image)
        (mine, a), (holders, b) = await asyncio.gather(end.role(ref), end.holders(ref))
        if not mine.exists:
            return done(f"{image.source} is not at {end.name}: there is nobody to shut out.", a)
        if trouble := strange(mine, image.global_id, image.source, end.name):
            return conflict(trouble, a)
        if not holders:
            return done(f"Nobody but mirror daemons has {image.source} open at {end.name}.", a, b)
        addresses = sorted(holders)
        deed = Deed(
            end.ceph.shut_out_command_for(addresses),
            end.host,
            lambda ticket: end.ceph.shut_out(order_for(task, mine, ticket), addresses),
        )
        return not_done(f"{image.source} is held open at {end.name} by {', '.join(addresses)}.", deed, a, b)


class LetIn:
    """The undo. Ceph forgets such an entry by itself after a day; nothing waits for that."""

    only_checks = False

    def patience_s(self, world: World) -> float:
        return world.pace.verify_patience_s

    async def probe(self, world: World, task: Task) -> Probe:
        image, end = task.one_image, task.end
        addresses = list(world.plan.shut_out.get(image.key, ()))
        if not addresses:
            return done(f"Nobody was shut out of {image.source}.")
        receipt: Receipt | None = await end.receipt(task.operation_id) if task.operation_id else None
        if receipt is not None and receipt.going_on:
            return cannot_tell(f"They are being let in at {end.name}.", receipt.answer)
        if receipt is not None and receipt.state == "done":
            return done(f"Let in again at {end.name}: {', '.join(addresses)}.", receipt.answer)
        mine, answer = await end.role(ref_of(image))
        deed = Deed(
            end.ceph.let_in_command_for(addresses),
            end.host,
            lambda ticket: end.ceph.let_in(order_for(task, mine, ticket), addresses),
        )
        return not_done(f"{', '.join(addresses)} may still be shut out at {end.name}.", deed, answer)
