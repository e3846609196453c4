"""From the site program's error codes and receipts to ``drivers.errors`` (``docs/site-program.md`` has both lists)."""

from __future__ import annotations

from typing import Any

from drportal.drivers.base import Answer
from drportal.drivers.errors import AlreadySo, DriverError, OutcomeUnknown, Reason, Refused, Unreachable

_CODES = {
    "bad-request": Reason.BAD_REQUEST,
    "line-too-long": Reason.BAD_REQUEST,
    "version": Reason.BAD_REQUEST,
    "unknown-verb": Reason.BAD_REQUEST,
    "conflict": Reason.BAD_REQUEST,
    "barred": Reason.BAD_REQUEST,
    "not-allowed": Reason.NO_RIGHTS,
    "stale-fence": Reason.STALE_FENCE,
    "busy": Reason.BUSY,
    "not-found": Reason.NOT_FOUND,
    "receipts-full": Reason.NO_ROOM,
    "storage": Reason.NO_ROOM,
}
# What a refused precondition means to a step. Another snapshot than the one judged: the gate has to judge again.
_PRECONDITIONS = {
    "mirrored": Reason.NOT_MIRRORED,
    "newest_snapshot": Reason.DEMOTION_NOT_ARRIVED,
    "watchers": Reason.LOCK_HELD,
    "room": Reason.NO_ROOM,
}
_GOALS = {"demote": False, "promote": True}


def refusal(error: dict[str, Any], answer: Answer, act: str | None = None) -> DriverError:
    """What ``ok: false`` means; of an act also that nothing was done. An error of no known shape is Refused OTHER."""
    code, facts = str(error.get("code")), error.get("facts") or {}
    text = f"{answer.host}: {error.get('text', 'it gave no reason.')}"
    if code in ("unreachable", "ending"):
        return Unreachable(text, answer)
    if code == "precondition":
        failed = facts.get("failed")
        if failed == "primary" and act in _GOALS:
            return AlreadySo(text, answer)
        return Refused(text, _PRECONDITIONS.get(str(failed), Reason.WRONG_STATE), answer)
    if code == "refused":
        return Refused(text, _reason(facts.get("reason")), answer)
    return Refused(text, _CODES.get(code, Reason.OTHER), answer)


def raise_for_receipt(receipt: dict[str, Any], answer: Answer, act: str) -> None:
    """Raise what an act's receipt means; return if it is done (still to be proved by a read).

    Raises Refused, AlreadySo, Unreachable (surely not done) or OutcomeUnknown.
    """
    state, words = receipt.get("state"), str(receipt.get("text") or "it gave no words")
    if state == "done":
        return
    if state == "not-done" and receipt.get("how") == "barred":
        raise Unreachable(f"The {act} never arrived at {answer.host}, and can't arrive there any more.", answer)
    if state == "not-done" and receipt.get("how") == "found":
        raise Unreachable(f"The {act} at {answer.host} was broken off, and had no effect: {words}", answer)
    if state == "not-done":
        raise _not_done(receipt, answer, act, words)
    going = "goes on" if receipt.get("alive") else "has an unknown end"
    raise OutcomeUnknown(
        f"The {act} at {answer.host} {going}: {words}. Read the image's role before anything else.", answer
    )


def _not_done(receipt: dict[str, Any], answer: Answer, act: str, words: str) -> DriverError:
    reason = _reason(receipt.get("reason"))
    if reason is {"promote": Reason.IS_PRIMARY, "demote": Reason.IS_NOT_PRIMARY}.get(act):
        return AlreadySo(f"The image at {answer.host} is so already: nothing was left to do.", answer)
    if reason is Reason.DEMOTION_NOT_ARRIVED:
        sentence = "the demotion at the other site has not arrived here"
    elif reason is Reason.LOCK_HELD:
        sentence = "another client holds the image's lock"
    else:
        sentence = f"exit {receipt.get('exit')}"
    return Refused(f"{answer.host} refused to {act}: {sentence} ({words}). Nothing was changed.", reason, answer)


def _reason(word: object) -> Reason:
    name = str(word).replace("-", "_")
    return Reason(name) if name in tuple(Reason) else Reason.OTHER
