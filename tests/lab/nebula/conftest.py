"""One front end on a clock that only moves when a test moves it."""

from __future__ import annotations

from pathlib import Path

import pytest

from drportal.lab.embedded.nebula import NebulaSite, NetworkSpec, Timings
from drportal.lab.embedded.nebula.errors import NebulaError
from drportal.lab.embedded.nebula.vms import VirtualMachine

from .fake_storage import FakeStorage

FIXTURES = Path(__file__).parents[2] / "fixtures" / "opennebula"
T0 = 1_795_399_150.0


class Clock:
    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> float:
        return self.now


class Front:
    """A site and the words tests use about it."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.storage = FakeStorage()
        self.timings = Timings()
        self.site = NebulaSite(
            "site-a",
            storage=self.storage,
            clock=clock,
            seed=7,
            password="secret",
            networks=[NetworkSpec("prod", "192.168.150.0/24", (("192.168.150.100", 50),))],
            host_cores=8,
            host_memory_mb=16 * 1024,
            timings=self.timings,
        )

    def session(self, user: str) -> str:
        if user == "oneadmin":
            return f"oneadmin:{self.site.state.users.get(0).password}"
        return f"{user}:secret"

    def call(self, method: str, *args: object, user: str = "oneadmin") -> str | int:
        return self.site.handle(f"one.{method}", (self.session(user), *args))

    def number(self, method: str, *args: object, user: str = "oneadmin") -> int:
        result = self.call(method, *args, user=user)
        assert isinstance(result, int)
        return result

    def refused(self, method: str, *args: object, user: str = "oneadmin") -> tuple[int, str]:
        """(code, whole text) of the refusal of a call that must be refused."""
        with pytest.raises(NebulaError) as caught:
            self.call(method, *args, user=user)
        return caught.value.code, f"[one.{method}] {caught.value.text}"

    def wait(self, seconds: float = 60.0) -> None:
        self.clock.now += seconds
        self.site.advance()

    def vm(self, vm_id: int) -> VirtualMachine:
        return self.site.state.vms[vm_id]

    def shown(self, vm_id: int) -> tuple[int, int]:
        self.site.advance()
        return self.vm(vm_id).state, self.vm(vm_id).lcm_state

    def seen(self, vm_id: int, seconds: float = 20.0, step_s: float = 0.01) -> list[tuple[int, int]]:
        """The pairs (STATE, LCM_STATE) that somebody who looks all the time sees, from now on."""
        pairs = [self.shown(vm_id)]
        for _ in range(int(seconds / step_s)):
            self.clock.now += step_s
            pair = self.shown(vm_id)
            if pair != pairs[-1]:
                pairs.append(pair)
        return pairs

    def register(self, source: str, name: str, *, mib: int = 256, persistent: str = "YES") -> int:
        """An image record on a source that is there."""
        self.storage.add(source, mib=mib)
        text = (
            f'NAME="{name}"\nTYPE=OS\nPERSISTENT={persistent}\nSOURCE="{source}"\nFORMAT=raw\nSIZE={mib}\nDEV_PREFIX=vd'
        )
        return self.number("image.allocate", text, 100)

    def running(self, name: str = "web-1", disks: int = 1) -> int:
        sources = [self.storage.add(f"one/{name}-{number}") for number in range(disks)]
        return self.site.add_running_vm(name, sources, "prod", 512, 0.1)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def front(clock: Clock) -> Front:
    return Front(clock)


def recorded(name: str) -> str:
    return (FIXTURES / name).read_text().strip()
