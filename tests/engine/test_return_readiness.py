"""What a person reads before a returned site is fenced, or its copies are made anew: only what that run will do."""

from __future__ import annotations

import dataclasses

import pytest

from drportal.engine.fence import FenceRung
from drportal.engine.plans import RunKind
from drportal.engine.readiness import Severity
from drportal.engine.return_readiness import assess_return
from tests.engine.strategies import NOW
from tests.engine.test_readiness import PRIMARY, READY, SOURCE, TARGET, image

BOTH = image(SOURCE, dataclasses.replace(TARGET, role=PRIMARY))
BACK = dataclasses.replace(READY, images=(BOTH,))


def test_a_fence_run_speaks_of_no_discarding_and_asks_nobody_to_accept_it() -> None:
    for salvage_dir in ("", "/srv/salvage"):
        result = assess_return(RunKind.FENCE, dataclasses.replace(BACK, salvage_dir=salvage_dir), NOW)
        (found,) = (finding for finding in result.findings if finding.subject == BOTH.name)
        assert (found.code, found.severity) == ("fences", Severity.INFO)
        assert "Nothing is discarded" in found.sentence


@pytest.mark.parametrize(
    ("salvage_dir", "code", "severity"),
    [("", "discards", Severity.WARN), ("/srv/salvage", "saves_and_discards", Severity.INFO)],
)
def test_a_reprotect_says_what_becomes_of_what_is_nowhere_else(salvage_dir: str, code: str, severity: Severity) -> None:
    result = assess_return(RunKind.REPROTECT, dataclasses.replace(BACK, salvage_dir=salvage_dir), NOW)
    (found,) = (finding for finding in result.findings if finding.subject == BOTH.name)
    assert (found.code, found.severity) == (code, severity)


def test_a_reprotect_below_the_rung_that_the_plan_wants_is_asked_for_only_by_who_accepts_it() -> None:
    given = dataclasses.replace(BACK, salvage_dir="/srv/salvage", fence_wanted=FenceRung.LOCKED)
    for kind, reached, warned in (
        (RunKind.REPROTECT, FenceRung.NONE, True),
        (RunKind.REPROTECT, FenceRung.LOCKED, False),
        (RunKind.REPROTECT, FenceRung.SHUT_OUT, False),
        (RunKind.FENCE, FenceRung.NONE, False),
    ):
        findings = assess_return(kind, dataclasses.replace(given, fence_reached=reached), NOW).findings
        found = [one for one in findings if one.code == "below_the_rung"]
        assert bool(found) is warned
        assert all(one.severity is Severity.WARN and "Fence it first" in (one.remedy or "") for one in found)
    usual = assess_return(RunKind.REPROTECT, dataclasses.replace(given, fence_wanted=FenceRung.DEMOTED), NOW)
    assert "below_the_rung" not in {one.code for one in usual.findings}
