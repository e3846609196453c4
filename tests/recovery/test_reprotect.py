"""The lost site is back: its copies are made anew from the survivor's, and then all goes home."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import pytest

from drportal.audit.check import verify_database
from drportal.audit.models import AuditEntry
from drportal.engine.plans import RunKind
from drportal.engine.salvage import SalvageChoice, SalvageWay
from drportal.engine.states import RunState
from drportal.errors import Invalid
from drportal.inventory.discovery import discover
from drportal.inventory.models import MirroredImage, Site
from drportal.recovery.api_runs import report
from drportal.recovery.building import why_not
from drportal.recovery.fences import fences_out
from drportal.recovery.models import GateCheck, RecoveryPlan, Run, StepAttempt
from drportal.recovery.presenters import RunPage, losses_out
from drportal.recovery.preview import preview
from drportal.recovery.salvaging import Wish
from drportal.recovery.services import runs
from drportal.recovery.services.plans import plan_get
from drportal.roles import Role
from tests.recovery.conftest import Mover, ask
from tests.recovery.test_disaster import approved, person, requested, told
from tests.stack import wait_until

pytestmark = pytest.mark.slow
numbers = itertools.count(1)


@pytest.fixture
def came_back(mover: Mover) -> RecoveryPlan:
    """Site a was lost with its VMs running, its group forced to b by two people, and a is there again."""
    number = next(numbers)
    plan = mover.plan(f"web-{number}", f"db-{number}")
    mover.lab.fail("a", "site-down")
    run = requested(plan, person("olga", Role.OPERATOR))
    approved(run, person("anna", Role.APPROVER))
    run = mover.drive(run)
    assert run.state == RunState.SUCCEEDED, told(run)
    mover.lab.restore("a")
    wait_until("both sides are seen to be primary", lambda: verdicts(mover, plan) == {"two_primaries"}, 60)
    plan.refresh_from_db()
    return plan


def verdicts(mover: Mover, plan: RecoveryPlan) -> set[str]:
    discover(mover.pair.pk)
    rows = MirroredImage.objects.filter(disks__vm__membership__group=plan.group)
    return set(rows.values_list("verdict", flat=True))


def reasons(plan: RecoveryPlan) -> dict[RunKind, str]:
    group = RecoveryPlan.objects.get(pk=plan.pk).group
    return {kind: why_not(group, kind) for kind in (RunKind.FAILBACK, RunKind.REPROTECT)}


def where_it_runs(mover: Mover, plan: RecoveryPlan) -> tuple[str | None, str | None]:
    return mover.vm_state("a", plan.name), mover.vm_state("b", plan.name)


def attempts(run: Run, kind: str) -> int:
    return StepAttempt.objects.filter(step__run=run, step__kind=kind).count()


def test_what_came_back_is_made_anew_and_all_goes_home(mover: Mover, came_back: RecoveryPlan) -> None:
    plan, images = came_back, mover.images(came_back)
    assert {mover.primary(image) for image in images} == {"ab"}
    assert reasons(plan)[RunKind.REPROTECT] == ""
    assert "Return quarantine" in reasons(plan)[RunKind.FAILBACK]
    assert where_it_runs(mover, plan) == ("RUNNING", "RUNNING"), "twice"

    run = mover.drive(mover.ask(plan, RunKind.REPROTECT, accept_warnings=True))
    assert run.state == RunState.SUCCEEDED, told(run)
    assert {mover.primary(image) for image in images} == {"b"}
    assert where_it_runs(mover, plan) == ("POWEROFF", "RUNNING")
    for image in images:
        assert (mover.acts("a", "demote", image), mover.acts("a", "resync", image)) == (1, 1)
        assert (mover.acts("b", "demote", image), mover.acts("b", "resync", image)) == (0, 0), "the only good copy"
    assert plan.group.active_site.slug == "site-b"

    wait_until("protected again", lambda: verdicts(mover, plan) <= {"protected_reversed", "behind"}, 60)
    assert "has to be made anew" in reasons(plan)[RunKind.REPROTECT]
    home = mover.drive(mover.ask(plan, RunKind.FAILBACK))
    assert home.state == RunState.SUCCEEDED, told(home)
    assert {mover.primary(image) for image in images} == {"a"}
    assert where_it_runs(mover, plan) == ("RUNNING", None)
    assert verify_database().ok


def test_what_the_survivor_wrote_is_what_counts(mover: Mover, came_back: RecoveryPlan) -> None:
    plan, (image, *_) = came_back, mover.images(came_back)
    mover.lab.write("a", image, "what the returned site wrote")
    mover.lab.write("b", image, "what the survivor wrote")
    written = mover.lab.checksum("b", image)
    run = mover.drive(mover.ask(plan, RunKind.REPROTECT, accept_warnings=True))
    assert run.state == RunState.SUCCEEDED, told(run)
    wait_until("the copy has it", lambda: mover.lab.checksum("a", image) == written, 60)


def test_asked_again_it_discards_nothing_a_second_time(mover: Mover, came_back: RecoveryPlan) -> None:
    """Cut off in the middle, by a resync that somebody had made by hand: what follows already is left alone."""
    plan, (first, *others) = came_back, mover.images(came_back)
    mover.lab.fail("a", "command-fails", match=f"resync one/{others[0]}", exit=1, stderr="rbd: no", times=1)
    run = mover.drive(mover.ask(plan, RunKind.REPROTECT, accept_warnings=True))
    assert run.state == RunState.PAUSED, told(run)
    runs.run_resume(run_id=run.pk, actor="olga")
    run = mover.drive(run)
    assert run.state == RunState.SUCCEEDED, told(run)
    assert mover.acts("a", "resync", first) == 1
    assert attempts(run, "image.demote_returned") == len(others) + 1


def test_nothing_is_taken_away_while_the_survivor_is_not_primary(mover: Mover, came_back: RecoveryPlan) -> None:
    plan, (image, *_) = came_back, mover.images(came_back)
    asked = mover.ask(plan, RunKind.REPROTECT, accept_warnings=True)
    # Behind the portal's back, between readiness and the run: the good copy is demoted by hand.
    mover.lab.fail("b", "rbd-mirror-down")
    mover.by_hand("b", "rbd", "mirror", "image", "demote", f"one/{image}")
    run = mover.drive(asked)
    assert run.state == RunState.PAUSED, told(run)
    assert "G-PEER" in run.sentence or "is not primary at" in run.sentence
    assert mover.acts("a", "demote", image) == 0
    assert mover.acts("a", "resync", image) == 0
    assert mover.primary(image) == "a"


def test_what_is_not_saved_is_discarded_only_with_a_reason_that_the_trail_keeps(
    mover: Mover, came_back: RecoveryPlan
) -> None:
    plan = came_back
    Site.objects.filter(slug="site-a").update(salvage_dir="")
    with pytest.raises(Invalid, match="no place to save") as caught:
        ask(plan, RunKind.REPROTECT, accept_warnings=True, discard_reason=" ")
    assert caught.value.code == "no_discard_reason"
    assert not Run.objects.filter(kind="reprotect").exists()
    run = ask(plan, RunKind.REPROTECT, accept_warnings=True, discard_reason="the shop was closed all night")
    kept = AuditEntry.objects.get(run_id=run.pk, action="run.request")
    assert kept.actor == "olga"
    assert kept.payload["salvage"] == {"choice": "discard", "reason": "the shop was closed all night"}
    # Nothing is taken away by a run of which nobody knows what was chosen.
    run.plan_copy = {**run.plan_copy, "discard_reason": ""}
    run.save()
    run = mover.drive(run)
    assert run.state == RunState.PAUSED, told(run)
    assert "G-PEER" in run.sentence
    assert sum(mover.acts("a", "demote", image) for image in mover.images(plan)) == 0


def test_how_much_was_lost_is_measured_and_kept_before_anything_is_discarded(
    mover: Mover, came_back: RecoveryPlan
) -> None:
    """In both modes; with the bound that was given before, on the run's page, in its report and in the trail."""
    plan, images = came_back, mover.images(came_back)
    fence = mover.drive(mover.ask(plan, RunKind.FENCE, accept_warnings=True))
    assert fence.state == RunState.SUCCEEDED, told(fence)
    known = {loss.image: loss for loss in losses_out(fence)}
    assert sorted(known) == [f"one/{image}" for image in images]
    modes = {row.mode for row in MirroredImage.objects.filter(disks__vm__membership__group=plan.group)}
    assert modes == {"journal", "snapshot"}, "both"
    for loss in known.values():
        assert loss.why == "", loss
        assert loss.bytes, "its VM wrote while nobody copied"
        assert (loss.entries is None) is ("4 KiB" in loss.how), "writes are counted in journal mode only"
        assert loss.bound, "what was said before"
    shown = preview(plan_get(plan.pk), RunKind.REPROTECT).consequences
    assert all(any(loss.sentence in line for line in shown) for loss in known.values())

    run = mover.drive(mover.ask(plan, RunKind.REPROTECT, accept_warnings=True))
    assert run.state == RunState.SUCCEEDED, told(run)
    assert {loss.image: loss.bytes for loss in losses_out(run)} == {name: loss.bytes for name, loss in known.items()}
    assert len(report(run).exact_loss) == len(images)
    for image in images:
        measured = run.steps.get(kind="image.measure", subject=f"one/{image}")
        resync = run.steps.get(kind="image.resync", subject=f"one/{image}")
        assert measured.finished_at <= resync.started_at
    assert AuditEntry.objects.filter(action="loss.measured", run_id=run.pk).count() == len(images)


def test_a_figure_that_cannot_be_had_is_said_not_to_be_and_holds_nothing_up(
    mover: Mover, came_back: RecoveryPlan
) -> None:
    plan, (image, *_) = came_back, mover.images(came_back)
    command = "diff" if MirroredImage.objects.get(pool="one", name=image).mode == "snapshot" else "journal inspect"
    mover.lab.fail("a", "command-fails", match=f"{command} one/{image}", exit=5, stderr="rbd: I/O error", times=1)
    run = mover.drive(mover.ask(plan, RunKind.REPROTECT, accept_warnings=True))
    assert run.state == RunState.SUCCEEDED, told(run)
    (loss,) = [loss for loss in losses_out(run) if loss.image == f"one/{image}"]
    assert (loss.bytes, loss.sentence.startswith("Not measurable: ")) == (None, True), loss


def with_a_place_for_salvage(mover: Mover) -> Path:
    directory = mover.lab.description.sites["a"].salvage
    Site.objects.filter(slug="site-a").update(salvage_dir=directory)
    return Path(directory)


def saved(directory: Path, image: str) -> list[Path]:
    return sorted(directory.glob(f"{image}.*.rbd-diff"))


def kept_copies(mover: Mover, image: str) -> list[str]:
    return sorted(name for name in mover.lab.status()["sites"]["a"]["images"] if name.startswith(f"{image}.kept-"))


def key(image: str) -> str:
    return str(MirroredImage.objects.get(pool="one", name=image).pk)


def test_what_would_be_discarded_is_saved_first_as_was_chosen_for_each(mover: Mover, came_back: RecoveryPlan) -> None:
    """One to a file, one as a copy in the pool, one waived with a reason."""
    plan, (filed, kept, waived), directory = came_back, mover.images(came_back), with_a_place_for_salvage(mover)
    others = {key(kept): SalvageChoice(SalvageWay.COPY), key(waived): SalvageChoice(SalvageWay.WAIVE, "only caches")}
    wish = Wish(SalvageWay.EXPORT, others)
    run = mover.ask(plan, RunKind.REPROTECT, accept_warnings=True, salvage=wish)
    chosen = AuditEntry.objects.get(run_id=run.pk, action="run.request").payload["salvage"]["images"]
    assert chosen == {
        f"one/{filed}": {"choice": "save", "to": str(directory)},
        f"one/{kept}": {"choice": "copy"},
        f"one/{waived}": {"choice": "discard", "reason": "only caches"},
    }
    mover.lab.write("a", kept, "what only the returned site has")
    lost = mover.lab.checksum("a", kept)
    run = mover.drive(run)
    assert run.state == RunState.SUCCEEDED, told(run)
    (file,) = saved(directory, filed)
    step = run.steps.get(kind="image.salvage", subject=f"one/{filed}")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert str(file) in step.sentence
    assert digest in step.sentence
    assert Path(f"{file}.sha256").read_text().split()[0] == digest
    (copy,) = kept_copies(mover, kept)
    keep = run.steps.get(kind="image.keep", subject=f"one/{kept}")
    assert keep.sentence.endswith(f"rbd rm one/{copy}"), "how to remove it is said in words"
    assert "Not mirrored." in keep.sentence
    sent = keep.attempts.get()
    assert sent.command.endswith(f" one/{kept} one/{copy}.part && rbd rename one/{copy}.part one/{copy}"), "as it ran"
    assert mover.lab.checksum("a", copy) == lost
    assert copy not in mover.lab.status()["sites"]["b"]["images"]
    for saving in (step, keep):
        resync = run.steps.get(kind="image.resync", subject=saving.subject)
        assert saving.finished_at <= resync.started_at, "first saved, then discarded"
    assert (saved(directory, waived), kept_copies(mover, waived)) == ([], [])
    shown = {one.image: (one.state, one.sentence) for one in report(run).salvage}
    assert shown == {
        f"one/{filed}": ("succeeded", step.sentence),
        f"one/{kept}": ("succeeded", keep.sentence),
        f"one/{waived}": ("waived", "Not saved. olga: only caches"),
    }
    page = RunPage(run).out().recopy
    assert page is not None
    assert (page.whole, page.copied_bytes) == (3, page.total_bytes)
    mover.by_hand("a", "rbd", "rm", f"one/{copy}")


def test_a_salvage_whose_answer_is_lost_is_found_and_one_that_fails_discards_nothing(
    mover: Mover, came_back: RecoveryPlan
) -> None:
    plan, (first, second, third), directory = came_back, mover.images(came_back), with_a_place_for_salvage(mover)
    mover.lab.fail("a", "command-succeeds-but-connection-drops", match=f"export-diff one/{first}", times=1)
    mover.lab.fail("a", "command-fails", match=f"export-diff one/{second}", exit=28, stderr="No space left", times=1)
    mover.lab.fail("a", "command-succeeds-but-connection-drops", match=f"copy one/{third}", times=1)
    wish = Wish(None, {key(third): SalvageChoice(SalvageWay.COPY)})
    run = mover.drive(mover.ask(plan, RunKind.REPROTECT, accept_warnings=True, salvage=wish))
    assert run.state == RunState.PAUSED, told(run)
    assert run.steps.get(kind="image.salvage", subject=f"one/{first}").state == "succeeded"
    assert len(saved(directory, first)) == 1, "once"
    assert run.steps.get(kind="image.salvage", subject=f"one/{second}").state == "failed"
    assert mover.acts("a", "resync", second) == 0
    runs.run_resume(run_id=run.pk, actor="olga")
    run = mover.drive(run)
    assert run.state == RunState.SUCCEEDED, told(run)
    assert len(saved(directory, second)) == 1
    assert len(kept_copies(mover, third)) == 1, "once"


def test_below_the_rung_that_its_plan_wants_it_goes_on_for_a_reason_with_a_name_or_not_at_all(
    mover: Mover, came_back: RecoveryPlan
) -> None:
    plan = came_back
    RecoveryPlan.objects.filter(pk=plan.pk).update(fence_rung=3)
    plan.refresh_from_db()
    assert "The plan wants rung 3 at Site A first" in preview(plan_get(plan.pk), RunKind.REPROTECT).fence_question
    with pytest.raises(Invalid, match="Fence it first, or say why") as caught:
        ask(plan, RunKind.REPROTECT, accept_warnings=True)
    assert caught.value.code == "no_deviation"
    run = mover.drive(mover.ask(plan, RunKind.REPROTECT, accept_warnings=True, deviation="its hosts are scrap"))
    assert run.state == RunState.SUCCEEDED, told(run)
    said = {check.sentence for check in GateCheck.objects.filter(step__run=run, gate="G-FENCE")}
    assert len(said) == 1 and "goes on below it, because: its hosts are scrap" in said.pop()
    kept = AuditEntry.objects.get(action="run.request", run_id=run.pk).payload
    assert (kept["fence_wanted"], kept["fence_reached"], kept["deviation"]) == (3, 2, "its hosts are scrap")
    fences = fences_out(run, run.steps.all(), 3)
    assert {(fence.rung, fence.wanted) for fence in fences} == {(2, 3)}
    assert all("because: its hosts are scrap" in fence.sentence for fence in fences)
