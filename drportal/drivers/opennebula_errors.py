"""What a refusal of OpenNebula means. Codes: OpenNebula's XML-RPC reference (error codes); texts measured on 7.5.80.

======== ================= =========================================================================
code     oned's name        reason
======== ================= =========================================================================
0x100    AUTHENTICATION     BAD_CREDENTIALS (also an expired token: same text)
0x200    AUTHORIZATION      LOCKED if the text says so, else NO_RIGHTS
0x400    NO_EXISTS          NOT_FOUND
0x800    ACTION             NO_ROOM, else WRONG_STATE
0x1000   XML_RPC_API        BAD_REQUEST
0x2000   INTERNAL           by text; else BAD_REQUEST for an allocate, OTHER for the rest
0x4000   ALLOCATE           by text; else BAD_REQUEST
0x8000   LOCKED             LOCKED
0x10000  REPLICATION        OTHER (a follower of a front end pair: ask the leader)
-5xx     XML-RPC fault      BAD_REQUEST (the method or its arguments are not known there)
======== ================= =========================================================================
"""

from __future__ import annotations

from drportal.drivers.errors import Reason

_BY_TEXT: tuple[tuple[str, Reason], ...] = (
    ("is locked", Reason.LOCKED),
    ("NAME is already taken", Reason.NAME_TAKEN),
    ("Not enough space", Reason.NO_ROOM),
    ("does not fit in host", Reason.NO_ROOM),
    ("quota", Reason.NO_ROOM),
    ("Cannot acquire image", Reason.WRONG_STATE),
    ("cannot be in state", Reason.WRONG_STATE),
)

_BY_CODE: dict[int, Reason] = {
    0x100: Reason.BAD_CREDENTIALS,
    0x200: Reason.NO_RIGHTS,
    0x400: Reason.NOT_FOUND,
    0x800: Reason.WRONG_STATE,
    0x1000: Reason.BAD_REQUEST,
    0x4000: Reason.BAD_REQUEST,
    0x8000: Reason.LOCKED,
}


def reason_for(code: int, text: str, method: str) -> Reason:
    """Why oned said no. ``method`` as in ``one.vm.allocate``."""
    if code != 0x100:
        for words, reason in _BY_TEXT:
            if words in text:
                return reason
    if code < 0:
        return Reason.BAD_REQUEST
    if code == 0x2000 and method.endswith(".allocate"):
        return Reason.BAD_REQUEST
    return _BY_CODE.get(code, Reason.OTHER)
