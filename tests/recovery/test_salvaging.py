"""What becomes of the writes that only a returned site has: chosen for all images or for one, kept, and shown."""

from __future__ import annotations

from typing import Any

import pytest

from drportal.audit.models import AuditEntry
from drportal.engine.plans import RunKind
from drportal.engine.readiness import Finding
from drportal.engine.salvage import SalvageChoice, SalvageWay
from drportal.errors import Invalid
from drportal.inventory.models import CephThrough, MirroredImage, Site
from drportal.recovery.api_runs import report
from drportal.recovery.models import RecoveryPlan, Run
from drportal.recovery.plan_copy import from_json
from drportal.recovery.salvaging import Wish
from drportal.recovery.services import runs
from tests.conftest import Person
from tests.recovery.conftest import Bell, ask
from tests.recovery.test_commands import command

EXPORT, COPY, WAIVE = SalvageWay.EXPORT, SalvageWay.COPY, SalvageWay.WAIVE


@pytest.fixture
def back(plan: RecoveryPlan, ready: list[Finding], bell: Bell) -> RecoveryPlan:
    """Its copies at site a, which names a directory for salvage, have left the line of site b."""
    plan.group.active_site = plan.group.pair.b
    plan.group.save()
    MirroredImage.objects.update(verdict="diverged", primary_side="b")
    Site.objects.filter(slug="site-a").update(salvage_dir="/srv/salvage", ceph_through=CephThrough.PROGRAM)
    return plan


def key(name: str) -> str:
    return str(MirroredImage.objects.get(name=name).pk)


def reprotect(plan: RecoveryPlan, wish: Wish, reason: str = "") -> Run:
    return ask(plan, RunKind.REPROTECT, salvage=wish, discard_reason=reason)


def steps_of(run: Run) -> dict[str, str]:
    """Image -> the step that saves it."""
    saving = run.steps.filter(kind__in=("image.salvage", "image.keep"))
    return {step.subject: step.kind for step in saving}


def chosen_in_trail(run: Run) -> object:
    return AuditEntry.objects.get(run_id=run.pk, action="run.request").payload["salvage"]


def test_one_way_for_all_is_a_step_of_each_image_and_in_the_trail(back: RecoveryPlan) -> None:
    run = reprotect(back, Wish(COPY))
    assert steps_of(run) == dict.fromkeys(("one/one-1", "one/one-2", "one/one-3"), "image.keep")
    assert chosen_in_trail(run) == {"choice": "copy"}
    assert from_json(run.plan_copy).salvages() == from_json(runs.run_get(run.pk).plan_copy).salvages()


def test_nothing_chosen_is_saved_where_there_is_a_place(back: RecoveryPlan) -> None:
    run = reprotect(back, Wish())
    assert set(steps_of(run).values()) == {"image.salvage"}
    assert chosen_in_trail(run) == {"choice": "save", "to": "/srv/salvage"}


def test_one_image_may_be_waived_with_a_reason_that_trail_page_and_report_keep(back: RecoveryPlan) -> None:
    wish = Wish(EXPORT, {key("one-1"): SalvageChoice(WAIVE, "only caches"), key("one-2"): SalvageChoice(COPY)})
    run = reprotect(back, wish)
    assert steps_of(run) == {"one/one-2": "image.keep", "one/one-3": "image.salvage"}
    assert chosen_in_trail(run) == {
        "choice": "per image",
        "images": {
            "one/one-1": {"choice": "discard", "reason": "only caches"},
            "one/one-2": {"choice": "copy"},
            "one/one-3": {"choice": "save", "to": "/srv/salvage"},
        },
    }
    told = {one.image: one for one in report(run).salvage}
    assert {image: (one.way, one.state) for image, one in told.items()} == {
        "one/one-1": (WAIVE, "waived"),
        "one/one-2": (COPY, "pending"),
        "one/one-3": (EXPORT, "pending"),
    }
    assert told["one/one-1"].sentence == "Not saved. olga: only caches"
    assert report(run).exceptions == ["one/one-1: Not saved. olga: only caches"], "the reviewer reads it, too"
    run.steps.filter(kind="image.keep").update(state="skipped", skipped_by="otto", skip_reason="no room left")
    (skipped,) = (one for one in report(run).salvage if one.image == "one/one-2")
    assert (skipped.state, skipped.sentence) == ("waived", "Not saved. otto: no room left")
    run.steps.filter(kind="image.resync", subject="one/one-1").update(state="succeeded")
    (followed,) = (one for one in report(run).salvage if one.image == "one/one-1")
    assert followed.state == "not_needed", "it followed already, so nothing of it was discarded"


def test_a_waiver_needs_a_reason_also_where_there_is_a_place(back: RecoveryPlan) -> None:
    for wish in (Wish(WAIVE), Wish(EXPORT, {key("one-2"): SalvageChoice(WAIVE, " ")})):
        with pytest.raises(Invalid) as caught:
            reprotect(back, wish)
        assert caught.value.code == "no_discard_reason"
    run = reprotect(back, Wish(WAIVE), "the shop was closed")
    assert steps_of(run) == {}
    assert chosen_in_trail(run) == {"choice": "discard", "reason": "the shop was closed"}


@pytest.mark.parametrize(("way", "field", "value"), [(EXPORT, "salvage_dir", ""), (COPY, "ceph_through", "rbd")])
def test_a_way_that_the_site_does_not_have_is_refused_in_words(
    back: RecoveryPlan, way: SalvageWay, field: str, value: str
) -> None:
    Site.objects.filter(slug="site-a").update(**{field: value})
    with pytest.raises(Invalid, match="Nothing was started") as caught:
        reprotect(back, Wish(way), "it is not asked")
    assert caught.value.code == "salvage_impossible"
    assert not Run.objects.exists()


def test_an_image_of_another_group_is_refused(back: RecoveryPlan) -> None:
    with pytest.raises(Invalid) as caught:
        reprotect(back, Wish(None, {"999": SalvageChoice(COPY)}))
    assert caught.value.code == "unknown_image"


def test_the_door_offers_the_ways_and_shows_the_commands_of_the_chosen(back: RecoveryPlan, operator: Person) -> None:
    def shown(query: str = "") -> Any:
        return operator.read(f"/plans/{back.pk}/preview?kind=reprotect{query}")

    plain = shown()
    assert [(one["way"], one["why_not"]) for one in plain["salvage_ways"]] == [
        ("export", None), ("copy", None), ("waive", None),
    ]  # fmt: skip
    assert plain["discard_question"] == ""
    mixed = shown(f"&salvage=copy&salvage_of={key('one-3')}:waive")
    commands = {step["subject"]: step["commands"] for step in mixed["steps"] if step["kind"] == "image.keep"}
    assert sorted(commands) == ["one/one-1", "one/one-2"]
    (line,) = commands["one/one-1"]
    kept = "one/one-1.kept-(16 digits of the act's number)"
    assert line.startswith("rbd copy --no-progress --image-feature layering,")
    assert line.endswith(f" one/one-1 {kept}.part && rbd rename {kept}.part {kept}")
    assert "into 1 image" in str(mixed["discard_question"])
    assert any("kept there first as a copy under a new name" in one for one in mixed["consequences"])
    assert operator.api("GET", f"/plans/{back.pk}/preview?kind=reprotect&salvage_of=1:rm").status_code == 422


def test_the_request_takes_the_choice_of_the_door(back: RecoveryPlan, operator: Person) -> None:
    body = {
        "kind": "reprotect", "plan_version": RecoveryPlan.objects.get(pk=back.pk).version,
        "phrase": "discard shop at site-a", "reason": "back", "request_key": "k-1", "salvage": "export",
        "salvage_images": [{"image_id": int(key("one-1")), "way": "waive", "reason": "only caches"}],
    }  # fmt: skip
    answer = operator.api("POST", f"/plans/{back.pk}/runs", body)
    assert answer.status_code == 201, answer.content
    run = Run.objects.latest("pk")
    assert steps_of(run) == {"one/one-2": "image.salvage", "one/one-3": "image.salvage"}
    page = operator.read(f"/runs/{run.pk}")
    assert [one["state"] for one in page["salvage"]] == ["waived", "pending", "pending"]


def test_a_terminal_chooses_the_same_ways(back: RecoveryPlan) -> None:
    start = ("run", "start", "shop", "reprotect", "--yes", "--salvage", "copy", "--discard-reason", "only caches")
    for wrong in ("one/none=waive", "one/one-2=rm", "waive"):
        assert command(*start, "--salvage-of", wrong)[0] == 2
    assert not Run.objects.exists()
    assert command(*start, "--salvage-of", "one/one-2=waive")[0] == 0
    run = Run.objects.get()
    assert steps_of(run) == {"one/one-1": "image.keep", "one/one-3": "image.keep"}
    assert "3 not begun." in command("run", "show", str(run.pk))[1]
