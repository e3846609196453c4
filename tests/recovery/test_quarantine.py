"""The lost site is heard of again: seen by the poller, held up on every page, fenced, and only then made anew."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import json

import pytest
from django.db import IntegrityError, transaction

from drportal.audit.check import verify_database
from drportal.audit.models import AuditEntry
from drportal.drivers.errors import Reason, Refused
from drportal.engine.alerts import AlertKind
from drportal.engine.facts import Side
from drportal.engine.partial import Choice
from drportal.engine.plans import RunKind
from drportal.engine.states import RunState
from drportal.errors import Conflict
from drportal.inventory.connect import site_drivers
from drportal.inventory.models import SitePair, VirtualMachine, VmDisk
from drportal.inventory.polling import PairWatch, SideWatch
from drportal.inventory.reading import SiteReading
from drportal.recovery import building
from drportal.recovery.fences import locked_at, shut_out_at
from drportal.recovery.models import Quarantine, RecoveryPlan, Run
from drportal.recovery.presenters import RunPage
from drportal.recovery.preview import preview
from drportal.recovery.quarantine import next_act
from drportal.recovery.quarantine_watch import QuarantineWatch
from drportal.recovery.services import choices, disaster, runs
from drportal.recovery.services.steps import step_retry
from drportal.roles import Role
from drportal.watch.conditions import returned_sites
from drportal.watch.models import ReceiptDifference
from drportal.watch.receipts import reconcile
from tests.recovery.conftest import Mover, ask
from tests.recovery.test_disaster import approved, person, requested, told
from tests.stack import wait_until

pytestmark = pytest.mark.slow
numbers = itertools.count(1)


class Polls:
    """The poller's rounds, one at a time."""

    def __init__(self, pair_id: int) -> None:
        self.pair = SitePair.objects.select_related("a", "b").get(pk=pair_id)
        self.beside = QuarantineWatch()
        self.watch = PairWatch(pair_id, "test", 0.5, self.beside)

    def round(self) -> None:
        suspects = self.beside.suspects(self.pair)

        async def look(side: Side) -> SiteReading:
            site = self.pair.a if side is Side.A else self.pair.b
            one = SideWatch(site, list(self.pair.pools), 0.5, ())
            one.turn.suspects = frozenset(suspects.get(side, ()))
            try:
                return await one.look()
            finally:
                assert one._drivers is not None
                await one._drivers.close()

        async def both() -> dict[Side, SiteReading]:
            a, b = await asyncio.gather(look(Side.A), look(Side.B))
            return {Side.A: a, Side.B: b}

        self.watch.write(self.pair, asyncio.run(both()))


def lost(mover: Mover, name: str, fence_rung: int = 2) -> RecoveryPlan:
    """Site a is lost and the group was forced to b by two people."""
    plan = mover.plan(name, fence_rung=fence_rung)
    mover.lab.fail("a", "site-down")
    run = requested(plan, person("olga", Role.OPERATOR))
    assert not Quarantine.objects.exists(), "nothing is suspect while nothing was sent"
    approved(run, person("anna", Role.APPROVER))
    run = mover.drive(run)
    assert run.state == RunState.SUCCEEDED, told(run)
    plan.refresh_from_db()
    return plan


def the_one() -> Quarantine:
    return Quarantine.objects.get()


def test_a_lost_site_that_comes_back_with_its_vm_running_is_seen_in_two_polls_and_fenced_first(mover: Mover) -> None:
    plan = lost(mover, f"web-{next(numbers)}")
    polls = Polls(mover.pair.pk)
    polls.round()
    row = the_one()
    assert (row.state.value, row.site.slug, row.images.count()) == ("waiting", "site-a", 1)
    assert row.begun_by == "olga asked, anna said yes"
    assert not list(returned_sites())
    assert "has not been heard of" in building.why_not(plan.group, RunKind.FENCE)

    mover.lab.restore("a")
    polls.round()
    polls.round()
    row = the_one()
    (image,) = mover.images(plan)
    kinds = [sign["kind"] for sign in row.signs]
    assert (row.state.value, kinds[:2]) == ("contact", ["runs_twice", "writable"]), row.signs
    assert "held_open" in kinds, "the VM has its disk open"
    assert next_act(row) == "Fence it first"
    assert [found.kind for found in returned_sites()] == [AlertKind.LOST_SITE_BACK, AlertKind.RUNS_TWICE]

    with pytest.raises(Conflict, match="Return quarantine") as caught:
        ask(plan, RunKind.FAILBACK)
    assert caught.value.code == "return_quarantine"
    assert "Return quarantine" in building.why_not(plan.group, RunKind.FAILBACK)
    with pytest.raises(Conflict, match="Return quarantine") as caught:
        disaster.disaster_request(
            plan_id=plan.pk, plan_version=plan.version, phrase="", reason="b burns", attestation="olga",
            request_key="second", user=person("otto", Role.OPERATOR),
        )  # fmt: skip
    assert caught.value.code == "return_quarantine"

    run = mover.drive(mover.ask(plan, RunKind.FENCE, accept_warnings=True))
    assert run.state == RunState.SUCCEEDED, told(run)
    assert (mover.vm_state("a", plan.name), mover.vm_state("b", plan.name)) == ("POWEROFF", "RUNNING")
    assert mover.primary(image) == "b"
    assert mover.acts("a", "resync", image) == 0, "nothing is discarded"
    polls.round()
    assert not the_one().signs
    assert next_act(the_one()) == "Make its copies anew (Reprotect)"
    assert the_one().cleared_at is None, "not whole again yet"
    assert "Return quarantine" in building.why_not(plan.group, RunKind.FAILBACK)

    run = mover.drive(mover.ask(plan, RunKind.REPROTECT, accept_warnings=True))
    assert run.state == RunState.SUCCEEDED, told(run)
    row = the_one()
    assert (row.state.value, row.cleared_by_id) == ("cleared", run.pk)
    (vm,) = RunPage(run).out().vms
    assert vm.cells["G-PEER"].state == "not_needed", "its VM was off already"

    def open_again() -> bool:
        polls.round()
        return building.why_not(plan.group, RunKind.FAILBACK) == ""

    wait_until("the way home is open", open_again, 60)
    said = AuditEntry.objects.filter(action__startswith="quarantine.").order_by("seq").values_list("action", flat=True)
    assert list(said) == [f"quarantine.{word}" for word in ("begin", "contact", "signs", "signs", "clear")]
    assert verify_database().ok


def test_who_writes_at_the_returned_site_is_shut_out_where_the_plan_wants_it_and_let_in_at_the_end(
    mover: Mover,
) -> None:
    plan = lost(mover, f"web-{next(numbers)}", fence_rung=4)
    disaster_run = plan.runs.get()
    (alone,) = RunPage(disaster_run).out().fence
    assert (alone.rung, "cannot be reached" in alone.sentence) == (5, True), alone
    (image,) = mover.images(plan)
    mover.lab.restore("a")
    Polls(mover.pair.pk).round()

    run = mover.drive(mover.ask(plan, RunKind.FENCE, accept_warnings=True))
    assert run.state == RunState.SUCCEEDED, told(run)
    cut = run.steps.get(kind="image.shut_out")
    sent = cut.attempts.get()
    assert sent.command.startswith("ceph ")
    assert sent.command.endswith(" 86400")
    assert cut.finished_at <= run.steps.get(kind="vm.stop_returned").finished_at
    address = sent.command.split(" osd blocklist add ")[1].split(" ")[0]
    assert sent.host == mover.pair.a.ssh_host
    (entry,) = json.loads(sent.answers[0]["stdout"])["after"]["blocklisted"]
    assert entry.startswith(f"{address} until "), "the writer and nobody else, by the site's own receipt"
    (fence,) = RunPage(run).out().fence
    assert (fence.rung, fence.wanted) == (4, 4), fence
    assert mover.vm_state("b", plan.name) == "RUNNING"
    locks_hold(mover, plan, run)

    run = mover.drive(mover.ask(plan, RunKind.REPROTECT, accept_warnings=True))
    assert run.state == RunState.SUCCEEDED, told(run)
    assert run.steps.get(kind="image.let_in").state == "succeeded", told(run)
    assert run.steps.get(kind="image.follows").finished_at <= run.steps.get(kind="image.let_in").finished_at
    undone = run.steps.get(kind="image.let_in").attempts.get()
    assert undone.command.endswith(f"osd blocklist rm {address}")
    assert json.loads(undone.answers[0]["stdout"])["after"]["blocklisted"] == []
    assert shut_out_at(mover.pair.a, plan.group) == {}, "let in once"
    taken_away = run.steps.get(kind="vm.unlock").attempts.get().command.split("; ")
    assert [call.split("(")[0] for call in taken_away] == ["one.vm.unlock", "one.image.unlock", "one.host.status"]
    assert locked_at(mover.pair.a, plan.group) == {}, "unlocked once"
    by_hand(mover, plan, "resume")
    reconcile(mover.pair.a.pk)
    assert not ReceiptDifference.objects.filter(run__plan=plan).exists(), "both records say the same of it"
    assert mover.primary(image) == "b"


def by_hand(mover: Mover, plan: RecoveryPlan, word: str) -> None:
    """As an administrator at the returned site's OpenNebula."""
    vm = VirtualMachine.objects.get(site=mover.pair.a, name=plan.name)
    drivers = site_drivers(mover.pair.a)

    async def act() -> None:
        try:
            await drivers.cloud.vm_action(vm.one_id, word)
        finally:
            await drivers.close()

    asyncio.run(act())


def locks_hold(mover: Mover, plan: RecoveryPlan, fence: Run) -> None:
    """Rung 3: nobody starts it there by mistake, and the record says what is to be undone."""
    sent = fence.steps.get(kind="vm.lock").attempts.get().command.split("; ")
    assert [call.split("(")[0] for call in sent] == ["one.vm.lock", "one.image.lock", "one.host.status"]
    with pytest.raises(Refused, match="is locked") as caught:
        by_hand(mover, plan, "resume")
    assert caught.value.reason is Reason.LOCKED
    (there,) = locked_at(mover.pair.a, plan.group).values()
    assert [len(numbers) for numbers in there] == [1, 1, 1]
    again = locked_at(mover.pair.b, plan.group)
    assert again == {}, "of that site only"


def test_a_site_that_falls_silent_again_has_resolved_nothing(mover: Mover) -> None:
    lost(mover, f"web-{next(numbers)}")
    polls = Polls(mover.pair.pk)
    mover.lab.restore("a")
    polls.round()
    polls.round()
    seen = the_one().signs
    assert seen
    mover.lab.fail("a", "site-down")
    polls.round()
    row = the_one()
    assert (row.contact_at, row.state.value, row.signs) == (None, "contact", seen)
    assert len(list(returned_sites())) == 2


def test_made_anew_by_hand_it_is_over_after_a_minute_of_quiet(mover: Mover, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = lost(mover, f"web-{next(numbers)}")
    polls = Polls(mover.pair.pk)
    mover.lab.restore("a")
    polls.round()
    run = mover.drive(mover.ask(plan, RunKind.FENCE, accept_warnings=True))
    assert run.state == RunState.SUCCEEDED, told(run)
    (image,) = mover.images(plan)
    mover.by_hand("a", "rbd", "mirror", "image", "resync", f"one/{image}")

    def calm() -> dt.datetime | None:
        polls.round()
        return the_one().calm_since

    since = wait_until("it is quiet", calm, 60)
    assert the_one().cleared_at is None
    Quarantine.objects.update(calm_since=since - dt.timedelta(seconds=60))
    polls.round()
    assert (the_one().state.value, the_one().cleared_by_id) == ("cleared", None)


def test_what_no_forced_promotion_reached_is_no_suspect(mover: Mover) -> None:
    plan = mover.plan(f"web-{next(numbers)}")
    mover.lab.fail("a", "site-down")
    run = requested(plan, person("olga", Role.OPERATOR))
    approved(run, person("anna", Role.APPROVER))
    mover.lab.fail("b", "command-fails", match="promote --force", exit=30, stderr="rbd: error")
    run = mover.drive(run)
    assert run.state == RunState.PAUSED, told(run)
    polls = Polls(mover.pair.pk)
    polls.round()
    assert the_one().state.value == "waiting", "the run may still force it"

    run = mover.drive(runs.run_cancel(run_id=run.pk, actor="olga"))
    assert run.state == RunState.ABORTED, told(run)
    assert the_one().state.value == "cleared"
    assert "No forced promotion took effect" in the_one().cleared_how


def test_a_disaster_that_rests_gives_way_to_the_fence_of_the_site_that_came_back(mover: Mover) -> None:
    """One VM was forced, one was not; at four in the morning the lost site is back, with both running there."""
    forced, left = (f"web-{next(numbers)}" for _ in range(2))
    plan = mover.plan(forced, left)
    disks = {name: VmDisk.objects.get(vm__site=mover.pair.a, vm__name=name).source for name in (forced, left)}
    suspect, whole = (disks[name].removeprefix("one/") for name in (forced, left))
    mover.lab.fail("a", "site-down")
    rests = requested(plan, person("olga", Role.OPERATOR))
    approved(rests, person("anna", Role.APPROVER))
    mover.lab.fail("b", "command-fails", match=f"promote --force one/{whole}", exit=30, stderr="rbd: error")
    rests = mover.drive(rests)
    assert rests.state == RunState.PAUSED, told(rests)
    mover.lab.restore("b")
    mover.lab.restore("a")
    polls = Polls(mover.pair.pk)
    polls.round()
    polls.round()
    assert f"{forced} runs at Site A and at Site B." in [sign["sentence"] for sign in the_one().signs]
    assert building.why_not(plan.group, RunKind.FENCE) == ""
    assert "holds the group" in building.why_not(plan.group, RunKind.REPROTECT), "it would act where the fence acts"
    assert RunPage(rests).out().next.startswith("Site A is back. Fence it first: this run gives way")
    said = preview(plan, RunKind.FENCE).consequences
    assert f"Run {rests.pk} (disaster failover) rests, and gives way to this one" in said[0]

    fence = mover.ask(plan, RunKind.FENCE, accept_warnings=True)
    rests.refresh_from_db()
    assert (rests.gives_way_to_id, rests.state, rests.approvals.get().state) == (fence.pk, "paused", "void")
    assert "what is told here was read before that" in rests.sentence
    it_stands_aside(rests, fence)

    fence = mover.drive(fence)
    assert fence.state == RunState.SUCCEEDED, told(fence)
    assert (mover.vm_state("a", forced), mover.vm_state("a", left)) == ("POWEROFF", "RUNNING")
    assert (mover.primary(suspect), mover.primary(whole)) == ("b", "a"), "what was not forced is not touched"
    assert not fence.images.filter(held=True).exists()
    rests.refresh_from_db()
    assert (rests.gives_way_to_id, rests.images.filter(held=True).count()) == (None, 2)

    mover.lab.fail("a", "site-down")
    vms = [vm["key"] for vm in rests.plan_copy["vms"] if vm["name"] == left]
    rests = mover.drive(
        choices.run_choose(run_id=rests.pk, choice=Choice.RETRY, vms=vms, version=rests.version, actor="olga")
    )
    assert rests.state == RunState.PAUSED, told(rests)
    assert "The approval is void" in rests.steps.get(kind="image.force_promote", state="failed").sentence
    assert mover.acts("b", "promote --force", whole) == 0, "a new yes is needed"
    rests = mover.drive(runs.run_cancel(run_id=rests.pk, actor="olga"))
    assert rests.state == RunState.ABORTED, told(rests)
    assert verify_database().ok


def it_stands_aside(rests: Run, fence: Run) -> None:
    """Nobody can drive it, not even past the services: two executors never act on one group."""
    for act in (runs.run_resume, runs.run_cancel):
        with pytest.raises(Conflict, match=f"Run {fence.pk} goes before it") as caught:
            act(run_id=rests.pk, actor="olga")
        assert caught.value.code == "gives_way"
    with pytest.raises(Conflict, match=f"Run {fence.pk} goes before it"):
        choices.run_choose(run_id=rests.pk, choice=Choice.STOP, version=rests.version, actor="olga")
    step = rests.steps.filter(state="failed")[0]
    with pytest.raises(Conflict, match=f"Run {fence.pk} goes before it"):
        step_retry(run_id=rests.pk, step_id=step.pk, actor="olga")
    with pytest.raises(IntegrityError, match="who_gives_way_rests"), transaction.atomic():
        Run.objects.filter(pk=rests.pk).update(state=RunState.RUNNING)
    with pytest.raises(IntegrityError), transaction.atomic():
        Run.objects.filter(pk=rests.pk).update(gives_way_to=None)
    page = RunPage(rests).out()
    assert page.console is None
    assert page.next.startswith(f"Run {fence.pk} goes before it: the fence of Site A.")
    assert not any(action.possible for action in page.actions)
