"""What a person reads before a returned site is fenced, or its copies are made anew: only what that run will do."""

from __future__ import annotations

import dataclasses

import pytest

from drportal.engine.fence import FenceRung
from drportal.engine.gate_base import GateId
from drportal.engine.plans import RunKind
from drportal.engine.readiness import Severity
from drportal.engine.return_gates import g_fence_returned
from drportal.engine.return_readiness import assess_return
from drportal.engine.steps import STEP_KINDS, StepKind
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


@pytest.mark.parametrize(
    ("least", "wanted", "reached", "code"),
    [
        (FenceRung.OFF, FenceRung.SHUT_OUT, FenceRung.NONE, "below_the_rung"),
        (FenceRung.LOCKED, FenceRung.SHUT_OUT, FenceRung.NONE, "below_policy"),
        (FenceRung.LOCKED, FenceRung.SHUT_OUT, FenceRung.LOCKED, "below_the_rung"),
        (FenceRung.CUT, FenceRung.SHUT_OUT, FenceRung.LOCKED, "below_policy"),
        (FenceRung.CUT, FenceRung.SHUT_OUT, FenceRung.SHUT_OUT, ""),
        (FenceRung.CUT, FenceRung.DEMOTED, FenceRung.NONE, ""),
    ],
)
def test_the_policy_says_how_far_below_the_plans_rung_a_reason_lets_a_reprotect_go(
    least: FenceRung, wanted: FenceRung, reached: FenceRung, code: str
) -> None:
    given = dataclasses.replace(
        BACK, salvage_dir="/srv/salvage", fence_wanted=wanted, fence_reached=reached, fence_least=least
    )
    result = assess_return(RunKind.REPROTECT, given, NOW)
    found = [one for one in result.findings if one.code.startswith("below")]
    assert [one.code for one in found] == ([code] if code else [])
    assert (result.state == "not_ready") is (code == "below_policy")


def test_nothing_of_a_returned_site_is_discarded_below_the_plans_rung_unless_a_named_person_says_why() -> None:
    refused = g_fence_returned(FenceRung.DEMOTED, FenceRung.LOCKED, "", "", NOW)
    assert (refused.met, refused.hopeless) == (False, True)
    assert "the plan wants rung 3" in refused.sentence and "Nothing is discarded" in refused.sentence
    said = g_fence_returned(FenceRung.DEMOTED, FenceRung.LOCKED, "olga", "the hosts are scrap", NOW)
    assert said.met and "olga goes on below it, because: the hosts are scrap" in said.sentence
    assert g_fence_returned(FenceRung.LOCKED, FenceRung.LOCKED, "", "", NOW).met
    assert g_fence_returned(FenceRung.SHUT_OUT, FenceRung.LOCKED, "", "", NOW).met
    assert GateId.FENCE in STEP_KINDS[StepKind.IMAGE_RESYNC].gates_before
