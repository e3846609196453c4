"""The third side of role x endpoint x object: one's own and foreign ones, for rights at a pair and for a plan.

The rows are in ``matrix.py``. Each role walks all endpoints in one test: what is made for it costs more than the walk.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import transaction

from drportal.api import NAMED
from drportal.audit.models import AuditEntry
from drportal.inventory.models import Site, SitePair
from drportal.people.services import token_create
from drportal.recovery.models import RecoveryPlan
from drportal.roles import GRANTS, Permission, Role
from tests.api import matrix
from tests.conftest import Person, make_person
from tests.live.test_websocket import hear, socket
from tests.recovery.conftest import make_vm

ROWS = {row: who for row, who in matrix.endpoints().items() if isinstance(who, Permission)}
EVERYWHERE, GROUND = matrix.rows_of(matrix.EVERYWHERE), matrix.rows_of(matrix.GROUND)
# Of the things in ``conftest.things`` those that are not the plan's: the approval is another plan's.
NOT_THE_PLANS = {"slug", "pair_id", "approval_id", "difference_id"}
NAMES_OF_THINGS = ("site-a", "site-b", "db-1", "web-1", "one-1", "shop", "till", "hook", "olga", "hot")

Row = tuple[str, str]
Answer = tuple[int, str]
# Not there for anybody: a file of that name, a review of a run that has not ended, an entry that is about no thing.
ABSENT = {
    ("GET", "/vms/{vm_id}/definitions/{number}/files/{name}"),
    ("GET", "/runs/{run_id}/review"),
    ("GET", "/audit/{seq}"),
}


def test_the_lists_name_endpoints() -> None:
    assert set(ROWS) >= EVERYWHERE | GROUND


def test_each_name_in_a_path_says_what_it_stands_for() -> None:
    names = {name for _, path in matrix.endpoints() for name in re.findall(r"\{(\w+)\}", path)}
    assert names == set(NAMED)


@pytest.fixture
def far_pair(make_site: Callable[..., Site]) -> SitePair:
    return SitePair.objects.create(a=make_site("site-c"), b=make_site("site-d"), pools=["one"])


def walk(person: Person, things: dict[str, Any]) -> Iterator[tuple[Row, Permission, Answer]]:
    """Every endpoint with an empty body, each call undone."""
    for (method, path), who in ROWS.items():
        with transaction.atomic():
            answer = person.api(method, path.format(**things), None if method == "GET" else {}, version=1)
            problem = "problem" in answer.headers["Content-Type"] if answer.status_code != 204 else False
            code = json.loads(answer.content)["code"] if problem else ""
            transaction.set_rollback(True)
        yield (method, path), who, (answer.status_code, code)


def let_in(answer: Answer) -> bool:
    """As far as the door; what the endpoint itself finds wrong with an empty body is its own."""
    return answer[0] not in {401, 404, 500} and answer[1] != "forbidden"


FORBIDDEN, NOT_FOUND = (403, "forbidden"), (404, "not_found")


def assert_each(person: Person, things: dict[str, Any], right: Callable[[Row, Permission, Answer], bool]) -> None:
    """Every endpoint answers as it should; all that do not are named."""
    wrong = [
        f"{row} is for {who}: {answer}" for row, who, answer in walk(person, things) if not right(row, who, answer)
    ]
    assert not wrong


@pytest.mark.parametrize("role", Role)
def test_at_ones_own_pair_all_that_the_role_says(role: Role, pair: SitePair, things: dict[str, Any]) -> None:
    def right(row: Row, who: Permission, answer: Answer) -> bool:
        if who not in GRANTS[role] or row in EVERYWHERE:
            return answer == FORBIDDEN
        return answer == NOT_FOUND if row in ABSENT else let_in(answer)

    assert_each(make_person("somebody", role, pair=pair), things, right)


@pytest.mark.parametrize("role", Role)
def test_at_another_pair_nothing_is_there(role: Role, far_pair: SitePair, things: dict[str, Any]) -> None:
    def right(row: Row, who: Permission, answer: Answer) -> bool:
        if who not in GRANTS[role] or row in EVERYWHERE:
            return answer == FORBIDDEN
        return answer == NOT_FOUND if any(f"{{{name}}}" in row[1] for name in things) else let_in(answer)

    assert_each(make_person("somebody", role, pair=far_pair), things, right)


@pytest.mark.parametrize("role", Role)
def test_for_one_plan_that_plan_and_what_is_its_own(role: Role, plan: RecoveryPlan, things: dict[str, Any]) -> None:
    def right(row: Row, who: Permission, answer: Answer) -> bool:
        names = set(re.findall(r"\{(\w+)\}", row[1]))
        stands_on = names & {"slug", "pair_id"}
        if who not in GRANTS[role] or row in EVERYWHERE:
            return answer == FORBIDDEN
        if row in GROUND:
            return answer[0] == 200
        if stands_on and who is not Permission.VIEW:
            return answer == FORBIDDEN  # it is seen, and not theirs to act on
        return answer == NOT_FOUND if names & NOT_THE_PLANS or row in ABSENT else let_in(answer)

    assert_each(make_person("somebody", role, plan=plan), things, right)


ALL_ROLES = [role for role in Role if role is not Role.SERVICE]


def test_no_list_and_no_count_tells_of_what_is_foreign(far_pair: SitePair, things: dict[str, Any]) -> None:
    person = make_person("somebody", *ALL_ROLES, pair=far_pair)
    told = []
    for (method, path), _ in ROWS.items():
        if method == "GET" and "{" not in path and (method, path) not in EVERYWHERE:
            words = {"/reports/quarter": "?year=2026&quarter=1"}.get(path, "")
            answer = person.api("GET", path + words)
            assert answer.status_code == 200, answer.content
            text = b"".join(answer).decode()
            if path == "/policy":  # it binds every pair: who wants it changed is said to all whom it binds
                text = json.dumps({**json.loads(text), "pending": None, "history": []})
            if path == "/access":  # whoever may give rights is told which accounts there are, and no more of them
                page = json.loads(text)
                text = json.dumps({**page, "people": [one for one in page["people"] if one["grants"]]})
            told += [f"{path}: {name}" for name in NAMES_OF_THINGS if f'"{name}' in text or f"{name} " in text]
    assert not told
    page = person.read("/overview")
    assert [site["slug"] for site in page["sites"]] == ["site-c", "site-d"]
    assert page["counts"] == {}
    assert set(page["gaps"].values()) == {0}
    assert (page["groups"], page["runs"], page["differences"]) == ([], [], [])


def test_a_plans_people_see_that_plan_in_lists_and_counts(plan: RecoveryPlan, things: dict[str, Any]) -> None:
    person = make_person("somebody", *ALL_ROLES, plan=plan)
    assert [one["name"] for one in person.read("/plans")["items"]] == ["shop"]
    assert [one["id"] for one in person.read("/runs")["items"]] == [things["run_id"]]
    assert person.read("/approvals")["items"] == []
    assert [one["plan_name"] for one in person.read("/readiness")["items"]] == ["shop"]
    images = person.read(f"/pairs/{things['pair_id']}/images")
    assert sorted(one["name"] for one in images["items"]) == ["one-1", "one-2", "one-3"]
    assert (images["total"], sum(images["counts"].values())) == (3, 3)
    assert person.read(f"/pairs/{things['pair_id']}/images?q=one-7")["total"] == 0
    assert sorted(one["name"] for one in person.read("/sites/site-a/vms")["items"]) == ["db-1", "web-1"]
    assert b"till" not in b"".join(person.api("GET", "/sites/site-a/vms.csv"))
    page = person.read("/overview")
    assert (sum(page["counts"].values()), [group["name"] for group in page["groups"]]) == (3, ["shop"])
    assert page["gaps"] == {}
    entries = person.read("/audit")["items"]
    assert {entry["run_id"] for entry in entries} == {things["run_id"]}


@pytest.mark.parametrize("path", ["/changes?site={}", "/changes?pair={}", "/runs?plan={}", "/reports/quarter?plan={}"])
def test_a_query_cannot_tell_what_is_foreign_from_what_is_not_there(
    path: str, far_pair: SitePair, things: dict[str, Any]
) -> None:
    person = make_person("somebody", *ALL_ROLES, pair=far_pair)
    foreign = {"site": things["slug"], "pair": things["pair_id"], "plan": things["plan_id"]}
    word = path.rpartition("=")[0].rpartition("?")[2]
    asked = path + ("&year=2026&quarter=1" if "quarter" in path else "")
    answers = [person.api("GET", asked.format(value)) for value in (foreign[word], "999999")]
    said = [answer.json().get("detail", answer.json()) for answer in answers]
    assert answers[0].status_code == answers[1].status_code
    assert str(said[0]).replace(f"plan {things['plan_id']} ", "plan 999999 ") == str(said[1])


def test_a_refusal_names_who_could_give_the_right_and_is_in_the_trail(plan: RecoveryPlan) -> None:
    make_person("ada", Role.ADMINISTRATOR)
    make_person("pia", Role.ADMINISTRATOR, pair=plan.group.pair)
    somebody = make_person("somebody", Role.VIEWER, plan=plan)
    make_person("elsewhere", Role.OPERATOR, plan=plan).api("GET", "/plans")
    refused = somebody.api("POST", f"/plans/{plan.pk}/runs", {})
    assert refused.status_code == 403
    assert "“run”" in refused.json()["detail"]
    assert AuditEntry.objects.filter(action="request.refused", actor="somebody").count() == 1
    both = make_person("both", Role.VIEWER, plan=plan)
    assert both.user is not None
    other = make_person("other", Role.OPERATOR, pair=plan.group.pair)
    assert other.api("POST", "/sites", {}).json()["detail"].endswith("ada on the page Access.")
    refused = make_person("tester", Role.ADMINISTRATOR, plan=plan).api("POST", f"/pairs/{plan.group.pair_id}/discover")
    assert (refused.status_code, refused.json()["detail"]) == (
        403,
        "This needs the permission “discover” here, which tester does not have. Nothing was changed. "
        "It can be given by ada, pia on the page Access.",
    )


def test_a_right_at_one_pair_is_none_at_another_where_one_may_look(
    plan: RecoveryPlan, far_pair: SitePair, things: dict[str, Any]
) -> None:
    """An operator there who is a viewer here: seen, and refused with 403."""
    person = make_person("somebody", Role.VIEWER, pair=plan.group.pair)
    assert person.user is not None
    person.user.grants.create(role=Role.OPERATOR, pair=far_pair, given_by="x", given_at=plan.changed_at)
    assert person.read(f"/plans/{plan.pk}")["name"] == "shop"
    for path in (f"/plans/{plan.pk}/runs", f"/runs/{things['run_id']}/cancel"):
        assert person.api("POST", path, {}).status_code == 403, path


def test_nobody_draws_into_a_plan_what_they_do_not_see(plan: RecoveryPlan, things: dict[str, Any]) -> None:
    pair = plan.group.pair
    hidden = make_vm(pair, "payroll-1", 9, ["one-9"])
    body = {
        "name": "shop", "group_name": "shop", "pair_id": pair.pk, "home_site": "site-a", "network_map": {},
        "members": [{"vm_id": hidden.pk, "priority": 1}],
    }  # fmt: skip
    person = make_person("somebody", Role.OPERATOR, plan=plan)
    gone = body | {"members": [{"vm_id": 999999, "priority": 1}]}
    answers = [person.api("PUT", f"/plans/{plan.pk}", one, version=plan.version) for one in (body, gone)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].json()["detail"].replace(f"VM {hidden.pk}", "VM 999999") == answers[1].json()["detail"]
    assert person.api("POST", "/plans", body | {"name": "new", "group_name": "new"}).status_code == 403


def test_a_token_reaches_no_further_than_its_owner(plan: RecoveryPlan, things: dict[str, Any]) -> None:
    person = make_person("somebody", Role.OPERATOR, plan=plan)
    assert person.user is not None
    text = token_create(person.user, "t", 1, [Permission.VIEW])[1]
    own, other = (f"/plans/{plan.pk}", f"/approvals/{things['approval_id']}")
    status = {path: Person(None).api("GET", path, Authorization=f"Bearer {text}").status_code for path in (own, other)}
    assert status == {own: 200, other: 404}
    answer = Person(None).api("POST", f"/plans/{plan.pk}/runs", {}, Authorization=f"Bearer {text}")
    assert answer.status_code == 403
    assert Person(None).get("/metrics", headers={"Authorization": f"Bearer {text}"}).status_code == 401


@pytest.mark.django_db(transaction=True)
async def test_topics_of_foreign_things_are_refused_like_those_of_nothing(plan: RecoveryPlan) -> None:
    def people() -> tuple[Person, SitePair]:
        sites = [Site.objects.create(slug=slug, name=slug) for slug in ("site-c", "site-d")]
        far = SitePair.objects.create(a=sites[0], b=sites[1])
        return make_person("somebody", Role.OPERATOR, plan=plan), far

    somebody, far = await sync_to_async(people)()
    own = ["overview", "sites", "runs", f"plan:{plan.pk}", f"pair:{plan.group.pair_id}"]
    foreign = [f"pair:{far.pk}", "run:999999", "plan:999999", "pair:999999"]
    async with socket(somebody) as live:
        await live.send_json({"subscribe": own + foreign})
        told = await hear(live)
    assert (told["subscribed"], told["refused"]) == (own, foreign)
