"""News of a pool: what the program leaves out is exactly what it has told, and the portal puts it together again."""

from __future__ import annotations

import copy
import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drportal.drivers.base import Answer, ImageRef
from drportal.drivers.ceph_parse import info
from drportal.drivers.errors import Refused
from drportal.drivers.observation import ImageObservation
from drportal.drivers.told import Told
from drportal.site_program.news import News
from drportal.site_program.wire import Fault, check_request

NOW = dt.datetime(2026, 5, 4, tzinfo=dt.UTC)


def image(
    name: str, *, primary: bool = True, words: str = "replaying", entries: int = 0, at: int = 0
) -> dict[str, Any]:
    stamp = f"2026-05-04 10:00:{at:02}"
    return {
        "info": {"name": name, "id": f"id{name}", "size": 1, "mirroring": {"primary": primary, "mode": "journal"}},
        "status": {
            "name": name,
            "global_id": name,
            "state": "up+replaying",
            "description": f'{words}, {{"entries_behind_primary": {entries}}}',
            "last_update": stamp,
            "peer_sites": [{"state": "up+stopped", "description": "local image is primary", "last_update": stamp}],
        },
    }


class Site:
    """The program's end, and its ``pool`` as it is."""

    def __init__(self) -> None:
        self.pool: dict[str, dict[str, Any]] = {}
        self.news = News()

    def ask(self, number: int) -> dict[str, Any]:
        request = {"pool": "one", "parts": ["info", "status", "listing"], "news": number}
        listing = [{"image": name, "id": "1", "size": 1} for name in self.pool]
        images, last = self.news.picked(request, copy.deepcopy(self.pool), {"listing": listing})
        answer: dict[str, Any] = json.loads(json.dumps({**last, "images": images}))
        return answer


def answered(name: str, said: object) -> Answer:
    return Answer(name, "site", 0, json.dumps(said), "", NOW, 0.0)


def observed(name: str, said: dict[str, Any]) -> ImageObservation:
    ref = ImageRef("one", name)
    return ImageObservation(ref, info=info(ref, answered(f"{name} info", said["info"])))


def take(told: Told, site: Site) -> list[str]:
    """One round; the commands of what is news for the record."""
    return [answer.command for answer in told.take(site.ask(told.number), observed, answered)]


def known(told: Told) -> dict[str, Any]:
    return {
        name: (seen.info and (seen.info.primary, seen.info.image_id), told.statuses[name])
        for name, seen in told.images.items()
    }


def whole(site: Site) -> dict[str, Any]:
    fresh, other = Told(), Site()
    other.pool = site.pool
    take(fresh, other)
    return known(fresh)


def test_what_was_told_is_not_told_again() -> None:
    site, told = Site(), Told()
    site.pool = {"a": image("a"), "b": image("b")}
    assert take(told, site) == ["a info", "a status", "b info", "b status"]
    again = site.ask(told.number)
    assert (again["images"], again["stamps"], again["gone"], again["same"]) == ({}, [], [], ["listing"])


def test_times_alone_come_without_the_rest_and_figures_are_nothing_for_the_record() -> None:
    site, told = Site(), Told()
    site.pool = {"a": image("a"), "b": image("b")}
    take(told, site)
    site.pool = {"a": image("a", at=30), "b": image("b", entries=7, at=30)}
    answer = site.ask(told.number)
    assert list(answer["images"]) == ["b"]
    assert answer["stamps"] == [[["2026-05-04 10:00:30", "2026-05-04 10:00:30"], ["a"]]]
    assert told.take(answer, observed, answered) == ()
    assert known(told) == whole(site)
    assert told.statuses["b"].entries_behind == 7


def test_an_answer_that_was_lost_makes_the_next_one_tell_everything() -> None:
    site, told = Site(), Told()
    site.pool = {"a": image("a")}
    take(told, site)
    site.pool["a"] = image("a", primary=False)
    site.ask(told.number)  # lost on its way
    answer = site.ask(told.number)
    assert (answer["since"], list(answer["images"])) == (0, ["a"])
    told.take(answer, observed, answered)
    assert known(told) == whole(site)


def test_what_the_next_conversation_tells_again_is_neither_kept_twice_nor_news() -> None:
    site, told = Site(), Told()
    site.pool = {"a": image("a"), "b": image("b")}
    take(told, site)
    before = dict(told.images), dict(told.statuses)
    site.news, site.pool["b"] = News(), image("b", primary=False)
    assert take(told, site) == ["b info"]
    assert told.images["a"] is before[0]["a"]
    assert told.statuses == before[1]
    assert all(told.statuses[name] is status for name, status in before[1].items())
    assert known(told) == whole(site)


def test_what_cannot_be_read_is_forgotten_and_asked_for_again() -> None:
    site, told = Site(), Told()
    site.pool = {"a": image("a")}
    take(told, site)
    with pytest.raises(Refused):
        told.take({"since": told.number, "images": {"a": {"status": {"nonsense": 1}}}}, observed, answered)
    assert (told.number, told.images) == (0, {})
    take(told, site)
    assert known(told) == whole(site)


def test_news_of_some_images_is_refused() -> None:
    request = {"v": 1, "id": "1", "verb": "observe-pool", "pool": "one", "parts": ["info"], "news": 0, "images": ["a"]}
    with pytest.raises(Fault, match="all images"):
        check_request(request)
    del request["images"]
    assert check_request(request) == "observe-pool"


POOLS = st.dictionaries(
    st.sampled_from("abcd"),
    st.tuples(st.booleans(), st.sampled_from(["replaying", "stopped"]), st.integers(0, 2), st.integers(0, 2)),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(POOLS, st.sampled_from(["heard", "lost", "restarted", "restarted and lost"])), max_size=6))
def test_whatever_happens_the_portal_knows_what_the_site_would_tell_whole(rounds: list[Any]) -> None:
    site, told = Site(), Told()
    for pool, how in rounds:
        site.pool = {
            name: image(name, primary=primary, words=words, entries=entries, at=at)
            for name, (primary, words, entries, at) in pool.items()
        }
        if "restarted" in how:
            site.news = News()
        if "lost" in how:
            site.ask(told.number)
            continue
        take(told, site)
        assert known(told) == whole(site)
        assert sorted(told.listing[0]) == sorted(site.pool)
