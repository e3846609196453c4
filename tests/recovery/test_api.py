"""Plans, runs and steps over HTTP: what is answered, to whom, and how a refusal looks."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from drportal.drivers.base import ImageRef
from drportal.drivers.rbd_commands import RbdCommands, command_line
from drportal.engine.gates import GateId
from drportal.inventory.models import Network, SitePair
from drportal.recovery.models import GateCheck, RecoveryPlan, Run
from drportal.recovery.services import runs
from tests.conftest import Person
from tests.recovery.conftest import Bell, ask, make_vm

pytestmark = pytest.mark.django_db(transaction=True)


def body_for(pair: SitePair, *vm_ids: int, **changed: Any) -> dict[str, Any]:
    members = [{"vm_id": vm_id, "priority": 2} for vm_id in vm_ids]
    return {
        "name": "shop",
        "group_name": "shop",
        "pair_id": pair.pk,
        "home_site": "site-a",
        "members": members,
        "network_map": {},
        **changed,
    }


def test_a_plan_is_made_changed_and_deleted(operator: Person, pair: SitePair) -> None:
    first, second = make_vm(pair, "db-1", 1, ["one-1"]), make_vm(pair, "web-1", 2, ["one-2"])
    made = operator.api("POST", "/plans", body_for(pair, first.pk))
    assert made.status_code == 201, made.content
    plan = made.json()
    assert (plan["version"], plan["active_site"], plan["peer_site"], plan["image_count"]) == (1, "site-a", "site-b", 1)
    assert [(kind["kind"], kind["possible"]) for kind in plan["next_kinds"]] == [
        ("planned_failover", True),
        ("failback", False),
        ("fence", False),
        ("reprotect", False),
    ]
    path = f"/plans/{plan['id']}"
    assert operator.api("PUT", path, body_for(pair, first.pk, second.pk)).status_code == 428
    changed = operator.api("PUT", path, body_for(pair, first.pk, second.pk), version=1)
    assert (changed.status_code, changed.json()["version"], changed.json()["vm_count"]) == (200, 2, 2)
    assert operator.api("PUT", path, body_for(pair, first.pk), version=1).status_code == 412
    assert operator.api("DELETE", path, version=2).status_code == 204
    assert operator.read("/plans")["items"] == []


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"home_site": "nowhere"}, "no site"),
        ({"members": []}, "at least one VM"),
        ({"network_map": {"0": 77}}, "does not have"),
        ({"members": [{"vm_id": 99999, "priority": 1}]}, "no VM"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(operator: Person, pair: SitePair, changed: dict[str, Any], word: str) -> None:
    vm = make_vm(pair, "db-1", 1, ["one-1"])
    answer = operator.api("POST", "/plans", body_for(pair, vm.pk, **changed))
    assert answer.status_code == 422, answer.content
    assert word in answer.json()["detail"]
    assert not RecoveryPlan.objects.exists()


def test_a_plan_of_many_vms_costs_as_many_questions_to_the_database_as_one_of_few(
    operator: Person, pair: SitePair
) -> None:
    """A cloud has thousands; what a plan of two asks for together, one of thirty does too."""
    vms = [make_vm(pair, f"web-{number}", number, [f"one-{number}"]).pk for number in range(32)]

    def questions(name: str, *chosen: int) -> int:
        body = body_for(pair, *chosen, name=name, group_name=name)
        with CaptureQueriesContext(connection) as asked:
            assert operator.api("POST", "/plans", body).status_code == 201
        return len(asked)

    questions("the first of all", vms[0])
    assert questions("many", *vms[1:30]) == questions("few", *vms[30:])


def test_a_vm_is_in_one_group_only(operator: Person, pair: SitePair) -> None:
    vm = make_vm(pair, "db-1", 1, ["one-1"])
    assert operator.api("POST", "/plans", body_for(pair, vm.pk)).status_code == 201
    again = operator.api("POST", "/plans", body_for(pair, vm.pk, name="other", group_name="other"))
    assert (again.status_code, again.json()["code"]) == (409, "vm_taken")


def test_the_preview_shows_the_commands_byte_for_byte(operator: Person, plan: RecoveryPlan) -> None:
    seen = operator.read(f"/plans/{plan.pk}/preview?kind=planned_failover")
    assert (seen["phrase"], seen["button"]) == ("move shop to site-b", "Move 2 VMs and 3 images to Site-B")
    wanted = command_line(RbdCommands().demote(ImageRef("one", "one-1")))
    demotes = [step for step in seen["steps"] if step["kind"] == "image.demote"]
    assert wanted in [command for step in demotes for command in step["commands"]]
    assert all("--force" not in command for step in seen["steps"] for command in step["commands"])
    offs = [step["commands"] for step in seen["steps"] if step["kind"] == "vm.power_off"]
    assert sorted(offs) == [['one.vm.action("poweroff", 1)'], ['one.vm.action("poweroff", 2)']]


def test_a_preview_in_the_wrong_direction_is_refused(operator: Person, plan: RecoveryPlan) -> None:
    answer = operator.api("GET", f"/plans/{plan.pk}/preview?kind=failback")
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_direction")
    assert operator.api("GET", f"/plans/{plan.pk}/preview?kind=way_back").status_code == 422


def test_readiness_with_dark_sites_says_so_and_does_not_fail(operator: Person, plan: RecoveryPlan) -> None:
    """The sites of these rows have no credentials: that is a refusal with a sentence, never an error 500."""
    answer = operator.api("GET", f"/plans/{plan.pk}/readiness?kind=planned_failover")
    assert (answer.status_code, answer.json()["code"]) == (409, "credentials_missing")


def run_body(plan: RecoveryPlan, **changed: Any) -> dict[str, Any]:
    return {
        "kind": "planned_failover",
        "plan_version": plan.version,
        "phrase": "move shop to site-b",
        "request_key": "k1",
        **changed,
    }


def test_a_run_of_a_plan_that_is_not_there_is_not_started(
    operator: Person, plan: RecoveryPlan, ready: list[Any], bell: Bell
) -> None:
    answer = operator.api("POST", "/plans/999999/runs", run_body(plan))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "no plan 999999" in answer.json()["detail"]
    assert not Run.objects.exists()
    assert not bell.rung


def test_asking_twice_with_one_key_is_one_run(
    operator: Person, plan: RecoveryPlan, ready: list[Any], bell: Bell
) -> None:
    first = operator.api("POST", f"/plans/{plan.pk}/runs", run_body(plan))
    again = operator.api("POST", f"/plans/{plan.pk}/runs", run_body(plan))
    assert (first.status_code, again.status_code) == (201, 200), first.content
    assert first.json()["id"] == again.json()["id"]
    assert first.json()["requested_by"] == "operator"
    other = operator.api("POST", f"/plans/{plan.pk}/runs", run_body(plan, request_key="k2"))
    assert (other.status_code, other.json()["code"], other.json()["run_id"]) == (409, "run_active", first.json()["id"])


@pytest.mark.parametrize("role", ["viewer", "approver", "manager", "administrator"])
def test_only_an_operator_starts_and_steers(
    request: pytest.FixtureRequest, role: str, plan: RecoveryPlan, ready: list[Any], bell: Bell
) -> None:
    person: Person = request.getfixturevalue(role)
    run = ask(plan)
    step = run.steps.all()[0]
    base = f"/runs/{run.pk}"
    tries = [
        (f"/plans/{plan.pk}/runs", run_body(plan)),
        (f"{base}/pause", {}),
        (f"{base}/resume", {}),
        (f"{base}/cancel", {}),
        (f"{base}/way-back", {"phrase": "x", "request_key": "y"}),
        (f"{base}/steps/{step.pk}/retry", {}),
        (f"{base}/steps/{step.pk}/skip", {"reason": "x"}),
    ]
    for path, body in tries:
        assert person.api("POST", path, body).status_code == 403, path
    assert person.api("GET", base).status_code == 200


def test_the_page_of_a_run_has_a_row_per_image_and_a_cell_per_gate_or_step(
    operator: Person, plan: RecoveryPlan, ready: list[Any], bell: Bell
) -> None:
    run = ask(plan)
    demote = run.steps.filter(kind="image.demote", subject="one/one-1").get()
    GateCheck.objects.create(
        step=demote, gate=GateId.SYNC.value, outcome="not_met", sentence="12 entries behind.", checked_at=timezone.now()
    )
    page = operator.read(f"/runs/{run.pk}")
    titles = {column["id"]: column["kind"] for column in page["columns"]}
    assert titles["image.demote"] == "step"
    assert titles["G-DEMOTED"] == "gate"
    rows = {image["name"]: image["cells"] for vm in page["vms"] for image in vm["images"]}
    assert set(rows) == {"one/one-1", "one/one-2", "one/one-3"}
    assert rows["one/one-1"]["G-SYNC"]["state"] == "not_met"
    assert rows["one/one-2"]["G-SYNC"]["state"] == "pending"
    assert rows["one/one-1"]["image.demote"]["state"] == "pending"
    assert page["tally"]["not_met"] == 1
    assert page["tally"]["steps"] == {"pending": len(run.steps.all())}
    possible = {action["action"]: action["possible"] for action in page["actions"]}
    assert possible == {"pause": True, "resume": False, "cancel": True, "way_back": False, "new_approval": False}
    assert "Nobody drives this run" in page["next"]
    assert {action["phrase"] for action in page["actions"]} == {None}
    detail = operator.read(f"/runs/{run.pk}/steps/{demote.pk}")
    assert detail["gates"][0]["sentence"] == "12 entries behind."
    assert {action["action"]: action["possible"] for action in detail["actions"]} == {"retry": False, "skip": False}


def test_the_page_of_a_cancelled_run_says_what_to_type_for_the_way_back(
    operator: Person, plan: RecoveryPlan, ready: list[Any], bell: Bell
) -> None:
    run = ask(plan)
    Run.objects.filter(pk=run.pk).update(state="aborted", started_at=timezone.now())
    actions = {action["action"]: action for action in operator.read(f"/runs/{run.pk}")["actions"]}
    assert actions["way_back"]["possible"] is True
    assert actions["way_back"]["phrase"] == "take shop back to site-a"
    assert actions["cancel"]["phrase"] is None


def test_runs_are_listed_newest_first_and_by_pages(
    operator: Person, plan: RecoveryPlan, ready: list[Any], bell: Bell
) -> None:
    first = ask(plan)
    runs.run_cancel(run_id=first.pk, actor="olga")
    second = ask(plan)
    assert [run["id"] for run in operator.read("/runs")["items"]] == [second.pk, first.pk]
    assert [run["id"] for run in operator.read("/runs?state=aborted")["items"]] == [first.pk]
    assert [run["id"] for run in operator.read(f"/runs?cursor={second.pk}")["items"]] == [first.pk]
    assert operator.api("GET", "/runs?cursor=x").status_code == 422


def test_pausing_and_cancelling_need_no_version(
    operator: Person, plan: RecoveryPlan, ready: list[Any], bell: Bell
) -> None:
    run = ask(plan)
    Run.objects.filter(pk=run.pk).update(state="running", lease_owner="somebody")
    assert operator.api("POST", f"/runs/{run.pk}/pause", {}).json()["pause_asked"] is True
    assert operator.api("POST", f"/runs/{run.pk}/cancel", {"reason": "no"}).json()["cancel_asked"] is True


def test_a_plan_with_a_network_map_names_networks_that_exist(operator: Person, pair: SitePair) -> None:
    Network.objects.create(site=pair.b, one_id=7, name="production-b")
    vm = make_vm(pair, "db-1", 1, ["one-1"])
    made = operator.api("POST", "/plans", body_for(pair, vm.pk, network_map={"0": 7}))
    assert made.status_code == 201, made.content
    assert [network["one_id"] for network in made.json()["networks_peer"]] == [7]
