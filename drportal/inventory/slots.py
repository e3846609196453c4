"""An image's or a pool's day of exposure, as a row keeps it: what was worst in each slot, in two bytes and two bits.

A day of ten thousand images is written anew every five minutes, so its bytes count several times. What is kept was
packed with exactly this: it never changes (``ExposureDay.packed``).

First the figures, a little-endian code of 16 bits for each slot: 0 is nothing, the others grow with the seconds, in
eighths up to 512 s and then in steps of a two-thousandth or less; what is in between is rounded up, so that less is
never shown. Then a bit for each slot in which no bound could be given, then one for each in which it could not be told.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_EIGHTHS = 8
_STEPS = 2048  # of a code's range between a figure and its double
_LARGEST = 0xFFFF


@dataclass(frozen=True, slots=True)
class Slot:
    """``seconds``: the worst of those that had a bound, None where none had. ``unbounded``: one had none, which is
    worse than any figure; ``untold``: of one it could not be told. All three can be so at once, of different images."""

    seconds: float | None = None
    unbounded: bool = False
    untold: bool = False

    def __or__(self, other: Slot) -> Slot:
        known = [one.seconds for one in (self, other) if one.seconds is not None]
        worst = max(known, default=None)
        return Slot(worst, self.unbounded or other.unbounded, self.untold or other.untold)


def empty(slots: int) -> bytes:
    """Nobody has looked yet."""
    return bytes(2 * slots + 2 * (slots // 8))


def length(packed: bytes) -> int:
    """Of how many slots."""
    return len(packed) * 4 // 9


def with_slot(packed: bytes, place: int, slot: Slot) -> bytes:
    """What is there, and what was so in this slot: of two figures the larger one."""
    day, slots = bytearray(packed), length(packed)
    if slot.seconds is not None:
        (there,) = struct.unpack_from("<H", day, 2 * place)
        struct.pack_into("<H", day, 2 * place, max(there, _code(slot.seconds)))
    at, bit = 2 * slots + place // 8, 1 << place % 8
    if slot.unbounded:
        day[at] |= bit
    if slot.untold:
        day[at + slots // 8] |= bit
    return bytes(day)


def slots_in(packed: bytes) -> Iterator[tuple[int, Slot]]:
    """The places in which somebody looked, and what was so there."""
    slots = length(packed)
    codes = struct.unpack_from(f"<{slots}H", packed)
    unbounded = int.from_bytes(packed[2 * slots : 2 * slots + slots // 8], "little")
    untold = int.from_bytes(packed[2 * slots + slots // 8 :], "little")
    for place, code in enumerate(codes):
        bit = 1 << place
        if code or (unbounded | untold) & bit:
            yield place, Slot(_seconds(code) if code else None, bool(unbounded & bit), bool(untold & bit))


def coarser(packed: bytes, width: int) -> bytes:
    """The worst of so many slots each; one in which nobody looked stays empty."""
    day = empty(length(packed) // width)
    for place, slot in slots_in(packed):
        day = with_slot(day, place // width, slot)
    return day


def _code(seconds: float) -> int:
    eighths = math.ceil(seconds * _EIGHTHS)
    steps, doublings = eighths, 0
    while steps >= 2 * _STEPS:
        doublings += 1
        steps = -(-eighths >> doublings)
    return min(_LARGEST, 1 + steps + _STEPS * doublings)


def _seconds(code: int) -> float:
    doublings = max(0, (code - 1) // _STEPS - 1)
    return float((code - 1 - _STEPS * doublings) << doublings) / _EIGHTHS
