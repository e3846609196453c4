"""A few images of a large pool cost what they cost, not what the pool does."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from drportal.site_program.librbd import ROLES_FOR_AN_OPENING, Librbd
from drportal.site_program.wire import Json


class Pool(Librbd):
    """Without a cluster: which questions are asked of it."""

    def __init__(self, size: int) -> None:
        Librbd.__init__(self, None)
        self.names = [f"one-{number}" for number in range(size)]
        self.asked: list[str] = []

    def _all(self, pool: str) -> list[Json]:
        return [{"name": name, "id": f"id-{name}"} for name in self.names]

    def _roles(self, pool: str) -> dict[str, tuple[int, Json]]:
        self.asked.append("all roles")
        return {f"id-{name}": (0, {"primary": True}) for name in self.names}

    def _cheap_info(self, pool: str, name: str, image_id: str, role: tuple[int, Json] | None) -> Json | None:
        return {"name": name, "id": image_id, "role": role}

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
