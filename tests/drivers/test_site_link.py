"""Answers of many lines: who wants the images gets them as they come, and hears what goes wrong with them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from drportal.drivers.site_link import _Session

HELLO = {"hello": "drportal-site"}
LINES = [
    {"id": "1", "more": True, "images": {"a": 1, "b": 2}},
    {"id": "2", "more": True, "images": {"x": 1}},
    {"id": "1", "ok": True, "images": {"c": 3}, "news": 7},
    {"id": "2", "ok": True, "images": {"y": 2}},
]


async def heard(takers: dict[str, Any]) -> dict[str, asyncio.Future[dict[str, Any]]]:
    """The answers to two questions, whose lines come mixed."""
    session = _Session()
    session.takers = takers
    session.waiting = {number: asyncio.get_running_loop().create_future() for number in ("1", "2")}
    waiting = dict(session.waiting)
    for line in [HELLO, *LINES]:
        session.data_received(json.dumps(line).encode() + b"\n", None)
    assert not session.ended
    assert session.takers == {}
    return waiting


async def test_images_are_taken_as_they_come_and_are_not_in_the_answer() -> None:
    taken = list[Any]()
    answers = await heard({"1": taken.append})
    assert taken == [{"a": 1, "b": 2}, {"c": 3}]
    assert answers["1"].result() == {"id": "1", "ok": True, "news": 7}
    assert answers["2"].result()["images"] == {"x": 1, "y": 2}


async def test_a_fault_in_taking_them_is_heard_by_who_asked_and_by_nobody_else() -> None:
    answers = await heard({"1": lambda images: images["nothing"]})
    with pytest.raises(KeyError):
        answers["1"].result()
    assert answers["2"].result()["ok"] is True
