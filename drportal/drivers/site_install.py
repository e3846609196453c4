"""Installing the site program over a login's SSH: the installer goes as one command, with what it is to do.

The installer and the program are given as texts; this module knows neither (``drportal/site_program``).
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from typing import Any

from drportal.drivers.base import Answer
from drportal.drivers.errors import OutcomeUnknown, Reason, Refused
from drportal.drivers.site_link import FIND_PYTHON, NO_PYTHON, NoProgram
from drportal.drivers.ssh import SshShell

# Both are packed: the length stays small, and no character of them means anything to a shell.
BOOT = """\
import base64,sys,zlib  # drportal-installer
request,text=[zlib.decompress(base64.b64decode(word)).decode() for word in sys.argv[1:3]]
sys.argv=["drportal-installer",request]
exec(compile(text,"drportal-installer","exec"),{"__name__":"__main__"})
"""


@dataclass(frozen=True, slots=True)
class InstalledThere:
    """What the installer found when it had done its work. ``sha256`` None: no program lies there."""

    path: str
    sha256: str | None
    keys: tuple[str, ...]
    state: str
    receipts: int
    answer: Answer


def _packed(text: str) -> str:
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


async def installer_run(shell: SshShell, installer: str, request: dict[str, Any]) -> InstalledThere:
    """Have the installer do what ``request`` says (``site_program/installer.py``: ``perform``).

    Raises Unreachable, IdentityChanged, NoProgram (nothing was changed), Refused (it says why; what was there before is
    there still), OutcomeUnknown.
    """
    argv = ["sh", "-c", FIND_PYTHON, BOOT, _packed(json.dumps(request)), _packed(installer)]
    answer = await shell.act(argv, patience_s=60.0)
    host = shell.target.name
    if answer.exit_status == NO_PYTHON:
        raise NoProgram(f"{host} has no Python 3, so the site program can't run there. Nothing was changed.")
    try:
        said = json.loads(answer.stdout.strip().splitlines()[-1])
        if not said["ok"]:
            raise Refused(f"{host}: {said['text']}. What was there before is there still.", Reason.OTHER, answer)
        site = said["site"]
        return InstalledThere(
            site["path"], site["sha256"], tuple(site["keys"]), site["state"], int(site["receipts"]), answer
        )
    except (IndexError, ValueError, KeyError, TypeError) as exc:
        told = (answer.stderr or answer.stdout).strip()[-200:]
        raise OutcomeUnknown(f"The installer at {host} ended without a word that we know: {told}") from exc
