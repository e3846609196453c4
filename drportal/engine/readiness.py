"""Before a run is asked for: everything that would stop it, found while the VMs still run, blockers first."""

from __future__ import annotations

import datetime as dt
import enum
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from drportal.engine.facts import DiskFacts, Side, SideFacts, VmFacts, WatcherFacts
from drportal.engine.fence import FenceRung
from drportal.engine.gate_parts import SETTLES, off_remedy
from drportal.engine.gates import GateOutcome, GateResult, g_meta, g_one, g_path, g_peer_off, g_return
from drportal.engine.home_gates import HostFacts, g_home, lost_sight_of
from drportal.engine.plans import RunKind
from drportal.engine.salvage import SalvageChoice
from drportal.engine.schedule_gaps import SiteSchedule, schedule_gaps
from drportal.engine.unfit import flatten, hangs_on
from drportal.engine.verdicts import Verdict, VerdictCode

DEFINITION_MAX_AGE_S = 24 * 3600.0
FRESH_S = 30.0
"""Wider than before an act: reading a whole group takes up to 20 s, and each gate is read again before acting."""


# Between a move and the next ticks of the mirror daemons, these are what a healthy image looks like.
MAY_SETTLE = frozenset({VerdictCode.BROKEN_MIRRORING, VerdictCode.NOT_YET_PROTECTED})


class Severity(enum.StrEnum):
    BLOCK = "block"
    WARN = "warn"
    INFO = "info"


class ReadinessState(enum.StrEnum):
    READY = "ready"
    NOT_READY = "not_ready"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True)
class Finding:
    """``unknown``: it blocks because it cannot be told, not because it is known to be wrong."""

    code: str
    severity: Severity
    subject: str
    sentence: str
    remedy: str | None
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class SiteReadiness:
    """Each part: True answers, False does not, None never tried. ``role``: source or target of the run."""

    name: str
    role: str
    ssh: bool | None
    ceph: bool | None
    opennebula: bool | None


@dataclass(frozen=True, slots=True)
class ImageReadiness:
    """``source``/``target`` as seen from the run; ``own_demotion_recorded``, ``target_promote_ever_sent`` matter for a
    way back only, ``forced_at_source`` for a return only: an approved forced promotion made that copy primary.
    """

    key: str
    name: str
    vm_key: str
    verdict: Verdict
    source: SideFacts
    target: SideFacts
    own_demotion_recorded: bool = False
    target_promote_ever_sent: bool = False
    forced_at_source: bool = False
    schedules: tuple[SiteSchedule, SiteSchedule] | None = None
    """In snapshot mode: its snapshot schedules at the source and at the target, as far as they are known."""


@dataclass(frozen=True, slots=True)
class VmReadiness:
    """``at_target``: the VM's copy there, phase ``gone`` when there is none, None when not read. ``unmapped``: networks
    without a peer.

    ``name_taken_by``: another VM at the target that bears the name. ``definition_seen_at``: last captured or confirmed.
    ``target_host``, ``target_watchers``: read for a failback whose VM at home is UNKNOWN.
    """

    key: str
    name: str
    at_source: VmFacts | None
    at_target: VmFacts | None
    disks: tuple[DiskFacts, ...]
    definition_seen_at: dt.datetime | None
    definition_number: int | None
    definition_hash: str | None
    current_hash: str | None
    unmapped: tuple[str, ...] = ()
    name_taken_by: str | None = None
    target_host: HostFacts | None = None
    target_watchers: tuple[WatcherFacts, ...] | None = None


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the group needs at the target, and what hosts that are on have free. None: not read."""

    memory_needed_bytes: int
    memory_free_bytes: int | None
    cpu_needed: float
    cpu_free: float | None


@dataclass(frozen=True, slots=True)
class ReadinessInput:
    """``source_side``: which side of the verdicts is the run's source. ``image_datastores``: fitting ones at the target
    (one is wanted)."""

    source_side: Side
    sites: tuple[SiteReadiness, ...]
    images: tuple[ImageReadiness, ...]
    vms: tuple[VmReadiness, ...]
    image_datastores: tuple[str, ...] | None
    system_datastore: bool | None
    capacity: Capacity
    definition_max_age_s: float = DEFINITION_MAX_AGE_S
    salvage_dir: str = ""
    """Where the source site keeps what a reprotect would discard; empty: nowhere."""
    salvage: Mapping[str, SalvageChoice] = field(default_factory=dict)
    """Image key -> what was chosen for it; without one it is saved to ``salvage_dir`` where there is one."""
    fence_wanted: FenceRung = FenceRung.NONE
    fence_reached: FenceRung = FenceRung.NONE
    """Of a reprotect: what the plan wants done at the returned site first, and what a fence run has reached there."""
    fence_least: FenceRung = FenceRung.NONE
    """Below which the approval policy lets no reason go."""
    rpo_s: int | None = None
    """The group's RPO target, where one was agreed."""

    left_alone: tuple[tuple[str, str, str], ...] = ()
    """VMs of the group that the run does not touch: (name, why, what can be done)."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """``counts``: gate outcomes over all images and VMs (met, not_met, cannot_tell). ``findings``: block, then warn,
    then info."""

    state: ReadinessState
    findings: tuple[Finding, ...]
    per_image: dict[str, tuple[GateResult, ...]]
    per_vm: dict[str, tuple[GateResult, ...]]
    counts: dict[str, int]


def assess(kind: RunKind, given: ReadinessInput, now: dt.datetime, *, fresh_s: float = FRESH_S) -> Readiness:
    """Everything that speaks against beginning a run of this kind now. Reads nothing; the facts' ages count."""
    back = kind is RunKind.WAY_BACK
    per_image = {image.key: _image_gates(image, now, back, fresh_s) for image in given.images}
    per_vm = {vm.key: _vm_gates(kind, vm, now, given.definition_max_age_s, fresh_s) for vm in given.vms}
    findings = [*site_findings(given.sites), *left_findings(given)]
    for image in given.images:
        if not back:
            findings += _verdict_findings(image, given.source_side)
            findings += clone_findings(image.name, image.source)
            findings += _schedule_findings(image, given.rpo_s)
        findings += gate_findings(per_image[image.key], image.name)
    for vm in given.vms:
        findings += gate_findings(per_vm[vm.key], vm.name)
        if not back:
            findings += _vm_findings(vm, kind)
    if not back:
        findings += _target_findings(given)
    if not given.vms or not given.images:
        findings.append(
            block("nothing_to_move", "group", "There is no VM or no image to move.", "Add VMs to the group.")
        )
    return concluded(findings, per_image, per_vm)


def concluded(
    findings: list[Finding],
    per_image: dict[str, tuple[GateResult, ...]],
    per_vm: dict[str, tuple[GateResult, ...]],
) -> Readiness:
    order = list(Severity)
    findings.sort(key=lambda found: (order.index(found.severity), found.unknown))
    gates = [result for results in (*per_image.values(), *per_vm.values()) for result in results]
    tally = Counter(result.outcome for result in gates)
    counts = {outcome.value: tally[outcome] for outcome in GateOutcome}
    return Readiness(_state(findings), tuple(findings), per_image, per_vm, counts)


def _state(findings: Iterable[Finding]) -> ReadinessState:
    blockers = [found for found in findings if found.severity is Severity.BLOCK]
    if any(not found.unknown for found in blockers):
        return ReadinessState.NOT_READY
    return ReadinessState.CANNOT_TELL if blockers else ReadinessState.READY


def block(code: str, subject: str, sentence: str, remedy: str | None, *, unknown: bool = False) -> Finding:
    return Finding(code, Severity.BLOCK, subject, sentence, remedy, unknown)


def _image_gates(image: ImageReadiness, now: dt.datetime, back: bool, fresh_s: float) -> tuple[GateResult, ...]:
    if not back:
        return (g_path(image.target, image.source, now, fresh_s=fresh_s),)
    if image.source.role is not None and image.source.role.primary is True:
        return ()
    return (
        g_return(
            image.source.role,
            image.target.role,
            image.own_demotion_recorded,
            image.target_promote_ever_sent,
            now,
            fresh_s=fresh_s,
        ),
    )


def _vm_gates(
    kind: RunKind, vm: VmReadiness, now: dt.datetime, max_age_s: float, fresh_s: float
) -> tuple[GateResult, ...]:
    there, home = vm.at_target, kind is RunKind.FAILBACK
    if home:
        peer = g_home(there, vm.target_host, vm.target_watchers, now, fresh_s=fresh_s)
    else:
        peer = g_peer_off(there, now, fresh_s=fresh_s)
    if kind is RunKind.WAY_BACK:
        return (peer,)
    gone = home and there is not None and there.phase == "gone"
    known = (vm.definition_seen_at, vm.definition_number, vm.current_hash, vm.definition_hash)
    return (g_meta(*known, now, max_age_s, gone=gone), g_one(vm.disks), peer)


def gate_findings(results: Iterable[GateResult], subject: str) -> Iterator[Finding]:
    for result in results:
        if not result.met:
            unknown = result.outcome is GateOutcome.CANNOT_TELL
            yield block(result.gate.value, subject, result.sentence, result.remedy, unknown=unknown)


def site_findings(sites: Iterable[SiteReadiness]) -> Iterator[Finding]:
    for site in sites:
        for part, answers in (("SSH", site.ssh), ("Ceph", site.ceph), ("OpenNebula", site.opennebula)):
            if answers is not True:
                word = "does not answer" if answers is False else "was never asked"
                yield block(
                    "site_unreachable",
                    site.name,
                    f"{part} at {site.name} ({site.role}) {word}.",
                    "An orderly move needs both sites. Restore the connection, or wait.",
                    unknown=answers is None,
                )


def left_findings(given: ReadinessInput) -> Iterator[Finding]:
    for name, sentence, remedy in given.left_alone:
        yield Finding("left_alone", Severity.WARN, name, f"It is left alone. {sentence}", remedy)


def clone_findings(name: str, counts: SideFacts) -> Iterator[Finding]:
    """``counts``: the side whose copy is moved, or copied again."""
    if wrong := hangs_on(counts.role, name):
        yield block("not_flattened", name, wrong, flatten(name))


def _verdict_findings(image: ImageReadiness, source: Side) -> Iterator[Finding]:
    verdict = image.verdict
    follows = verdict.code in {VerdictCode.PROTECTED, VerdictCode.PROTECTED_REVERSED, VerdictCode.BEHIND}
    if follows and verdict.primary_side is not source:
        yield block(
            "wrong_direction",
            image.name,
            f"{verdict.sentence} It is not primary at the site that this run leaves.",
            "Look where the group really runs; correct its active site.",
        )
    elif verdict.code is VerdictCode.BEHIND:
        yield Finding(
            "behind",
            Severity.WARN,
            image.name,
            verdict.sentence,
            "Wait, or accept that the power-off lasts until it has caught up.",
        )
    elif not follows and verdict.code is not VerdictCode.ONE_WAY:  # that G-PATH says, with its remedy
        unknown = verdict.code is VerdictCode.CANNOT_TELL
        allowed = ", ".join(act.replace("_", " ") for act in verdict.allowed) or "nothing"
        remedy = SETTLES if verdict.code in MAY_SETTLE else f"Allowed now: {allowed}."
        yield block("verdict", image.name, verdict.sentence, remedy, unknown=unknown)


def _schedule_findings(image: ImageReadiness, rpo_s: int | None) -> Iterator[Finding]:
    """No move stands or falls with a schedule: a demotion makes a mirror snapshot of its own. At the target it is what
    the exposure will be after the move."""
    if image.schedules is None:
        return
    for gap in schedule_gaps(image.name, *image.schedules, rpo_s):
        yield Finding(gap.code.value, Severity.WARN, image.name, gap.sentence, gap.told_remedy)


def _vm_findings(vm: VmReadiness, kind: RunKind) -> Iterator[Finding]:
    if vm.at_source is None:
        yield block(
            "vm_unread", vm.name, "The VM's state could not be read.", "Check OpenNebula at the source.", unknown=True
        )
    elif vm.at_source.phase in {"moving", "stuck", "suspended", "stopped", "pending", "hold", "gone"}:
        yield block(
            "vm_state",
            vm.name,
            f"The VM is {vm.at_source.state_word}; it can only be moved from running or powered off.",
            _to_rest(vm.at_source),
        )
    elif vm.at_source.phase != "running":
        yield Finding("vm_off", Severity.WARN, vm.name, "The VM is off now; at the target it will be started.", None)
    if vm.at_source is not None and vm.at_source.locked:
        yield block(
            "vm_locked",
            vm.name,
            "The VM is locked in OpenNebula.",
            "Unlock it (onevm unlock), or take it out of the group.",
        )
    if vm.at_target is not None and vm.at_target.locked:
        yield block(
            "vm_locked",
            vm.name,
            f"At the target it is {vm.at_target.state_word} and locked in OpenNebula: it could not be started.",
            "Unlock it there (onevm unlock). What a fence of this plan locked, its reprotect unlocks at its end.",
        )
    if kind is RunKind.FAILBACK:
        yield from _home_findings(vm)
    for network in vm.unmapped:
        yield _unmapped(vm, network, kind)
    if vm.name_taken_by:
        yield Finding(
            "name_taken",
            Severity.WARN,
            vm.name,
            f"At the target {vm.name_taken_by} has the same name.",
            "Both will be listed; rename one.",
        )


def _to_rest(found: VmFacts) -> str:
    if found.phase == "gone":
        return "Run a discovery; if it is gone for good, take it out of the group."
    return off_remedy(found.phase, found.state_word, may_run=True)


def _home_findings(vm: VmReadiness) -> Iterator[Finding]:
    """What a failback will do with it beyond starting it: said before, and accepted."""
    if vm.at_target is not None and vm.at_target.phase == "gone":
        yield Finding(
            "made_anew",
            Severity.WARN,
            vm.name,
            f"At home the VM is gone. It is made anew there from version {vm.definition_number} of its captured "
            "definition, under a new number; addresses are given out anew by its networks.",
            "If its addresses matter, note them before: they are on the VM's page.",
        )
    if lost_sight_of(vm.at_target):
        yield Finding(
            "powered_off_hard",
            Severity.WARN,
            vm.name,
            "At home OpenNebula has lost sight of the VM (UNKNOWN). It is powered off hard there first.",
            None,
        )


def _unmapped(vm: VmReadiness, network: str, kind: RunKind) -> Finding:
    if kind is RunKind.FAILBACK:
        return block(
            "network_unmapped",
            vm.name,
            f"At home the VM is gone, and so is network {network} of its captured definition, by number and by name.",
            "Make a network of that name at home; the failback then uses it.",
        )
    return block(
        "network_unmapped",
        vm.name,
        f"Network {network} has no counterpart at the target.",
        "Complete the plan's network map.",
    )


def _target_findings(given: ReadinessInput) -> Iterator[Finding]:
    fitting = given.image_datastores
    if fitting is None:
        yield block(
            "image_datastore",
            "target",
            "The target's datastores could not be read.",
            "Check OpenNebula there.",
            unknown=True,
        )
    elif len(fitting) != 1:
        word = "No image datastore" if not fitting else f"{len(fitting)} image datastores ({', '.join(fitting)})"
        yield block(
            "image_datastore", "target", f"{word} at the target use(s) the mirrored pool.", "Choose one in the plan."
        )
    if given.system_datastore is not True:
        unknown = given.system_datastore is None
        word = "It could not be read whether" if unknown else "It was found that no"
        yield block(
            "system_datastore",
            "target",
            f"{word} system datastore at the target can run disks of the mirrored pool.",
            "Enable a system datastore on Ceph at the target.",
            unknown=unknown,
        )
    yield from _capacity_findings(given.capacity)


def _capacity_findings(capacity: Capacity) -> Iterator[Finding]:
    gib = 2**30
    if capacity.memory_free_bytes is None or capacity.cpu_free is None:
        yield block(
            "capacity", "target", "The free capacity at the target could not be read.", "Check its hosts.", unknown=True
        )
        return
    if capacity.memory_needed_bytes > capacity.memory_free_bytes:
        need, free = capacity.memory_needed_bytes / gib, capacity.memory_free_bytes / gib
        yield block(
            "capacity_memory",
            "target",
            f"The VMs need {need:.1f} GiB of memory; {free:.1f} GiB are free.",
            "Free memory, or add a host.",
        )
    if capacity.cpu_needed > capacity.cpu_free:
        yield block(
            "capacity_cpu",
            "target",
            f"The VMs need {capacity.cpu_needed:g} CPUs; {capacity.cpu_free:g} are free.",
            "Free CPUs, or add a host.",
        )
