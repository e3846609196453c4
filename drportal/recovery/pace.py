"""How fast the executor goes: every waiting time it knows, in one place.

Seconds. Settable for tests and for slow sites.
"""

from __future__ import annotations

from dataclasses import dataclass

from drportal.settings import LEASE_S, env


@dataclass(frozen=True, slots=True)
class Pace:
    """``settle_s``: how long after an act of unknown outcome a "not done" is believed, when nobody holds the image
    open.

    Killed ``rbd`` clients were measured to keep an image blocked for 10 to 31 s; one that still works holds the
    image open.
    """

    lease_s: float = LEASE_S
    flags_s: float = 0.7  # pause and cancel are seen within a second
    poll_first_s: float = 1.0
    poll_last_s: float = 3.0
    gate_write_s: float = 5.0  # an unchanged gate is written again this often, so that its time stays fresh
    confirm_s: float = 0.1  # between the two agreeing readings before a destructive act; each is made anew
    gate_patience_s: float = 900.0
    verify_patience_s: float = 120.0
    vm_patience_s: float = 600.0
    settle_s: float = 35.0
    pause_patience_s: float = 30.0
    shared_read_s: float = 2.0
    news_s: float = 0.2  # images that steps wait for are looked at together this often, where that is one exchange
    listening_s: float = 5.0  # a step that is told of all it waits for looks by itself this seldom
    hint_s: float = 0.3


def pace_from_environment() -> Pace:
    """``DRPORTAL_PACE_<NAME>`` for each field, without its ``_s`` (docs/production.md)."""
    fields = {
        name: env(f"PACE_{name.removesuffix('_s').upper()}") for name in Pace.__dataclass_fields__ if name != "lease_s"
    }
    return Pace(**{name: float(text) for name, text in fields.items() if text})
