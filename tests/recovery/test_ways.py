"""Whether a site answers is asked when the evidence is collected: the poller's rows only tell since when."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest

from drportal.drivers.errors import DriverError, Reason, Refused, Unreachable
from drportal.inventory.models import Site
from drportal.recovery import ways

NOW = dt.datetime(2026, 3, 1, 4, 0, tzinfo=dt.UTC)
BEFORE = NOW - dt.timedelta(minutes=20)


class Asked:
    def __init__(self, error: Exception | None) -> None:
        self.error = error

    async def version(self) -> Any:
        if self.error is not None:
            raise self.error


def site(ok: bool | None, since: dt.datetime | None = BEFORE) -> Site:
    said = {"reachable": ok, "since": since, "sentence": "what the poller knew"}
    return Site(**{f"{way}_{name}": value for way in ("ssh", "ceph", "opennebula") for name, value in said.items()})


def told(polled: Site, error: Exception | None, by_image: list[bool]) -> dict[str, list[Any]]:
    answered = asyncio.run(ways.look(Asked(error), Asked(error)))  # type: ignore[arg-type]
    return ways.told(polled, answered, by_image, NOW)


def test_a_poller_that_stands_still_does_not_speak_for_the_site() -> None:
    silent = Unreachable("nobody is there")
    found = told(site(True), silent, [False, False])
    assert found["ssh"] == [False, NOW.isoformat(), "nobody is there", NOW.isoformat()]
    assert {way: said[0] for way, said in found.items()} == {"ssh": False, "ceph": False, "opennebula": False}
    found = told(site(False), None, [False, True])
    assert {way: said[:2] for way, said in found.items()} == {way: [True, NOW.isoformat()] for way in found}


def test_since_when_it_is_so_is_told_by_the_poller() -> None:
    found = told(site(False), Unreachable("nobody is there"), [False])
    for said in found.values():
        assert said == [False, BEFORE.isoformat(), "what the poller knew", NOW.isoformat()]


def test_ceph_behind_a_silent_host_is_silent_since_its_host_is() -> None:
    polled = site(False)
    polled.ceph_reachable = polled.ceph_since = None  # as the poller has it then
    assert told(polled, Unreachable("nobody is there"), [False])["ceph"][:2] == [False, BEFORE.isoformat()]


@pytest.mark.parametrize(("error", "ok"), [(Refused("no", Reason.OTHER), True), (DriverError("odd"), None)])
def test_a_refusal_is_an_answer_and_a_strange_one_is_no_proof(error: Exception, ok: bool | None) -> None:
    assert told(site(None, None), error, [False])["opennebula"][0] is ok
