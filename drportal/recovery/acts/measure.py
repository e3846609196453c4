"""Measures what a returned copy holds that nobody else has. Nothing is sent that changes anything."""

from __future__ import annotations

from drportal.drivers.base import Answer
from drportal.drivers.errors import IdentityChanged, Reason, Refused
from drportal.engine.exact_loss import ExactLoss, base_snapshot, loss_sentence, measured, not_measurable
from drportal.engine.facts import Mode
from drportal.recovery.acts.base import Probe, Task, done
from drportal.recovery.acts.images import strange
from drportal.recovery.world import World, ref_of


class Measure:
    """Done at the first look, whatever it found: a figure that cannot be had must not keep two primaries alive."""

    only_checks = True

    def patience_s(self, world: World) -> float:
        return 0.0

    async def probe(self, world: World, task: Task) -> Probe:
        image, end, other = task.one_image, task.end, world.other(task.end)
        mine, answer = await end.role(ref_of(image))
        if not mine.exists or strange(mine, image.global_id, image.source, end.name):
            return done(f"{image.source} as it was is not at {end.name} any more: there is nothing to measure.", answer)
        loss, said = await self._measured(world, task)
        sentence = loss_sentence(loss, end.name, other.name)
        if world.keep_loss is not None:
            await world.keep_loss(image.key, loss, sentence)
        return done(sentence, answer, said)

    async def _measured(self, world: World, task: Task) -> tuple[ExactLoss, Answer | None]:
        image, end, other = task.one_image, task.end, world.other(task.end)
        mode, since = Mode(image.mode), None
        if mode is Mode.SNAPSHOT:
            theirs, _ = await other.snapshots(ref_of(image))
            since = base_snapshot(world.replicated_snapshots.get(image.key), theirs)
            if since is None:
                return not_measurable(f"which snapshot was the last to be whole at {other.name} is not known."), None
        try:
            found, answer = await end.ceph.measure(ref_of(image), since)
        except IdentityChanged:
            raise
        except Refused as error:
            if error.reason is Reason.NOT_FOUND and since is not None:
                why = f"its snapshot {since}, the last that was whole at {other.name}, is not at {end.name} any more."
                return not_measurable(why), error.answer
            return not_measurable(error.detail), error.answer
        return measured(mode, found.entries, found.size_bytes, end.name, other.name), answer
