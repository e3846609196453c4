"""A few images of a large pool cost what they cost, not what the pool does."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from drportal.site_program.librbd import ROLES_FOR_A_QUESTION, ROLES_FOR_AN_OPENING, Librbd
from drportal.site_program.wire import Json


class Pool(Librbd):
    """Without a cluster: which questions are asked of it. ``by_snapshots``: how many of its images are mirrored so."""

    def __init__(self, size: int, by_snapshots: int = 0) -> None:
        Librbd.__init__(self, None)
        self.names = [f"one-{number}" for number in range(size)]
        self.by_snapshots = set(self.names[:by_snapshots])
        self.asked: list[str] = []

    def _all(self, pool: str) -> list[Json]:
        return [{"name": name, "id": f"id-{name}"} for name in self.names]

    def _roles(self, pool: str) -> dict[str, tuple[int, Json]]:
        self.asked.append("all roles")
        return {f"id-{name}": (0, {"primary": True}) for name in self.names}

    def _cheap_info(self, pool: str, name: str, image_id: str, role: tuple[int, Json] | None) -> Json | None:
        return {"name": name, "id": image_id, "role": role}

    def _told_info(self, pool: str, name: str, image_id: str) -> tuple[Json, list[Json]] | None:
        if name not in self.by_snapshots:
            return None
        self.asked.append(f"ask {name}")
        return {"name": name}, [{"id": 7}]

    def image(self, pool: str, image: str, parts: Sequence[str]) -> Json:
        self.asked.append(f"open {image}")
        return {"info": {"name": image}}


@pytest.mark.parametrize("few", [1, 4, 5, 64])
def test_a_few_of_ten_thousand_are_opened_one_by_one(few: int) -> None:
    pool = Pool(10_000)
    names = pool.names[:few]
    found = pool.images("one", names, ["info"])
    assert {name: image["info"]["name"] for name, image in found.items()} == {name: name for name in names}
    assert sorted(pool.asked) == sorted(f"open {name}" for name in names)


@pytest.mark.parametrize("size", [5 * ROLES_FOR_AN_OPENING, 5])
def test_most_of_a_pool_is_read_without_opening_one(size: int) -> None:
    pool = Pool(size)
    found = pool.images("one", pool.names[:5], ["info"])
    assert pool.asked == ["all roles"]
    assert all(image["info"]["role"] == (0, {"primary": True}) for image in found.values())


def test_what_is_mirrored_by_snapshots_is_not_opened_for_its_role() -> None:
    pool = Pool(5 * ROLES_FOR_A_QUESTION + 1, by_snapshots=5)
    found = pool.images("one", pool.names[:5], ["info"])
    assert {name: image["info"] for name, image in found.items()} == {name: {"name": name} for name in pool.names[:5]}
    assert sorted(pool.asked) == [f"ask {name}" for name in pool.names[:5]]


def test_the_snapshots_that_told_the_role_are_told_with_it_however_many_images_there_are() -> None:
    pool = Pool(5, by_snapshots=5)
    found = pool.images("one", pool.names, ["info", "snapshots"])
    assert found == {name: {"info": {"name": name}, "snapshots": [{"id": 7}]} for name in pool.names}
    assert sorted(pool.asked) == [f"ask {name}" for name in pool.names]


def test_those_that_have_to_be_opened_are_opened_or_read_with_all_whichever_is_less() -> None:
    pool = Pool(4 * ROLES_FOR_AN_OPENING, by_snapshots=6)
    pool.images("one", pool.names[3:9], ["info"])
    assert sorted(pool.asked) == ["ask one-3", "ask one-4", "ask one-5", "open one-6", "open one-7", "open one-8"]
    pool = Pool(3 * ROLES_FOR_AN_OPENING, by_snapshots=6)
    pool.images("one", pool.names[3:9], ["info"])
    assert sorted(pool.asked) == ["all roles", "ask one-3", "ask one-4", "ask one-5"]


def test_an_image_that_is_opened_for_its_watchers_has_its_role_read_there() -> None:
    pool = Pool(5)
    pool.images("one", pool.names, ["info", "watchers"])
    assert sorted(pool.asked) == [f"open {name}" for name in pool.names]
