"""What can be made to go wrong at one front end. Options are keywords; `times` absent or 0 means until restored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .errors import INTERNAL, NebulaError

DOWN: Final = "opennebula-down"
HUNG: Final = "opennebula-hung"
REFUSES: Final = "opennebula-refuses"
ANSWER_LOST: Final = "opennebula-answer-lost"
IGNORES_SHUTDOWN: Final = "guest-ignores-shutdown"
HANGS_IN_SHUTDOWN: Final = "guest-hangs-in-shutdown"
PROLOG_FAILS: Final = "prolog-fails"
BOOT_FAILS: Final = "boot-fails"
SCHEDULER_STOPPED: Final = "scheduler-stopped"
LOST_SIGHT: Final = "vm-lost-sight"

OPTIONS: Final[dict[str, frozenset[str]]] = {
    DOWN: frozenset(),
    HUNG: frozenset({"thaw"}),
    REFUSES: frozenset({"match", "code", "text", "times"}),
    ANSWER_LOST: frozenset({"match", "times"}),
    IGNORES_SHUTDOWN: frozenset({"vm", "times"}),
    HANGS_IN_SHUTDOWN: frozenset({"vm", "times"}),
    PROLOG_FAILS: frozenset({"vm", "times"}),
    BOOT_FAILS: frozenset({"vm", "times"}),
    SCHEDULER_STOPPED: frozenset(),
    LOST_SIGHT: frozenset({"vm", "process", "host"}),
}
SENTENCES: Final[dict[str, str]] = {
    DOWN: "OpenNebula's port is closed: connections are refused.",
    HUNG: "OpenNebula accepts, reads and never answers. When it ends, thaw=execute (default) runs the calls it holds, "
    "late, as a frozen and thawed oned does; thaw=drop forgets them.",
    REFUSES: "Calls that contain match are refused with code (default 0x2000) and text, times times.",
    ANSWER_LOST: "Calls that contain match are done, and the connection is cut before the answer, times times.",
    IGNORES_SHUTDOWN: "The guest vm (name or id; without: every one) refuses a graceful power-off and terminate.",
    HANGS_IN_SHUTDOWN: "The guest vm never ends a graceful power-off or terminate; the hard one gets through.",
    PROLOG_FAILS: "The disks of vm cannot be prepared when it starts.",
    BOOT_FAILS: "vm does not boot.",
    SCHEDULER_STOPPED: "VMs stay PENDING without a message.",
    LOST_SIGHT: "vm becomes UNKNOWN. process=kept: it runs on and has its disks open; gone (default): it ended. host: "
    "what its host is meanwhile, monitored (default), error or offline.",
}
NAMES: Final = tuple(OPTIONS)

Option = str | int


@dataclass(slots=True)
class Fault:
    """`match` is a method ("vm.action", with or without "one."), an action of one.vm.action ("poweroff"), both
    ("vm.action poweroff"), or "" for every call."""

    name: str
    options: dict[str, Option]
    left: int  # 0: until restored

    def matches_call(self, method: str, action: str) -> bool:
        words = str(self.options.get("match", "")).replace(":", " ").split()
        return all(word in (method, method.removeprefix("one."), action) for word in words)

    def matches_vm(self, vm_id: int, vm_name: str) -> bool:
        wanted = str(self.options.get("vm", ""))
        return wanted in ("", str(vm_id), vm_name)


def _number(value: Option) -> int:
    """Numbers may come as text, from a command line: "0x800". Raises ValueError."""
    return int(value, 0) if isinstance(value, str) else value


class Faults:
    """The active faults of one site; consulted by the endpoint and by the life cycle of the VMs."""

    def __init__(self) -> None:
        self._active: list[Fault] = []

    def set(self, name: str, **options: Option) -> None:
        """Raises ValueError with a sentence for an unknown fault or option."""
        allowed = OPTIONS.get(name)
        if allowed is None:
            raise ValueError(f"there is no fault {name!r} here; there are: {', '.join(NAMES)}")
        unknown = set(options) - allowed
        if unknown:
            raise ValueError(f"{name} has no option {', '.join(sorted(unknown))}")
        if options.get("thaw", "execute") not in ("execute", "drop"):
            raise ValueError("thaw is 'execute' or 'drop'")
        if options.get("process", "gone") not in ("gone", "kept"):
            raise ValueError("process is 'gone' or 'kept'")
        if options.get("host", "monitored") not in ("monitored", "error", "offline"):
            raise ValueError("host is 'monitored', 'error' or 'offline'")
        _number(options.get("code", INTERNAL))
        self._active.append(Fault(name, dict(options), _number(options.get("times", 0))))

    def clear(self, name: str | None = None) -> None:
        """None: all of them."""
        self._active = [fault for fault in self._active if name is not None and fault.name != name]

    def active(self) -> list[dict[str, Option]]:
        return [{"fault": fault.name, **fault.options, "left": fault.left} for fault in self._active]

    def has(self, name: str) -> bool:
        return any(fault.name == name for fault in self._active)

    def thaw_drops(self) -> bool:
        return any(fault.name == HUNG and fault.options.get("thaw") == "drop" for fault in self._active)

    def refusal(self, method: str, args: Sequence[object]) -> NebulaError | None:
        """The refusal that is due for this call, counted down; None if it may go on."""
        fault = self._take_call(REFUSES, method, args)
        if fault is None:
            return None
        text = fault.options.get("text", "The lab was told to refuse this call.")
        return NebulaError(_number(fault.options.get("code", INTERNAL)), str(text))

    def loses_answer(self, method: str, args: Sequence[object]) -> bool:
        return self._take_call(ANSWER_LOST, method, args) is not None

    def takes_vm(self, name: str, vm_id: int, vm_name: str) -> bool:
        """Whether the fault `name` hits this VM now; counted down when it does."""
        for fault in self._active:
            if fault.name == name and fault.matches_vm(vm_id, vm_name):
                self._count_down(fault)
                return True
        return False

    def _take_call(self, name: str, method: str, args: Sequence[object]) -> Fault | None:
        action = str(args[0]) if method == "one.vm.action" and args else ""
        for fault in self._active:
            if fault.name == name and fault.matches_call(method, action):
                self._count_down(fault)
                return fault
        return None

    def _count_down(self, fault: Fault) -> None:
        if fault.left:
            fault.left -= 1
            if not fault.left:
                self._active.remove(fault)
