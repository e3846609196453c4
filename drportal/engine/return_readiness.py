"""Before a returned site is fenced or its copies are made anew: what speaks against it, and what it takes away."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator

from drportal.engine.fence import RUNG_WORDS, FenceRung, floor_of
from drportal.engine.gate_base import OFF_PHASES, GateResult
from drportal.engine.gate_parts import off_remedy
from drportal.engine.gates import g_one
from drportal.engine.home_gates import lost_sight_of
from drportal.engine.plans import RunKind
from drportal.engine.readiness import (
    FRESH_S,
    Finding,
    ImageReadiness,
    Readiness,
    ReadinessInput,
    Severity,
    SiteReadiness,
    VmReadiness,
    block,
    clone_findings,
    concluded,
    gate_findings,
    left_findings,
    site_findings,
)
from drportal.engine.return_gates import g_peer
from drportal.engine.salvage import SalvageChoice, SalvageWay
from drportal.engine.unfit import ONE_WAY_REMEDY, one_way
from drportal.engine.verdicts import VerdictCode

LEFT_THE_LINE = frozenset({VerdictCode.TWO_PRIMARIES, VerdictCode.DIVERGED})
STAYS = frozenset(
    {VerdictCode.PROTECTED, VerdictCode.PROTECTED_REVERSED, VerdictCode.BEHIND, VerdictCode.NOT_YET_PROTECTED}
)


def assess_return(kind: RunKind, given: ReadinessInput, now: dt.datetime, *, fresh_s: float = FRESH_S) -> Readiness:
    """``source`` is the site that came back, ``target`` where the group runs. Reads nothing; the facts' ages count.

    What becomes of what is only at the source is chosen when the run is asked for; here it is a finding.
    """
    per_image: dict[str, tuple[GateResult, ...]] = {image.key: (_peer(image, now, fresh_s),) for image in given.images}
    findings = [*site_findings(given.sites), *left_findings(given)]
    back = next((site.name for site in given.sites if site.role == "source"), "the returned site")
    for image in given.images:
        findings += gate_findings(per_image[image.key], image.name)
        findings += _image_findings(kind, image, back, given)
        if kind is RunKind.REPROTECT:
            findings += _copy_findings(image, given.sites)
    for vm in given.vms:
        findings += _vm_findings(vm, back)
    if kind is RunKind.REPROTECT:
        findings += _fence_findings(given, back)
    if not given.images:
        findings.append(block("nothing_to_copy", "group", "The group has no image.", "Add VMs to the group."))
    per_vm: dict[str, tuple[GateResult, ...]] = {
        vm.key: (g_one(vm.disks),) if kind is RunKind.REPROTECT else () for vm in given.vms
    }
    for vm in given.vms:
        findings += gate_findings(per_vm[vm.key], vm.name)
    return concluded(findings, per_image, per_vm)


def _peer(image: ImageReadiness, now: dt.datetime, fresh_s: float) -> GateResult:
    here, there = image.source.role, image.target.role
    return g_peer(here, there, now, salvage_chosen=True, forced_here=image.forced_at_source, fresh_s=fresh_s)


def _image_findings(kind: RunKind, image: ImageReadiness, back: str, given: ReadinessInput) -> Iterator[Finding]:
    code, salvage_dir, chosen = image.verdict.code, given.salvage_dir, given.salvage.get(image.key)
    if code in LEFT_THE_LINE and kind is RunKind.FENCE:
        yield Finding(
            "fences",
            Severity.INFO,
            image.name,
            f"Nothing at {back} can write to it afterwards. Nothing is discarded: what {back} wrote after contact was "
            "lost stays in it until its copy is made anew (Reprotect).",
            None,
        )
    elif code in LEFT_THE_LINE and chosen is not None and chosen.way is not SalvageWay.EXPORT:
        yield _chosen_otherwise(chosen, image.name, back)
    elif code in LEFT_THE_LINE and salvage_dir:
        yield Finding(
            "saves_and_discards",
            Severity.INFO,
            image.name,
            f"What {back} wrote after contact was lost is nowhere else. It is saved to {salvage_dir} at {back} first, "
            "then discarded, and the image copied again.",
            None,
        )
    elif code in LEFT_THE_LINE:
        yield Finding(
            "discards",
            Severity.WARN,
            image.name,
            f"What {back} wrote after contact was lost is nowhere else. It is discarded, and the image copied again.",
            "If anybody may want it: choose that a copy is kept under a new name, or name a directory for it on the "
            f"page of {back}. If nobody does, say why when you start the run; the trail keeps it.",
        )
    elif code in STAYS:
        yield Finding("stays", Severity.INFO, image.name, "It follows already: nothing of it is discarded.", None)
    else:
        unknown = code is VerdictCode.CANNOT_TELL
        yield block("verdict", image.name, image.verdict.sentence, "Look at the image's page.", unknown=unknown)


def _fence_findings(given: ReadinessInput, back: str) -> Iterator[Finding]:
    """A reprotect itself powers off and demotes: the second rung. More is done by a fence run only."""
    reached, wanted = max(given.fence_reached, FenceRung.DEMOTED), given.fence_wanted
    floor = floor_of(given.fence_least, wanted)
    if reached >= wanted:
        return
    said = (
        f"The plan wants rung {wanted.value} there first ({RUNG_WORDS[wanted]}); this run goes no higher than rung "
        f"{reached.value} ({RUNG_WORDS[reached]})."
    )
    if reached < floor:
        policy = f" The approval policy lets nothing go on below rung {floor.value}."
        yield block("below_policy", back, said + policy, "Fence it first.")
        return
    yield Finding(
        "below_the_rung",
        Severity.WARN,
        back,
        said,
        "Fence it first. Or say why it goes on below that rung: the trail keeps it with your name.",
    )


def _copy_findings(image: ImageReadiness, sites: Iterable[SiteReadiness]) -> Iterator[Finding]:
    """What is discarded has to come back whole, and to follow from then on."""
    yield from clone_findings(image.name, image.target)
    names = {site.role: site.name for site in sites}
    sides = (
        (names.get("source", "the returned site"), image.source),
        (names.get("target", "the other site"), image.target),
    )
    if wrong := one_way(sides):
        yield block("one_way", image.name, wrong, ONE_WAY_REMEDY)


def _chosen_otherwise(chosen: SalvageChoice, image: str, back: str) -> Finding:
    if chosen.way is SalvageWay.COPY:
        said = (
            f"What {back} wrote after contact was lost is nowhere else. A copy of the image is kept at {back} first, "
            "under a new name, then the image is discarded and copied again."
        )
        return Finding("keeps_and_discards", Severity.INFO, image, said, None)
    said = f"What {back} wrote after contact was lost is discarded without a copy, because: {chosen.reason}"
    return Finding("waived", Severity.INFO, image, said, None)


def _vm_findings(vm: VmReadiness, back: str) -> Iterator[Finding]:
    found = vm.at_source
    if found is None:
        yield block(
            "vm_unread", vm.name, f"Its state at {back} could not be read.", "Check OpenNebula there.", unknown=True
        )
    elif found.phase == "running":
        yield Finding(
            "runs_twice",
            Severity.WARN,
            vm.name,
            f"It runs at {back}: maybe at both sites at once. It is powered off there first.",
            "Better cut it off from its network now.",
        )
    elif lost_sight_of(found):
        yield Finding(
            "powered_off_hard",
            Severity.WARN,
            vm.name,
            f"OpenNebula at {back} has lost sight of it (UNKNOWN): it may run. It is powered off hard there first.",
            f"If its host does not answer OpenNebula, cut that host's power first: nobody at {back} can stop the VM.",
        )
    elif found.phase not in OFF_PHASES:
        yield block(
            "vm_state",
            vm.name,
            f"At {back} it is {found.state_word}; it can only be stopped from running.",
            off_remedy(found.phase, found.state_word, may_run=False),
        )
