"""Each gate's way to its facts: reads the sites live, then asks the engine.

One function per gate, registered in ``READERS``.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from drportal.drivers.base import Answer
from drportal.drivers.errors import DriverError, Refused, Unreachable
from drportal.drivers.observation import Part
from drportal.drivers.orders import Warrant
from drportal.engine import gates
from drportal.engine.facts import Mode, RoleFacts, VmFacts
from drportal.engine.fence import FenceRung
from drportal.engine.force_gates import g_alone, g_approval, g_fence, g_force, g_free, whole_as_handed_over, whole_copy
from drportal.engine.gates import GateId, GateOutcome, GateResult
from drportal.engine.home_gates import g_home
from drportal.engine.return_gates import g_fence_returned, g_peer
from drportal.recovery.home import proof_of
from drportal.recovery.plan_copy import ImageCopy, VmCopy
from drportal.recovery.world import Asked, SiteEnd, World, ref_of

META_MAX_AGE_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class GateReading:
    result: GateResult
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """What a gate is asked about: a VM with its images, at the step's own site (``here``).

    ``since``: when a demotion was seen done.

    ``primary_at``: where the image shall be writable (for the retirement of a copy that is the other site,
    elsewhere ``here``).
    ``definition_now``: (hash now, when last confirmed) of the VM's definition; None where discovery knows nothing
    of it.
    """

    vm: VmCopy
    images: tuple[ImageCopy, ...]
    here: SiteEnd
    primary_at: SiteEnd
    since: dt.datetime | None = None
    definition_now: tuple[str | None, dt.datetime | None] = (None, None)
    demoted_by_us: frozenset[str] = field(default_factory=frozenset)
    promote_sent: frozenset[str] = field(default_factory=frozenset)
    may_run: bool = True  # its group runs here: nothing else may start it


Reader = Callable[[World, Subject], Awaitable[GateReading]]


async def read_gate(gate: GateId, world: World, subject: Subject) -> GateReading:
    """The gate's reading now.

    A site that does not answer makes it *cannot tell*, with the driver's sentence; never raises DriverError.
    """
    try:
        return await READERS[gate](world, subject)
    except DriverError as error:
        result = GateResult(
            gate, GateOutcome.CANNOT_TELL, f"Cannot tell: {error.detail}", {}, "Nothing is done until it can be read."
        )
        return GateReading(result, (error.answer,) if error.answer else ())


async def _per_image(
    gate: GateId, subject: Subject, read: Callable[[ImageCopy], Awaitable[GateReading]]
) -> GateReading:
    """The gate for each image of the subject, at the same time; one image's trouble does not hide another's."""

    async def one(image: ImageCopy) -> GateReading:
        try:
            return await read(image)
        except DriverError as error:
            result = GateResult(
                gate,
                GateOutcome.CANNOT_TELL,
                f"Cannot tell: {error.detail}",
                {},
                "Nothing is done until it can be read.",
            )
            return GateReading(result, (error.answer,) if error.answer else ())

    readings = await asyncio.gather(*(one(image) for image in subject.images))
    return _together(gate, [image.source for image in subject.images], readings)


def _together(gate: GateId, names: Iterable[str], readings: Iterable[GateReading]) -> GateReading:
    listed = list(readings)
    if len(listed) == 1:
        return listed[0]
    result = gates.all_of(gate, zip(names, (reading.result for reading in listed), strict=True))
    return GateReading(result, tuple(answer for reading in listed for answer in reading.answers))


def parts_of(wanted: Collection[GateId], mode: Mode) -> Asked:
    """What gates will ask of one image, beside its role: a step that looks reads it in one go (``World.look``)."""
    source, target = {Part.INFO}, {Part.INFO}
    for gate in wanted:
        if gate is GateId.OFF:
            source.add(Part.WATCHERS)
        elif gate in (GateId.SYNC, GateId.PATH, GateId.DEMOTED) and mode is Mode.JOURNAL:
            source.add(Part.JOURNAL)
        elif gate in (GateId.SYNC, GateId.DEMOTED):
            source.add(Part.SNAPSHOTS)
            target.add(Part.SNAPSHOTS)
        elif gate is GateId.PATH:
            target.add(Part.SNAPSHOTS)
    # A demotion is proved by what was read after the source's role, never before.
    first = GateId.DEMOTED in wanted and Part.SNAPSHOTS in target
    return Asked(frozenset(source), frozenset(target), source_first=first)


async def _off(world: World, subject: Subject) -> GateReading:
    locating = asyncio.ensure_future(world.locate(subject.here, subject.vm))

    async def one(image: ImageCopy) -> GateReading:
        watchers, answer = await subject.here.watchers(ref_of(image))
        located = await locating
        return GateReading(gates.g_off(located.facts, watchers, world.clock(), may_run=subject.may_run), (answer,))

    reading = await _per_image(GateId.OFF, subject, one)
    located = await locating
    return GateReading(reading.result, (located.answer, *reading.answers))


async def _path(world: World, subject: Subject) -> GateReading:
    async def one(image: ImageCopy) -> GateReading:
        journal = image.mode == Mode.JOURNAL
        (source, asked), (target, answered) = await asyncio.gather(
            world.source.side(image, positions=journal), world.target.side(image, positions=not journal)
        )
        return GateReading(gates.g_path(target, source, world.clock()), (*asked, *answered))

    return await _per_image(GateId.PATH, subject, one)


async def _sync(world: World, subject: Subject) -> GateReading:
    async def one(image: ImageCopy) -> GateReading:
        ref = ref_of(image)
        if image.mode == Mode.JOURNAL:
            journal, answer = await world.source.journal(ref)
            return GateReading(gates.g_sync(Mode.JOURNAL, journal, None, None, world.clock()), (answer,))
        (ours, a), (theirs, b) = await asyncio.gather(world.source.snapshots(ref), world.target.snapshots(ref))
        return GateReading(gates.g_sync(Mode.SNAPSHOT, None, ours, theirs, world.clock()), (a, b))

    return await _per_image(GateId.SYNC, subject, one)


async def _demoted(world: World, subject: Subject) -> GateReading:
    async def one(image: ImageCopy) -> GateReading:
        ref = ref_of(image)
        (source_role, a), (target_role, b) = await asyncio.gather(world.source.role(ref), world.target.role(ref))
        answers = [answer for answer in (a, b) if answer]
        journal, ours, theirs = None, None, None
        mode = Mode(image.mode)
        if source_role.exists and target_role.exists:
            # After the roles, never before: positions from before the demotion prove nothing.
            if mode is Mode.JOURNAL:
                journal, raw = await world.source.journal(ref)
                answers.append(raw)
            else:
                (ours, raw), (theirs, more) = await asyncio.gather(
                    world.source.snapshots(ref), world.target.snapshots(ref)
                )
                answers += [raw, more]
        now = world.clock()
        waited_s = (now - subject.since).total_seconds() if subject.since else 0.0
        result = gates.g_demoted(mode, source_role, journal, ours, target_role, theirs, now, waited_s=waited_s)
        return GateReading(result, tuple(answers))

    return await _per_image(GateId.DEMOTED, subject, one)


async def _promoted(world: World, subject: Subject) -> GateReading:
    async def one(image: ImageCopy) -> GateReading:
        ref, here = ref_of(image), subject.primary_at
        (mine, a), (theirs, b) = await asyncio.gather(here.role(ref), world.other(here).role(ref))
        return GateReading(gates.g_promoted(mine, theirs, world.clock()), tuple(answer for answer in (a, b) if answer))

    return await _per_image(GateId.PROMOTED, subject, one)


async def _meta(world: World, subject: Subject) -> GateReading:
    """On the way home the VM may be gone there: then nobody can confirm its definition any more."""
    hash_now, confirmed_at = subject.definition_now
    vm, home, gone = subject.vm, world.other(subject.here), None
    if home.slug == world.plan.home_site:
        gone = await world.locate(home, vm)
    result = gates.g_meta(
        confirmed_at or vm.captured_at,
        vm.definition_number,
        hash_now,
        vm.definition_sha256,
        world.clock(),
        META_MAX_AGE_S,
        gone=gone is not None and gone.vm is None,
    )
    return GateReading(result, (gone.answer,) if gone is not None else ())


async def _home(world: World, subject: Subject) -> GateReading:
    located = await world.locate(subject.here, subject.vm)
    host, watchers, answers = await proof_of(subject.here, subject.vm, located)
    return GateReading(g_home(located.facts, host, watchers, world.clock()), (located.answer, *answers))


async def _one(world: World, subject: Subject) -> GateReading:
    return GateReading(gates.g_one(subject.vm.disks))


async def _peer_off(world: World, subject: Subject) -> GateReading:
    located = await world.locate(world.other(subject.here), subject.vm)
    return GateReading(gates.g_peer_off(located.facts, world.clock()), (located.answer,))


async def _runs(world: World, subject: Subject) -> GateReading:
    located = await world.locate(world.other(subject.here), subject.vm)
    return GateReading(gates.g_runs(located.facts, world.clock()), (located.answer,))


async def _return(world: World, subject: Subject) -> GateReading:
    async def one(image: ImageCopy) -> GateReading:
        ref = ref_of(image)
        (source_role, a), (target_role, b) = await asyncio.gather(world.source.role(ref), world.target.role(ref))
        result = gates.g_return(
            source_role,
            target_role,
            image.key in subject.demoted_by_us,
            image.key in subject.promote_sent,
            world.clock(),
        )
        return GateReading(result, tuple(answer for answer in (a, b) if answer))

    return await _per_image(GateId.RETURN, subject, one)


async def _force(world: World, subject: Subject) -> GateReading:
    async def one(image: ImageCopy) -> GateReading:
        ref, here = ref_of(image), subject.here
        # The silent side first: one that hangs is waited for longer than a role here counts as fresh.
        theirs, b = await _unless_silent(world.other(here).role(ref))
        mine, a = await here.role_now(ref)
        snapshots, status, more = None, None, None
        if mine.mode is Mode.SNAPSHOT:
            snapshots, more = await here.snapshots(ref)
        elif mine.exists:
            # The pool's status needs the site's manager; while that is away too, the approved evidence may still tell.
            with contextlib.suppress(Unreachable, Refused):
                status = (await here.side(image, positions=False))[0].status
        whole = whole_copy(mine.mode, status, snapshots)
        if whole is None and mine.image_id is not None and world.shown_whole.get(image.key) == mine.image_id:
            whole = True
        left = world.handed_over.get(image.key)
        if left is not None and left.is_of(mine.image_id):
            whole = whole_as_handed_over(mine.mode, status, snapshots) or whole
        result = g_force(mine, theirs, whole, world.clock())
        return GateReading(result, tuple(answer for answer in (a, b, more) if answer))

    return await _per_image(GateId.FORCE, subject, one)


async def _approval(world: World, subject: Subject) -> GateReading:
    facts = await world.approval() if world.approval is not None else None

    async def one(image: ImageCopy) -> GateReading:
        command = None
        if facts is not None:
            warrant = Warrant(facts.approval_id, facts.sha256)
            command = subject.here.ceph.forced_command_for(ref_of(image), warrant)
        return GateReading(g_approval(facts, world.run_id, world.plan_version, command, world.clock()))

    return await _per_image(GateId.APPROVAL, subject, one)


async def _fence(world: World, subject: Subject) -> GateReading:
    if subject.here is world.source:  # it came back: no attestation, but what was done there
        plan = world.plan
        rungs = FenceRung(plan.fence_reached), FenceRung(plan.fence_rung)
        return GateReading(g_fence_returned(*rungs, plan.deviation_by, plan.deviation, world.clock()))
    facts = await world.approval() if world.approval is not None else None
    wanted = FenceRung(world.plan.fence_rung)
    there: VmFacts | None = None
    answers: tuple[Answer, ...] = ()
    with contextlib.suppress(Unreachable):
        located = await world.locate(world.other(subject.here), subject.vm)
        there, answers = located.facts, (located.answer,)
    if facts is None:
        return GateReading(g_fence(there, "", "", world.clock(), wanted=wanted), answers)
    result = g_fence(
        there,
        facts.attested_by,
        facts.attestation,
        world.clock(),
        word=facts.attested_rung,
        wanted=wanted,
        deviation=facts.deviation,
    )
    return GateReading(result, answers)


async def _alone(world: World, subject: Subject) -> GateReading:
    async def one(image: ImageCopy) -> GateReading:
        ref, here = ref_of(image), subject.here
        # The silent side first: one that hangs is waited for longer than a role here counts as fresh.
        theirs, b = await _unless_silent(world.other(here).role(ref))
        mine, a = await here.role_now(ref)
        return GateReading(g_alone(mine, theirs, world.clock()), tuple(answer for answer in (a, b) if answer))

    return await _per_image(GateId.ALONE, subject, one)


async def _free(world: World, subject: Subject) -> GateReading:
    async def one(image: ImageCopy) -> GateReading:
        hold, answer = await subject.here.hold(ref_of(image))
        return GateReading(g_free(hold, world.clock()), (answer,))

    return await _per_image(GateId.FREE, subject, one)


async def _peer(world: World, subject: Subject) -> GateReading:
    async def one(image: ImageCopy) -> GateReading:
        ref, here = ref_of(image), subject.here
        (mine, a), (theirs, b) = await asyncio.gather(here.role(ref), world.other(here).role(ref))
        forced, chosen = image.key in world.forced_at_source, world.plan.salvage_of(image.key) is not None
        result = g_peer(mine, theirs, world.clock(), salvage_chosen=chosen, forced_here=forced)
        return GateReading(result, tuple(answer for answer in (a, b) if answer))

    return await _per_image(GateId.PEER, subject, one)


async def _copied(world: World, subject: Subject) -> GateReading:
    """G-PATH the other way: what is asked of a copy before a demotion is what a new copy has to reach."""

    async def one(image: ImageCopy) -> GateReading:
        journal = image.mode == Mode.JOURNAL
        (good, a), (copy, b) = await asyncio.gather(
            world.other(subject.here).side(image, positions=journal), subject.here.side(image, positions=not journal)
        )
        return GateReading(replace(gates.g_path(copy, good, world.clock()), gate=GateId.COPIED), (*a, *b))

    return await _per_image(GateId.COPIED, subject, one)


async def _unless_silent(
    reading: Awaitable[tuple[RoleFacts, Answer | None]],
) -> tuple[RoleFacts | None, Answer | None]:
    """Only a site that does not answer is silent: one that refuses, or whose key changed, raises."""
    try:
        return await reading
    except Unreachable as error:
        return None, error.answer


READERS: dict[GateId, Reader] = {
    GateId.FORCE: _force,
    GateId.APPROVAL: _approval,
    GateId.FENCE: _fence,
    GateId.ALONE: _alone,
    GateId.FREE: _free,
    GateId.HOME: _home,
    GateId.OFF: _off,
    GateId.PATH: _path,
    GateId.SYNC: _sync,
    GateId.DEMOTED: _demoted,
    GateId.PROMOTED: _promoted,
    GateId.META: _meta,
    GateId.ONE: _one,
    GateId.PEER_OFF: _peer_off,
    GateId.RUNS: _runs,
    GateId.RETURN: _return,
    GateId.PEER: _peer,
    GateId.COPIED: _copied,
}
