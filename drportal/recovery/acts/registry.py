"""Which code carries out which kind of step.

Adding a kind: a row in ``engine/steps.py``, a class, a line here (docs/adding-a-step.md).
"""

from __future__ import annotations

from drportal.engine.steps import StepKind
from drportal.recovery.acts.base import Act
from drportal.recovery.acts.fencing import LetIn, ShutOut
from drportal.recovery.acts.forced import ForcePromote, Free
from drportal.recovery.acts.images import Demote, Promote
from drportal.recovery.acts.locking import Lock, Unlock
from drportal.recovery.acts.measure import Measure
from drportal.recovery.acts.register import Register
from drportal.recovery.acts.returned import DemoteReturned, Follows, Resync, Saves, StopReturned, exported, kept
from drportal.recovery.acts.vms import Check, PowerOff, ResumeHere, Retire, Settle, Start

ACTS: dict[StepKind, Act] = {
    StepKind.VM_SETTLE: Settle(),
    StepKind.VM_CHECK: Check(),
    StepKind.VM_POWER_OFF: PowerOff(),
    StepKind.IMAGE_DEMOTE: Demote(),
    StepKind.IMAGE_PROMOTE: Promote(),
    StepKind.IMAGE_REGISTER: Register(),
    StepKind.VM_START: Start(),
    StepKind.VM_RETIRE: Retire(),
    StepKind.IMAGE_PROMOTE_AGAIN: Promote(),
    StepKind.VM_RESUME_HERE: ResumeHere(),
    StepKind.IMAGE_FREE: Free(),
    StepKind.IMAGE_FORCE_PROMOTE: ForcePromote(),
    StepKind.IMAGE_REGISTER_ALONE: Register(),
    StepKind.VM_START_ALONE: Start(),
    StepKind.VM_STOP_RETURNED: StopReturned(),
    StepKind.IMAGE_DEMOTE_RETURNED: DemoteReturned(),
    StepKind.IMAGE_SHUT_OUT: ShutOut(),
    StepKind.IMAGE_LET_IN: LetIn(),
    StepKind.VM_LOCK: Lock(),
    StepKind.VM_UNLOCK: Unlock(),
    StepKind.IMAGE_MEASURE: Measure(),
    StepKind.IMAGE_SALVAGE: Saves("salvage", exported),
    StepKind.IMAGE_KEEP: Saves("keep_copy", kept),
    StepKind.IMAGE_RESYNC: Resync(),
    StepKind.IMAGE_FOLLOWS: Follows(),
}
