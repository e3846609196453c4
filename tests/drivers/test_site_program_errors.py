"""What the site program's codes and receipts mean to a step."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from drportal.drivers.base import Answer
from drportal.drivers.errors import AlreadySo, DriverError, OutcomeUnknown, Reason, Refused, Unreachable
from drportal.drivers.site_program_errors import raise_for_receipt, refusal

ANSWER = Answer("rbd mirror image promote one/disk", "site-b", 1, "", "", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), 0.1)


@pytest.mark.parametrize(
    ("code", "facts", "act", "kind", "reason"),
    [
        ("unreachable", {}, "promote", Unreachable, None),
        ("ending", {}, "promote", Unreachable, None),
        ("precondition", {"failed": "primary"}, "promote", AlreadySo, None),
        ("precondition", {"failed": "primary"}, None, Refused, Reason.WRONG_STATE),
        ("precondition", {"failed": "newest_snapshot"}, "promote", Refused, Reason.DEMOTION_NOT_ARRIVED),
        ("precondition", {"failed": "watchers"}, "demote", Refused, Reason.LOCK_HELD),
        ("precondition", {"failed": "image_id"}, "demote", Refused, Reason.WRONG_STATE),
        ("precondition", {"failed": "something new"}, "demote", Refused, Reason.WRONG_STATE),
        ("stale-fence", {"fence": 9}, "demote", Refused, Reason.STALE_FENCE),
        ("busy", {"op": "another"}, "demote", Refused, Reason.BUSY),
        ("not-allowed", {}, "demote", Refused, Reason.NO_RIGHTS),
        ("not-found", {}, None, Refused, Reason.NOT_FOUND),
        ("refused", {"reason": "not-mirrored"}, None, Refused, Reason.NOT_MIRRORED),
        ("refused", {"reason": "a new word"}, None, Refused, Reason.OTHER),
        ("a new code", {}, None, Refused, Reason.OTHER),
    ],
)
def test_a_refusal(
    code: str, facts: dict[str, object], act: str | None, kind: type[DriverError], reason: Reason | None
) -> None:
    error = refusal({"code": code, "text": "It is so.", "facts": facts}, ANSWER, act)
    assert type(error) is kind
    assert getattr(error, "reason", None) is reason
    assert error.detail == "site-b: It is so."
    assert error.answer is ANSWER


@pytest.mark.parametrize(
    ("receipt", "act", "kind", "reason"),
    [
        ({"state": "not-done", "how": "barred"}, "promote", Unreachable, None),
        ({"state": "not-done", "how": "found"}, "promote", Unreachable, None),
        ({"state": "not-done", "how": "answered", "reason": "is-primary"}, "promote", AlreadySo, None),
        ({"state": "not-done", "how": "answered", "reason": "is-not-primary"}, "demote", AlreadySo, None),
        ({"state": "not-done", "how": "answered", "reason": "is-primary"}, "resync", Refused, Reason.IS_PRIMARY),
        (
            {"state": "not-done", "how": "answered", "reason": "demotion-not-arrived", "exit": 16},
            "promote",
            Refused,
            Reason.DEMOTION_NOT_ARRIVED,
        ),
        ({"state": "not-done", "how": "answered", "reason": "lock-held"}, "demote", Refused, Reason.LOCK_HELD),
        ({"state": "not-done", "how": "answered", "reason": None, "exit": 22}, "demote", Refused, Reason.OTHER),
        ({"state": "unknown", "how": "answered"}, "promote", OutcomeUnknown, None),
        ({"state": "begun", "alive": True}, "promote", OutcomeUnknown, None),
        ({"state": "begun", "alive": False}, "promote", OutcomeUnknown, None),
        ({"state": "a new word"}, "promote", OutcomeUnknown, None),
        ({}, "promote", OutcomeUnknown, None),
    ],
)
def test_a_receipt(receipt: dict[str, Any], act: str, kind: type[DriverError], reason: Reason | None) -> None:
    with pytest.raises(DriverError) as caught:
        raise_for_receipt(receipt, ANSWER, act)
    assert type(caught.value) is kind
    assert getattr(caught.value, "reason", None) is reason


def test_a_receipt_that_says_done_raises_nothing() -> None:
    raise_for_receipt({"state": "done", "how": "found"}, ANSWER, "promote")
