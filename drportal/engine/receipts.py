"""The site's record held against the portal's: of each act there are two, and they must say the same.

A site keeps a receipt of every act that it began (``docs/site-program.md``); the portal keeps an attempt of every act
that it sent. Either alone could be wrong, edited or lost.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class DifferenceWord(enum.StrEnum):
    """How the two records differ; the value is what the API says."""

    UNKNOWN_HERE = "unknown_here"
    OTHER_ACT = "other_act"
    OUTCOME = "outcome"
    MISSING_THERE = "missing_there"


@dataclass(frozen=True, slots=True)
class Sent:
    """The portal's record of one act. ``outcome``: of its attempt; empty: none was written.

    ``settled``: nothing more will be learned about it (its run has ended, or its outcome is final).
    ``told``: the answer that the portal kept is a receipt of the site. ``approvals``: of a forced promotion, the
    SHA-256 of each yes that its run took into use.
    """

    verb: str
    source: str
    command: str
    group: str
    fence: int
    outcome: str
    settled: bool
    told: bool
    approvals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """The site's record of one act: the members of a receipt that are compared."""

    verb: str
    source: str
    command: str
    group: str
    fence: int
    state: str
    how: str
    reason: str
    approval: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    word: DifferenceWord
    sentence: str


_OPEN = frozenset({"", "unknown", "unreachable"})
_SEEN_DONE = frozenset({"done", "found_done"})
# Ceph's own "it is so already": the site did nothing, and the portal saw what it wanted.
_SO_ALREADY = frozenset({"is-primary", "is-not-primary"})


def compared(sent: Sent | None, kept: Kept | None) -> Difference | bool:
    """A Difference; True where both agree; False where it is too early to tell."""
    if kept is None:
        return _without_receipt(sent)
    if kept.state == "begun":
        return False
    if sent is None:
        if kept.how == "barred":
            return True  # nothing was begun, and never will be
        return Difference(
            DifferenceWord.UNKNOWN_HERE,
            f"The site has a receipt of a {kept.verb} of {kept.source} ({kept.state}) that this portal's trail does "
            "not know. Somebody acted with the portal's key, or the portal's database is older than the site's record.",
        )
    return _other_act(sent, kept) or _outcome(sent, kept)


def _without_receipt(sent: Sent | None) -> Difference | bool:
    if sent is None or not (sent.told and sent.outcome in _SEEN_DONE):
        return True
    return Difference(
        DifferenceWord.MISSING_THERE,
        f"The portal was told that its {sent.verb} of {sent.source} is done, and the site has no receipt of it any "
        "more. The site's record was removed, cut or restored from an older copy.",
    )


def _other_act(sent: Sent, kept: Kept) -> Difference | None:
    if kept.how == "barred":
        return None  # a barred receipt names no act
    for name, ours, theirs in (
        ("act", sent.verb, kept.verb),
        ("image", sent.source, kept.source),
        ("command", sent.command, kept.command),
        ("group", sent.group, kept.group),
        ("fencing number", sent.fence, kept.fence),
        # A run may be given another yes for what is still to be sent.
        ("approval", kept.approval if kept.approval in sent.approvals else " or ".join(sent.approvals), kept.approval),
    ):
        if ours != theirs:
            return Difference(
                DifferenceWord.OTHER_ACT,
                f"The same operation has another {name} in the two records: {ours or 'none'} here, "
                f"{theirs or 'none'} at the site.",
            )
    return None


def _outcome(sent: Sent, kept: Kept) -> Difference | bool:
    if sent.outcome in _OPEN and not sent.settled:
        return False
    if kept.state == "done":
        agree = sent.outcome in _SEEN_DONE or sent.outcome == "conflict"
    elif kept.state == "not-done":
        agree = sent.outcome not in _SEEN_DONE or kept.reason in _SO_ALREADY
    else:
        agree = sent.outcome not in _OPEN  # the site never learned it; the portal looked
    if agree:
        return True
    ours = {"": "nothing about its end", "found_done": "done (found by looking)"}.get(sent.outcome, sent.outcome)
    theirs = "barred before it began" if kept.how == "barred" else kept.state
    return Difference(
        DifferenceWord.OUTCOME,
        f"The {sent.verb} of {sent.source} ended differently in the two records: {ours} here, {theirs} at the site.",
    )
