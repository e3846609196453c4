"""Every fault that a lab can be told to have, in one table: names, options, and on which kind of lab.

What each one does is in the code of the labs; `lab fail --help` and docs/lab.md print this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from drportal.lab.control import LabError
from drportal.lab.embedded.nebula.faults import OPTIONS as NEBULA_OPTIONS
from drportal.lab.embedded.nebula.faults import SENTENCES as NEBULA_SENTENCES


@dataclass(frozen=True, slots=True)
class Fault:
    """``options``: the keys of ``--option KEY=VALUE``. ``real``: real Ceph and sshd can be made to do it too."""

    name: str
    sentence: str
    options: frozenset[str] = frozenset()
    real: bool = True
    of_commands: bool = False


_TIMES = "times: how often (without: until restored)"

STORAGE_FAULTS = {
    fault.name: fault
    for fault in (
        Fault(
            "site-down",
            "Everything at the site is gone at once: hosts, Ceph, OpenNebula. power=lost: its VMs are off when it is "
            "back; power=kept (default): they never stopped.",
            frozenset({"power"}),
        ),
        Fault(
            "cut-off",
            "The site lives and runs on; its lines to the portal are cut. from=portal (default): the other site still "
            "reaches it; from=both: that line is cut too, and nothing is mirrored. A witness sees it in either case.",
            frozenset({"from"}),
            False,
        ),
        Fault(
            "line-cut",
            "The line between the sites is cut, and the portal reaches both: nothing is mirrored, and the mirror "
            "daemons tell the last that they knew again and again.",
            real=False,
        ),
        Fault("site-hung", "Connections are accepted and nothing ever answers."),
        Fault("rbd-mirror-down", "The mirror daemon is killed; its locks stay until they expire."),
        Fault("rbd-mirror-hung", "The mirror daemon stands still and keeps its locks."),
        Fault("wrong-host-key", "sshd shows another host key than the one that was accepted."),
        Fault(
            "slow-replay", "Journals are replayed at rate entries per second (default 5).", frozenset({"rate"}), False
        ),
        Fault("sessions-full", "sshd refuses each further session, as with MaxSessions used up.", real=False),
        Fault(
            "default-logging", "The rbd client logs to standard error, as it does unless told otherwise.", real=False
        ),
        Fault(
            "command-fails",
            f"Commands that contain match end with exit and stderr and do nothing. {_TIMES}.",
            frozenset({"match", "exit", "stderr", "times"}),
            False,
            True,
        ),
        Fault(
            "command-succeeds-but-connection-drops",
            f"Commands that contain match are done, and the connection is cut before the answer. {_TIMES}.",
            frozenset({"match", "times"}),
            False,
            True,
        ),
        Fault(
            "command-hangs",
            f"Commands that contain match answer after seconds (default an hour). {_TIMES}.",
            frozenset({"match", "seconds", "times"}),
            False,
            True,
        ),
    )
}
OPENNEBULA_FAULTS = {name: Fault(name, NEBULA_SENTENCES[name], options) for name, options in NEBULA_OPTIONS.items()}
FAULTS = STORAGE_FAULTS | OPENNEBULA_FAULTS


def check(name: str, options: dict[str, Any], *, real: bool) -> Fault:
    """The fault of that name. Raises LabError for an unknown name or option, or one that a real lab cannot have."""
    fault = FAULTS.get(name)
    if fault is None:
        known = ", ".join(sorted(FAULTS))
        raise LabError(f"The lab has no fault {name!r}; it has {known}. Nothing was changed.")
    if real and not fault.real:
        raise LabError(
            f"Real Ceph and sshd cannot be made to do {name}; only the embedded lab can. Nothing was changed."
        )
    if unknown := set(options) - fault.options:
        allowed = ", ".join(sorted(fault.options)) or "none"
        raise LabError(f"{name} has no option {', '.join(sorted(unknown))}; it has {allowed}. Nothing was changed.")
    if options.get("power", "kept") not in ("kept", "lost"):
        raise LabError(
            "power is 'kept' (VMs run on when the site is back) or 'lost' (they are off). Nothing was changed."
        )
    if options.get("from", "portal") not in ("portal", "both"):
        raise LabError("from is 'portal' (the other site still reaches it) or 'both'. Nothing was changed.")
    return fault


def faults_text() -> str:
    """For ``lab fail --help``."""
    lines = []
    for fault in FAULTS.values():
        where = "" if fault.real else "  [embedded lab only]"
        lines.append(f"  {fault.name}{where}\n      {fault.sentence}")
    return "faults:\n" + "\n".join(lines)


def faults_markdown() -> str:
    """For docs/lab.md."""
    rows = ["| fault | what happens | options | real Ceph |", "|---|---|---|---|"]
    rows += [
        f"| `{fault.name}` | {fault.sentence} | {', '.join(f'`{name}`' for name in sorted(fault.options))} | "
        f"{'yes' if fault.real else 'no'} |"
        for fault in FAULTS.values()
    ]
    return "\n".join(rows)
