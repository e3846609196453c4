"""Places where a test may kill the executor. Does nothing unless ``DRPORTAL_TESTING=1``.

``DRPORTAL_FAILPOINT="image.demote:P1:kill"``. P0 before the intent is committed, P1 after it, P2 just before the
command goes out, P3 while it runs at the site, P4 when its answer is here, P5 before the outcome is committed, P6 after
it.
``DRPORTAL_FAILPOINT_ONCE`` names a file that is made when it fires; while it exists the failpoint is spent.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

POINTS = ("P0", "P1", "P2", "P3", "P4", "P5", "P6")


def failpoint(kind: str, point: str) -> None:
    """Kill this process here and now, if a test asked for exactly this place."""
    if _armed(kind, point):
        _fire()


async def failpoint_while(kind: str, delay_s: float = 0.05) -> None:
    """P3: the command is on its way; fire a moment later. Run beside the act, and cancelled when the act ends first."""
    if _armed(kind, "P3"):
        await asyncio.sleep(delay_s)
        _fire()


def _armed(kind: str, point: str) -> bool:
    if os.environ.get("DRPORTAL_TESTING") != "1":
        return False
    wanted = os.environ.get("DRPORTAL_FAILPOINT", "")
    spent = os.environ.get("DRPORTAL_FAILPOINT_ONCE")
    return wanted == f"{kind}:{point}:kill" and not (spent and Path(spent).exists())


def _fire() -> None:
    spent = os.environ.get("DRPORTAL_FAILPOINT_ONCE")
    if spent:
        Path(spent).touch()
    os.kill(os.getpid(), signal.SIGKILL)
