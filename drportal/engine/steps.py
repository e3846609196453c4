"""The kinds of step: what each is called, what it acts on, and the gates that stand before and after it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal

from drportal.engine.gates import GateId


class StepKind(enum.StrEnum):
    VM_SETTLE = "vm.settle"
    VM_CHECK = "vm.check"
    VM_POWER_OFF = "vm.power_off"
    IMAGE_DEMOTE = "image.demote"
    IMAGE_PROMOTE = "image.promote"
    IMAGE_REGISTER = "image.register"
    VM_START = "vm.start"
    VM_RETIRE = "vm.retire"
    IMAGE_PROMOTE_AGAIN = "image.promote_again"
    VM_RESUME_HERE = "vm.resume_here"
    IMAGE_FORCE_PROMOTE = "image.force_promote"
    IMAGE_REGISTER_ALONE = "image.register_alone"
    VM_START_ALONE = "vm.start_alone"
    VM_STOP_RETURNED = "vm.stop_returned"
    IMAGE_DEMOTE_RETURNED = "image.demote_returned"
    IMAGE_RESYNC = "image.resync"
    IMAGE_FOLLOWS = "image.follows"
    IMAGE_FREE = "image.free"
    IMAGE_SALVAGE = "image.salvage"
    IMAGE_KEEP = "image.keep"
    IMAGE_MEASURE = "image.measure"
    IMAGE_SHUT_OUT = "image.shut_out"
    IMAGE_LET_IN = "image.let_in"
    VM_LOCK = "vm.lock"
    VM_UNLOCK = "vm.unlock"


class ProbeOutcome(enum.StrEnum):
    """What a probe found. ``conflict``: something neither we nor the plan intended; ``cannot_tell``: ask again, do not
    act."""

    DONE = "done"
    NOT_DONE = "not_done"
    CONFLICT = "conflict"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True)
class StepSpec:
    """``verb`` has the fields ``{subject}`` and ``{site}``. ``column`` heads the checklist. A gate on a VM's step holds
    for all its images.

    ``site``: where it acts, as a role in the run. ``destructive``: takes something away from somebody; its gates need
    two consecutive agreeing observations (``gates.confirmed``). ``acts_on_role``: changes who is primary; unknown may
    not be skipped. ``patient``: waits for its gates for as long as it takes.
    """

    kind: StepKind
    title: str
    verb: str
    subject: Literal["image", "vm"]
    side: Literal["source", "target"]
    destructive: bool
    acts_on_role: bool
    gates_before: tuple[GateId, ...]
    gates_after: tuple[GateId, ...]
    column: str
    patient: bool = False

    def sentence(self, subject: str, site: str) -> str:
        return self.verb.format(subject=subject, site=site)


G = GateId

_SPECS = (
    # Of a failback, where OpenNebula at home has lost sight of the VM. Nothing depends on that VM yet: the group runs
    # at the other side.
    StepSpec(
        StepKind.VM_SETTLE,
        "Settle what was lost sight of",
        "Power off {subject} at {site}, of which OpenNebula has lost sight",
        "vm",
        "target",
        True,
        False,
        (G.HOME,),
        (G.HOME,),
        "Settled",
    ),
    # Everything that can refuse, refuses here, while the VM still runs: a refusal after the power-off is an outage
    # for nothing.
    StepSpec(
        StepKind.VM_CHECK,
        "Check before anything is touched",
        "Check {subject} at {site}",
        "vm",
        "source",
        False,
        False,
        (G.META, G.ONE, G.PATH, G.PEER_OFF),
        (),
        "Checked",
    ),
    StepSpec(
        StepKind.VM_POWER_OFF,
        "Power off",
        "Power off {subject} at {site}",
        "vm",
        "source",
        True,
        False,
        (G.PATH,),
        (G.OFF,),
        "Off",
    ),
    StepSpec(
        StepKind.IMAGE_DEMOTE,
        "Demote",
        "Demote {subject} at {site}",
        "image",
        "source",
        True,
        True,
        (G.OFF, G.PATH, G.SYNC),
        (),
        "Demoted",
    ),
    StepSpec(
        StepKind.IMAGE_PROMOTE,
        "Promote",
        "Promote {subject} at {site}",
        "image",
        "target",
        True,
        True,
        (G.DEMOTED,),
        (G.PROMOTED,),
        "Promoted",
    ),
    StepSpec(
        StepKind.IMAGE_REGISTER,
        "Register the image",
        "Register {subject} in OpenNebula at {site}",
        "image",
        "target",
        False,
        False,
        (G.PROMOTED,),
        (),
        "Registered",
    ),
    StepSpec(
        StepKind.VM_START,
        "Start",
        "Start {subject} at {site}",
        "vm",
        "target",
        False,
        False,
        (G.PEER_OFF, G.PROMOTED),
        (),
        "Running",
    ),
    # The copy is the only thing to go back to until the VM runs at home, so this is last, and only ever where every
    # disk is persistent: terminating a VM takes its non-persistent disks with it (I15).
    StepSpec(
        StepKind.VM_RETIRE,
        "Retire the copy we left",
        "Terminate the copy of {subject} at {site}",
        "vm",
        "source",
        True,
        False,
        (G.OFF, G.ONE, G.PROMOTED, G.RUNS),
        (),
        "Retired",
    ),
    StepSpec(
        StepKind.IMAGE_PROMOTE_AGAIN,
        "Promote again",
        "Promote {subject} again at {site}",
        "image",
        "source",
        True,
        True,
        (G.RETURN,),
        (G.PROMOTED,),
        "Promoted again",
    ),
    StepSpec(
        StepKind.VM_RESUME_HERE,
        "Resume",
        "Resume {subject} at {site}",
        "vm",
        "source",
        False,
        False,
        (G.PEER_OFF, G.PROMOTED),
        (),
        "Running again",
    ),
    # The disaster path: none of these gates needs the dead site to answer (I11).
    # Its mirror daemon waits for the dead peer and keeps the lock meanwhile, some for good.
    StepSpec(
        StepKind.IMAGE_FREE,
        "Free from the mirror daemon",
        "Free {subject} from the mirror daemon at {site}",
        "image",
        "target",
        True,
        False,
        (G.ONE, G.FENCE, G.FORCE, G.APPROVAL),
        (G.FREE,),
        "Freed",
    ),
    StepSpec(
        StepKind.IMAGE_FORCE_PROMOTE,
        "Force-promote",
        "Force-promote {subject} at {site}",
        "image",
        "target",
        True,
        True,
        (G.ONE, G.FENCE, G.FORCE, G.APPROVAL),
        (G.ALONE,),
        "Force-promoted",
    ),
    StepSpec(
        StepKind.IMAGE_REGISTER_ALONE,
        "Register the image",
        "Register {subject} in OpenNebula at {site}",
        "image",
        "target",
        False,
        False,
        (G.ALONE,),
        (),
        "Registered",
    ),
    StepSpec(
        StepKind.VM_START_ALONE,
        "Start",
        "Start {subject} at {site}",
        "vm",
        "target",
        False,
        False,
        (G.FENCE, G.ALONE, G.FREE),
        (),
        "Running",
    ),
    # The lost site is back. Nothing of it is taken away unless the other side is seen to hold what counts (G-PEER).
    StepSpec(
        StepKind.VM_STOP_RETURNED,
        "Power off where it came back",
        "Power off {subject} at {site}",
        "vm",
        "source",
        True,
        False,
        (G.PEER,),
        (G.OFF,),
        "Off",
    ),
    StepSpec(
        StepKind.IMAGE_DEMOTE_RETURNED,
        "Demote what came back",
        "Demote {subject} at {site}",
        "image",
        "source",
        True,
        True,
        (G.OFF, G.PEER),
        (),
        "Demoted",
    ),
    # The quickest fence, and one that needs no OpenNebula: the writer is cut off as by a pulled cable.
    StepSpec(
        StepKind.IMAGE_SHUT_OUT,
        "Shut out who writes to it",
        "Shut whoever has {subject} open at {site} out of its Ceph",
        "image",
        "source",
        True,
        False,
        (G.PEER,),
        (),
        "Shut out",
    ),
    StepSpec(
        StepKind.IMAGE_LET_IN,
        "Let in again",
        "Let those who were shut out of {subject} at {site} in again",
        "image",
        "source",
        False,
        False,
        (),
        (),
        "Let in",
    ),
    # Keeps people from starting it by mistake, administrators too: a lock ends only by being taken away.
    StepSpec(
        StepKind.VM_LOCK,
        "Lock in OpenNebula",
        "Lock {subject} and its images and disable its host in OpenNebula at {site}",
        "vm",
        "source",
        True,
        False,
        (G.PEER,),
        (),
        "Locked",
    ),
    StepSpec(
        StepKind.VM_UNLOCK,
        "Unlock in OpenNebula",
        "Unlock {subject} and its images and enable its host in OpenNebula at {site}",
        "vm",
        "source",
        False,
        False,
        (),
        (),
        "Unlocked",
    ),
    # Before anything is discarded: how much it is that nobody else has.
    StepSpec(
        StepKind.IMAGE_MEASURE,
        "Measure what is nowhere else",
        "Measure what {subject} at {site} holds that is nowhere else",
        "image",
        "source",
        False,
        False,
        (),
        (),
        "Measured",
    ),
    # What it wrote after contact was lost is nowhere else. Reads only, and nobody writes any more.
    StepSpec(
        StepKind.IMAGE_SALVAGE,
        "Save what is nowhere else",
        "Save {subject} at {site} to a file",
        "image",
        "source",
        False,
        False,
        (G.OFF,),
        (),
        "Saved",
    ),
    # The same, in the pool itself.
    StepSpec(
        StepKind.IMAGE_KEEP,
        "Keep a copy of what is nowhere else",
        "Keep a copy of {subject} at {site} under a new name",
        "image",
        "source",
        False,
        False,
        (G.OFF,),
        (),
        "Kept",
    ),
    StepSpec(
        StepKind.IMAGE_RESYNC,
        "Discard and copy again",
        "Discard {subject} at {site} and copy it again",
        "image",
        "source",
        True,
        True,
        (G.OFF, G.PEER, G.FENCE),
        (),
        "Discarded",
    ),
    # A disk of terabytes takes hours, and nobody has to decide anything meanwhile.
    StepSpec(
        StepKind.IMAGE_FOLLOWS,
        "Copied anew",
        "Wait until {subject} at {site} is whole again and follows",
        "image",
        "source",
        False,
        False,
        (G.COPIED,),
        (),
        "Copied",
        patient=True,
    ),
)

STEP_KINDS: dict[StepKind, StepSpec] = {spec.kind: spec for spec in _SPECS}

# They act on who holds an image open and never open it themselves: that somebody holds it tells nothing of them.
ABOUT_HOLDERS = frozenset({StepKind.IMAGE_SHUT_OUT, StepKind.IMAGE_LET_IN})

# Of those that want a VM off: where its group runs. The others act where nothing of it may run.
LEAVES = frozenset({StepKind.VM_POWER_OFF, StepKind.IMAGE_DEMOTE})
