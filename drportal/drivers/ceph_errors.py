"""What an ``rbd`` command's exit status and text mean.

Measured on Ceph 16.2.15 in both mirroring modes. Exit statuses are errno values and each stands for several causes (22
for four); the cause is in librbd's log lines, which a cluster with ``log_to_stderr = false`` does not print, and which
otherwise come before, after or on the same line as those of ``rbd``. So: match substrings, and where there is no cause
say ``OTHER`` and leave the decision to ``rbd info``.

======  ==================================================  =====================================================
exit    text                                                 meaning
======  ==================================================  =====================================================
any     ``couldn't connect to the cluster``                  Unreachable (nothing was opened)
110     ``error opening``                                    Unreachable (the image was not opened)
2       ``error opening``                                    Refused NOT_FOUND
22      ``mirroring not enabled``                            Refused NOT_MIRRORED
22      ``is already primary`` (promote)                     AlreadySo
22      ``is not primary`` (demote)                          AlreadySo
22      neither                                              Refused OTHER: ask ``rbd info``
16      promote                                              Refused DEMOTION_NOT_ARRIVED
16, 30  demote; 30 also promote                              Refused LOCK_HELD (a mirror daemon or a client holds it)
1, 13   ``error opening`` + not permitted/denied             Refused NO_RIGHTS
126,127 (the shell's own)                                    Refused OTHER: ``rbd`` did not start
1       ``unrecognised option``, ``too many arguments``      Refused BAD_REQUEST
124,137 (``timeout``'s own)                                  read: Unreachable; act: OutcomeUnknown
else                                                         read: Refused OTHER; act: OutcomeUnknown
======  ==================================================  =====================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drportal.drivers.base import Answer
from drportal.drivers.errors import AlreadySo, DriverError, OutcomeUnknown, Reason, Refused, Unreachable

_TIMEOUT_EXITS = (124, 137)
_NOT_STARTED_EXITS = (126, 127)
_USAGE_WORDS = ("unrecognised option", "too many arguments", "unknown option", "command not supported")


@dataclass(frozen=True, slots=True)
class _Said:
    """An answer cut up for the rules below."""

    exit_status: int
    text: str
    answer: Answer

    def has(self, *words: str) -> bool:
        return any(word in self.text for word in words)

    @property
    def at_opening(self) -> bool:
        """rbd gave up while opening pool or image, so that nothing was done to it."""
        return self.has("error opening image", "error opening pool")


def words_of(answer: Answer) -> str:
    """The site's own words for a sentence: what ``rbd`` said, without librbd's time stamps and addresses."""
    lines = [line.strip() for line in f"{answer.stderr}\n{answer.stdout}".splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("rbd:")] or lines[-2:]
    return " / ".join(said)[:400] or "it printed nothing"


def raise_for_read(answer: Answer) -> None:
    """Raise what a finished read means; return if it exited 0. Raises Unreachable or Refused, nothing else."""
    if answer.exit_status == 0:
        return
    if answer.exit_status is None or answer.exit_status in _TIMEOUT_EXITS:
        raise Unreachable(
            f"Ceph at {answer.host} did not answer in {answer.duration_s:.0f} s. Nothing was changed.", answer
        )
    said = _Said(answer.exit_status, _text(answer), answer)
    raise _common(said) or Refused(
        f"{answer.host} could not answer (exit {said.exit_status}): {words_of(answer)}.", Reason.OTHER, answer
    )


def raise_for_act(answer: Answer, act: str) -> None:
    """Raise what a finished ``demote`` or ``promote`` means; return if it exited 0 (still to be proved by a read).

    Raises Refused, AlreadySo, Unreachable (surely not done) or OutcomeUnknown.
    """
    if answer.exit_status == 0:
        return
    if answer.exit_status is None or answer.exit_status in _TIMEOUT_EXITS:
        raise _unknown(answer, act)
    said = _Said(answer.exit_status, _text(answer), answer)
    raise _of_act(said, act) or _common(said) or _unknown(answer, act)


def _text(answer: Answer) -> str:
    return f"{answer.stderr}\n{answer.stdout}"


def _unknown(answer: Answer, act: str) -> OutcomeUnknown:
    end = "did not end in our sight" if answer.exit_status is None else f"ended with exit {answer.exit_status}"
    return OutcomeUnknown(
        f"The {act} at {answer.host} {end}: {words_of(answer)}. Whether it was done is not known. "
        "Read the image's role before anything else.",
        answer,
    )


def _common(said: _Said) -> DriverError | None:
    """The meanings that reads and acts share: every one of them says that nothing was done."""
    host, words = said.answer.host, words_of(said.answer)
    if said.has("couldn't connect to the cluster"):
        return Unreachable(f"{host} can't reach its Ceph cluster: {words}. Nothing was changed.", said.answer)
    if said.exit_status == 110 and said.at_opening:
        return Unreachable(f"Ceph at {host} did not answer while opening the image. Nothing was changed.", said.answer)
    for matches, reason, sentence in _REFUSALS:
        if matches(said):
            return Refused(f"{sentence} at {host}: {words}. Nothing was changed.", reason, said.answer)
    return None


_REFUSALS: tuple[tuple[Callable[[_Said], bool], Reason, str], ...] = (
    (lambda said: said.exit_status == 2 and said.at_opening, Reason.NOT_FOUND, "There is no such pool or image"),
    (lambda said: said.exit_status == 22 and said.has("mirroring not enabled", "mirroring is not enabled"),
     Reason.NOT_MIRRORED, "It is not mirrored"),
    (lambda said: said.exit_status in (1, 13) and said.at_opening and said.has("not permitted", "ermission denied"),
     Reason.NO_RIGHTS, "The portal's Ceph user may not do this"),
    (lambda said: said.exit_status in _NOT_STARTED_EXITS, Reason.OTHER, "The command did not start"),
    (lambda said: said.exit_status == 1 and said.has(*_USAGE_WORDS), Reason.BAD_REQUEST,
     "rbd did not understand the command"),
)  # fmt: skip


def _of_act(said: _Said, act: str) -> DriverError | None:
    host, words = said.answer.host, words_of(said.answer)
    already = {"promote": "is already primary", "demote": "is not primary"}.get(act)
    if already and said.exit_status == 22 and said.has(already):
        return AlreadySo(f"The image at {host} {already}: nothing was left to do.", said.answer)
    if said.has("mirroring not enabled", "couldn't connect to the cluster") or said.at_opening:
        return None
    if said.exit_status == 22:
        return Refused(
            f"{host} refused to {act} and gave no cause it is known by: {words}. Read the image's role to learn why.",
            Reason.OTHER,
            said.answer,
        )
    if said.exit_status == 16 and act == "promote":
        return Refused(
            f"{host} refused to promote: the demotion at the other site has not arrived here. Nothing was changed.",
            Reason.DEMOTION_NOT_ARRIVED,
            said.answer,
        )
    if said.exit_status in (16, 30):
        return Refused(
            f"{host} refused to {act}: another client holds the image's lock: {words}. Nothing was changed.",
            Reason.LOCK_HELD,
            said.answer,
        )
    return None
