"""What one site's host sees of addresses elsewhere: the second place that is asked whether a silent site is gone."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Echo(enum.StrEnum):
    """How an address answered; the words of the protocol (docs/site-program.md, ``reach``)."""

    GREETS = "greets"
    ACCEPTS = "accepts"
    REFUSES = "refuses"
    SILENT = "silent"
    NO_WAY = "no-way"


@dataclass(frozen=True, slots=True)
class Address:
    """``port``: TCP."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Seen:
    """``text``: the greeting, or the host's own words for why not."""

    address: Address
    echo: Echo
    text: str
