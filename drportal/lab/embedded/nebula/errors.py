"""Refusals of the front end: the code and the text a real `oned` answers.

Codes: OpenNebula, "XML-RPC API", error codes. The text goes out as "[one.<method>] <text>".
"""

from __future__ import annotations

from typing import Final

AUTHENTICATION: Final = 0x0100
AUTHORIZATION: Final = 0x0200
NO_EXISTS: Final = 0x0400
ACTION: Final = 0x0800
XML_RPC_API: Final = 0x1000
INTERNAL: Final = 0x2000
ALLOCATE: Final = 0x4000
LOCKED: Final = 0x8000

FAULT_TYPE: Final = -501  # xmlrpc-c: a parameter of the wrong type, or too few of them
FAULT_NO_METHOD: Final = -506  # xmlrpc-c: no such method


class NebulaError(Exception):
    """A call the front end refuses: `code` is one of the above, `text` has no "[one.method]" prefix."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class NebulaFault(Exception):
    """A call that does not even reach a method: answered as an XML-RPC fault."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def no_such(kind: str, object_id: int) -> NebulaError:
    """`kind` in the server's words: "virtual machine", "image", "datastore", ..."""
    return NebulaError(NO_EXISTS, f"Error getting {kind} [{object_id}].")


def check_name(name: str, max_chars: int = 128) -> None:
    """Raise ValueError with the server's own words for a name it would not take."""
    if not name:
        raise ValueError("Invalid NAME, it cannot be empty")
    if len(name) > max_chars:
        raise ValueError(f"Invalid NAME, max length is {max_chars} chars.")
    for char in name:
        if char in "&|:\\\";/'#{}$<>":
            raise ValueError(f"Invalid NAME, char '{char}' is not allowed")
