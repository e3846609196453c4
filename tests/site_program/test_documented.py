"""docs/site-program.md is the protocol: whatever the program takes or says has its word there."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drportal.site_program.acts import _RECEIPT_FIELDS
from drportal.site_program.assemble import program_text
from drportal.site_program.wire import (
    ACTS,
    IMAGE_PARTS,
    LOOK_VERBS,
    POOL_PARTS,
    PROGRAM_VERSION,
    READ_VERBS,
    STARTS_FROM,
    VERBS,
    Fault,
    check_request,
)
from tests.site_program.running import SiteProcess

PAGE = (Path(__file__).parents[2] / "docs" / "site-program.md").read_text()
WORDS = {
    "verbs": set(VERBS),
    "fields of requests": {field for fields in VERBS.values() for field in fields},
    "parts": {*IMAGE_PARTS, *POOL_PARTS},
    "members of receipts": {*_RECEIPT_FIELDS, "alive"},
}
PRECONDITIONS = set(re.findall(r'(?:failed=|_differs\(\s*)"([a-z_]+)"', program_text()))
CODES = set(re.findall(r'Fault\(\s*"([a-z-]+)"', program_text()))
OF_ACTS = {"op": "operation-1", "group": "shop", "fence": 1, "shown": "rbd", "wait_s": 1, "at_once": 1}
SNAPSHOT = {"snap_id": 7, "state": "demoted", "complete": True, "primary_snap_id": 8}
ALL_FIELDS: dict[str, Any] = {
    **{"pool": "one", "image": "disk", "images": ["disk"], "parts": ["info"], "news": 1, "snap_id": 1, "bar": True},
    **{"targets": [{"host": "a", "port": 22}], "since": 0, "limit": 1, "receipts": [["operation-1", 1]], "wait_s": 1},
    **{"addresses": ["10.0.0.1:0/0"], "expire_s": 60, "approval": "a" * 64, **OF_ACTS},
}


def table(heading: str) -> Iterator[list[str]]:
    """The rows of the table that begins with this one, cell by cell."""
    lines = PAGE[PAGE.index(f"\n{heading}\n") :].splitlines()[3:]
    for line in lines[: next(n for n, line in enumerate(lines) if not line.startswith("|"))]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def words(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", re.sub(r"\(.*?\)", "", cell)))


ROWS = {verb.strip("`"): row for verb, *row in table("| request | rights | needs | may have | in `expect` |")}
BOUNDS = [
    (field, counted.partition(",")[0].split()[0], int(least), int(most))
    for cell, counted, least, most in table("| field | counted | least | most |")
    for field in sorted(words(cell))
]


def whole_request(verb: str) -> dict[str, Any]:
    """With every field that the page gives it."""
    _, needs, may, expected = ROWS[verb]
    fields = {field: copy.deepcopy(ALL_FIELDS[field]) for field in words(needs) | words(may) if field != "expect"}
    if verb in ACTS:
        fields.update(OF_ACTS, pool="one")
    if "`expect`" in needs:
        more = {"watchers": ["4109"], "newest_snapshot": dict(SNAPSHOT)}
        fields["expect"] = {"image_id": "1", "global_id": "2", "primary": bool(STARTS_FROM[verb])}
        fields["expect"].update({field: more[field] for field in words(expected)})
    return {"v": 1, "id": "7", "verb": verb, **fields}


def accepted(request: dict[str, Any]) -> bool:
    try:
        check_request(request)
    except Fault as fault:
        assert fault.code == "bad-request"
        return False
    return True


@pytest.mark.parametrize("kind", WORDS)
def test_every_word_is_on_the_page(kind: str) -> None:
    assert len(WORDS[kind]) > 5
    assert [word for word in sorted(WORDS[kind]) if f"`{word}`" not in PAGE] == []


def test_every_code_of_a_refusal_is_explained_and_no_other() -> None:
    assert len(CODES) > 15
    assert {code.strip("`") for code, _ in table("| code | meaning |")} == CODES


def test_every_precondition_is_named_and_no_other() -> None:
    assert len(PRECONDITIONS) > 9
    sentence = PAGE[PAGE.index("`facts.failed` is one of") :].partition("\n- ")[0]
    assert words(sentence.replace("\n", " ")) == {"facts.failed", *PRECONDITIONS}


def test_every_request_is_told_with_the_rights_that_it_needs() -> None:
    rights = {verb: "look" if verb in LOOK_VERBS else "read" if verb in READ_VERBS else "act" for verb in VERBS}
    assert {verb: row[0].strip("`") for verb, row in ROWS.items()} == rights


@pytest.mark.parametrize("verb", VERBS)
def test_a_request_has_the_fields_that_the_page_gives_it(verb: str) -> None:
    """All of them together are taken, each that it needs is missed, none else is taken, and none is left untold."""
    may, expected = ROWS[verb][2:]
    request = whole_request(verb)
    told = set(request)
    if verb == "observe-pool":
        assert not accepted(request), "one or the other"
        del request["news"]
    assert accepted(request)
    assert told == set(VERBS[verb]) | {"v", "id", "verb"}
    optional = words(may) | ({"wait_s", "at_once"} if verb in ACTS else set())
    for field in set(request) - {"v", "id", "verb"}:
        without = {name: value for name, value in request.items() if name != field}
        assert accepted(without) is (field in optional), field
    for field in set(ALL_FIELDS) - told:
        assert not accepted({**request, field: ALL_FIELDS[field]}), field
    for field in request.get("expect", {}):
        less = {name: value for name, value in request["expect"].items() if name != field}
        assert accepted({**request, "expect": less}) is (field in words(expected) and "may have" in expected), field


@pytest.mark.parametrize(("field", "counted", "least", "most"), BOUNDS, ids=[bound[0] for bound in BOUNDS])
def test_a_field_has_the_bounds_that_the_page_gives_it(field: str, counted: str, least: int, most: int) -> None:
    tried = 0
    for verb in VERBS:
        request = whole_request(verb)
        request.pop("images" if field == "news" else "news", None)
        if (found := place(request, field)) is not None:
            holder, key = found
            tried += 1
            for size, good in ((least - 1, False), (least, True), (most, True), (most + 1, False)):
                if size >= 0 or counted == "number":
                    holder[key] = sized(counted, size, ALL_FIELDS.get(field, ["4109"]))
                    assert accepted(request) is good, (verb, size)
    assert tried > 0


def place(request: dict[str, Any], field: str) -> tuple[Any, Any] | None:
    """What holds it, and under which name or number; None where a request has no such field."""
    *way, last = (0 if part == "*" else int(part) if part.isdigit() else part for part in field.split("."))
    holder: Any = request
    try:
        for part in way:
            holder = holder[part]
        holder[last]
    except KeyError:
        return None
    return holder, last


def sized(counted: str, size: int, entries: list[Any]) -> Any:
    if counted == "number":
        return size
    return "1" * size if counted == "characters" else entries[:1] * size


def test_every_argument_is_on_the_page() -> None:
    arguments = re.findall(r'add_argument\("(--[a-z-]+)"', program_text())
    assert len(arguments) > 7
    assert [argument for argument in arguments if f"| `{argument}" not in PAGE] == []


def test_hello_is_on_the_page_as_it_is_said(program: SiteProcess) -> None:
    told = PAGE[PAGE.index('{"hello": "drportal-site"') :].split("```")[0]
    members = re.findall(r'"([a-z0-9_]+)":', told)
    assert sorted(members) == sorted([*program.hello, *program.hello["limits"]])
    assert f'"program": "{PROGRAM_VERSION}"' in told
