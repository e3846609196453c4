"""The embedded lab with an eye on OpenNebula's calls: ``python -m tests.faults.lab up DIR ...``.

Adds the control verb ``calls`` (what each front end was asked to change, and how that ended), and lets every such call
lie for a moment before it is carried out. So a test can kill a caller while its call is still on its way, and see the
call take effect after the caller's death.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from drportal.lab.cli import main
from drportal.lab.embedded.nebula.site import NebulaSite
from drportal.lab.embedded.nebula.xmlrpc import decode_call
from drportal.lab.embedded.server import EmbeddedLab

CHANGES = frozenset(
    {"one.vm.action", "one.vm.allocate", "one.image.allocate", "one.image.enable"}
    | {f"one.{kind}.{word}" for kind in ("vm", "image") for word in ("lock", "unlock")}
    | {"one.host.status"}
)
DELAY_S = float(os.environ.get("FAULTS_CALL_DELAY_S", "0"))

answered = EmbeddedLab.handle
responded = NebulaSite._respond


async def handle(self: EmbeddedLab, verb: str, params: dict[str, Any]) -> Any:
    if verb != "calls":
        return await answered(self, verb, params)
    calls = self.sites[params["site"]].nebula.calls
    return [
        {"at": call.at, "method": call.method, "args": [str(a) for a in call.args], "outcome": call.outcome}
        for call in calls
        if call.method in CHANGES
    ]


async def respond(self: NebulaSite, body: bytes) -> bytes | None:
    if DELAY_S and decode_call(body)[0] in CHANGES:
        await asyncio.sleep(DELAY_S)
    return await responded(self, body)


if __name__ == "__main__":
    EmbeddedLab.handle = handle  # type: ignore[method-assign]
    NebulaSite._respond = respond  # type: ignore[method-assign]
    sys.exit(main())
