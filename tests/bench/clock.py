"""A clock that stands still until it is told to go on, and is the same in several processes.

With it a bench of a round every five seconds is one on any machine: a lab that takes a minute for its answers under
load would else be another measurement (everything has grown old by then, and is judged and written anew each time).
"""

from __future__ import annotations

import datetime as dt
import mmap
import struct
import sys
import time
import types
from pathlib import Path


class Clock:
    """Seconds since the epoch, in eight bytes of a file that each process maps."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(struct.pack("<d", time.time()))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), 8)

    def now(self) -> float:
        return float(struct.unpack_from("<d", self._shared)[0])

    def forward(self, seconds: float) -> None:
        struct.pack_into("<d", self._shared, 0, self.now() + seconds)

    def utc(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.now(), dt.UTC)

    def drives_the_portal(self) -> None:
        """In this process: whatever a look at a site and the writing of a round take for now."""
        from django.utils import timezone

        from drportal.drivers import opennebula, site_link
        from drportal.inventory import reading, schedules

        clock = self

        class Driven(dt.datetime):
            @classmethod
            def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
                return clock.utc().astimezone(tz)

        here = types.SimpleNamespace(**{**vars(dt), "datetime": Driven})
        for module in (reading, schedules, site_link, opennebula):
            module.dt = here  # type: ignore[attr-defined]
        timezone.now = self.utc  # type: ignore[assignment]

    def drives_the_lab(self) -> None:
        """In this process, before the lab is made: its storage, its front ends, and what its site program tells."""
        from drportal.site_program import serve

        time.time = self.now
        serve.site_clock = lambda: f"{self.utc():%Y-%m-%dT%H:%M:%S}+0000"


def main() -> int:
    """``python -m tests.bench.clock FILE up …``: a lab by this clock."""
    from drportal.lab.cli import main as lab

    Clock(Path(sys.argv[1])).drives_the_lab()
    return lab(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
