"""Views of tables are kept for each person, and are nobody else's."""

from __future__ import annotations

import json

import pytest

from drportal.roles import Role
from drportal.watch.api_views import MOST
from drportal.watch.models import SavedView
from tests.conftest import Person, make_person

pytestmark = pytest.mark.django_db
BEHIND = {"table": "images", "name": "Behind", "search": "verdict=behind&q=shop"}


@pytest.fixture
def olga(db: None) -> Person:
    return make_person("olga", Role.OPERATOR)


@pytest.fixture
def otto(db: None) -> Person:
    return make_person("otto", Role.VIEWER)


def names(person: Person) -> list[str]:
    return [view["name"] for view in person.read("/views")["items"]]


def test_a_view_is_there_wherever_its_person_signs_in_and_for_nobody_else(olga: Person, otto: Person) -> None:
    kept = json.loads(olga.api("PUT", "/views", BEHIND).content)
    assert olga.read("/views")["items"] == [{"id": kept["id"], **BEHIND}]
    assert names(otto) == []
    assert otto.api("DELETE", f"/views/{kept['id']}").status_code == 404
    assert olga.api("DELETE", f"/views/{kept['id']}").status_code == 204
    assert names(olga) == []


def test_one_of_the_same_name_is_replaced(olga: Person) -> None:
    olga.api("PUT", "/views", BEHIND)
    olga.api("PUT", "/views", {**BEHIND, "search": "verdict=diverged"})
    olga.api("PUT", "/views", {**BEHIND, "table": "gaps"})
    assert [view["search"] for view in olga.read("/views")["items"] if view["table"] == "images"] == [
        "verdict=diverged"
    ]
    assert SavedView.objects.count() == 2


def test_they_are_bounded(olga: Person) -> None:
    for number in range(MOST):
        assert olga.api("PUT", "/views", {**BEHIND, "name": f"{number:03}"}).status_code == 200
    assert olga.api("PUT", "/views", BEHIND).status_code == 409
    assert olga.api("PUT", "/views", {**BEHIND, "name": "000"}).status_code == 200
    assert len(names(olga)) == MOST


@pytest.mark.parametrize("wrong", [{"table": "../x"}, {"name": ""}, {"name": "x" * 61}, {"search": "x" * 1001}])
def test_nonsense_is_refused(olga: Person, wrong: dict[str, str]) -> None:
    assert olga.api("PUT", "/views", {**BEHIND, **wrong}).status_code == 422
