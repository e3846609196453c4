"""What a copy holds that its peer never had: counted entry by entry, or compared block by block. Reads only.

Journal mode: ``rbd journal inspect`` begins behind what every client has acknowledged, and goes on over tags and over a
demotion (measured on 16.2.15: 15001 entries, 1920 acknowledged, 13081 listed). Snapshot mode: ``rbd diff`` knows
snapshots of users only (exit 2 for a mirror snapshot), so both states of the image are read and compared.
"""

import json
import time
from typing import Any, Callable, List, Optional

from drportal.site_program.wire import Fault, Json

MEASURE_WITHIN_S = 60.0
BLOCK_BYTES = 4096
_WRITES = ("AioWrite", "AioDiscard", "AioWriteSame", "AioCompareAndWrite")
_STEP_BYTES = 4 << 20


def too_long(what: str) -> Fault:
    return Fault("too-long", "%s was not done within %d s." % (what, MEASURE_WITHIN_S))


def counted(text: str) -> Json:
    """Of what ``rbd journal inspect --verbose`` lists: data entries and the bytes that they write. Raises Fault."""
    entries, size = 0, 0
    inspected = None
    block: Optional[List[str]] = None
    for line in text.splitlines():
        if line == "{":
            block = []
        elif line == "}" and block is not None:
            event = _event(block)
            if event.get("event_type") in _WRITES:
                entries, size = entries + 1, size + int(event["length"])
            block = None
        elif block is not None:
            block.append(line)
        elif " entries inspected, " in line:
            inspected = line.strip()
    if inspected is None or not inspected.endswith(" 0 errors"):
        raise Fault("refused", "The journal could not be read whole: %.100r." % inspected, exit=0, reason="other")
    return {"entries": entries, "bytes": size, "how": "journal"}


def _event(lines: List[str]) -> Json:
    try:
        return dict(json.loads("{%s}" % "".join(lines)))
    except ValueError:
        raise Fault("refused", "An entry of the journal can't be read: %.100r" % lines, exit=0, reason="other")


def compared(then: Any, now: Any, clock: Callable[[], float] = time.monotonic) -> Json:
    """Two open states of one image (python3-rbd): the bytes of blocks that differ. Raises Fault, rbd.Error."""
    until, differ = clock() + MEASURE_WITHIN_S, 0
    size = max(then.size(), now.size())
    for offset in range(0, size, _STEP_BYTES):
        if clock() > until:
            raise too_long("Comparing %d bytes" % size)
        before, after = _piece(then, offset), _piece(now, offset)
        if before == after:
            continue
        blocks = range(0, max(len(before), len(after)), BLOCK_BYTES)
        differ += sum(before[at : at + BLOCK_BYTES] != after[at : at + BLOCK_BYTES] for at in blocks)
    return {"entries": None, "bytes": differ * BLOCK_BYTES, "how": "blocks"}


def _piece(image: Any, offset: int) -> bytes:
    length = min(_STEP_BYTES, image.size() - offset)
    return bytes(image.read(offset, length)) if length > 0 else b""
