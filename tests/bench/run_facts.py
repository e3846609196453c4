"""What a run's own records say about its time. Read within the portal's settings (``manage.py shell``)."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from typing import Any

Span = tuple[float, float]
ROLES = {"demote": "image.demote", "promote": "image.promote"}


def under_way(spans: Iterable[Span]) -> float:
    """Seconds during which at least one of them was under way."""
    seconds, until = 0.0, float("-inf")
    for begin, end in sorted(spans):
        seconds += max(0.0, end - max(begin, until))
        until = max(until, end)
    return seconds


def told(run_id: int) -> str:
    """JSON: the move's seconds, how many images were promoted, and for each of the two acts when it was sent and
    answered.

    An act's span is that of the command as the portal sent it: from the request to the site until the site's answer,
    with the way there, the queue, the site's own checks and its receipt. Seconds count from the last "power off done".
    """
    from drportal.recovery.models import Run, Step, StepAttempt

    run = Run.objects.get(pk=run_id)
    off = max(Step.objects.filter(run=run, kind="vm.power_off").values_list("finished_at", flat=True))
    found: dict[str, Any] = {
        "whole_s": (run.finished_at - run.created_at).total_seconds(),
        "promoted": Step.objects.filter(run=run, kind="image.promote", state="succeeded").count(),
    }
    for word, kind in ROLES.items():
        attempts = StepAttempt.objects.filter(step__run=run, step__kind=kind)
        spans = [span for attempt in attempts for span in _sent(attempt.command, attempt.answers, off)]
        recorded = max(Step.objects.filter(run=run, kind=kind).values_list("finished_at", flat=True))
        found[word] = {
            "command_s": under_way(spans),
            "first_sent_s": min(begin for begin, _ in spans),
            "last_sent_s": max(begin for begin, _ in spans),
            "last_answered_s": max(end for _, end in spans),
            "recorded_s": (recorded - off).total_seconds(),
        }
    return json.dumps(found)


def _sent(command: str, answers: Iterable[dict[str, Any]], zero: dt.datetime) -> Iterable[Span]:
    """The answers of an attempt are that of its act, then those of the looks after it."""
    for answer in answers:
        if answer["command"] == command:
            begin = (dt.datetime.fromisoformat(answer["started_at"]) - zero).total_seconds()
            yield begin, begin + answer["duration_s"]
