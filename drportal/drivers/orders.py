"""What goes with an act at a site, before it and after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from drportal.drivers.base import Answer


@dataclass(frozen=True, slots=True)
class Warrant:
    """What a forced promotion is sent by: an approval, and the SHA-256 of all that it is bound to.

    Without one no such command can be built. ValueError where it is none.
    """

    approval_id: str
    sha256: str

    def __post_init__(self) -> None:
        if not self.approval_id or len(self.sha256) != 64 or set(self.sha256) - set("0123456789abcdef"):
            raise ValueError("a forced promotion needs an approval. Nothing was sent.")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a site that keeps receipts says about one operation id.

    ``state``: done, not-done, unknown, or begun; ``going_on``: the act has not ended yet. Begun and not going on: its
    process died, and what became of it could not be read there yet. ``after``: what it saw then.
    """

    operation_id: str
    state: str
    going_on: bool
    text: str
    answer: Answer
    after: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tells(self) -> bool:
        """Whether the site knows how it ended, so that nothing else is needed to know that it has."""
        return self.state != "begun"
