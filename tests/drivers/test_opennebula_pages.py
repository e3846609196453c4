"""Large pools: nothing is lost or told twice when the pool changes between two pages; documents are remembered."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from drportal.drivers import opennebula_parse as parse
from drportal.drivers.base import Answer
from drportal.drivers.base_cloud import CloudImage
from drportal.drivers.opennebula_pages import PAGE, Remembered, read_pages, split

ANSWER = Answer("one.imagepool.info", "site", 0, "", "", dt.datetime.now(dt.UTC), 0.0)


def image(number: int, name: str = "disk") -> str:
    return (
        f"<IMAGE><ID>{number}</ID><NAME><![CDATA[{name}]]></NAME><SOURCE>one/one-{number}</SOURCE><STATE>1</STATE>"
        "<TYPE>0</TYPE><DATASTORE_ID>1</DATASTORE_ID><TEMPLATE/></IMAGE>"
    )


def pool(*images: str) -> str:
    return f"<IMAGE_POOL>{''.join(images)}</IMAGE_POOL>"


class FrontEnd:
    """Newest first, as OpenNebula lists. ``between``: what happens before each page."""

    def __init__(self, numbers: list[int], remembered: Remembered[CloudImage]) -> None:
        self.numbers, self.remembered, self.asked = numbers, remembered, 0
        self.between: list[Any] = []

    async def ask(self, offset: int, size: int, new: dict[bytes, CloudImage]) -> tuple[list[CloudImage], Answer]:
        if self.between:
            self.between.pop(0)(self.numbers)
        self.asked += 1
        listed = sorted(self.numbers, reverse=True)
        page = listed if size < 0 else listed[offset : offset + size]
        return self.remembered.page(pool(*map(image, page)), new), ANSWER


@pytest.fixture
def remembered() -> Remembered[CloudImage]:
    return Remembered("IMAGE", parse.image)


async def numbers_of(front_end: FrontEnd) -> list[int]:
    found, _ = await read_pages(front_end.ask, front_end.remembered, lambda one: one.image_id)
    return [one.image_id for one in found]


@pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
async def test_every_item_comes_once(remembered: Remembered[CloudImage], count: int) -> None:
    assert sorted(await numbers_of(FrontEnd(list(range(count)), remembered))) == list(range(count))


@pytest.mark.parametrize(
    "change", [lambda all_: all_.append(9999), lambda all_: all_.remove(2 * PAGE - 1), lambda all_: all_.remove(PAGE)]
)
async def test_a_change_between_two_pages_loses_nothing(remembered: Remembered[CloudImage], change: Any) -> None:
    front_end = FrontEnd(list(range(2 * PAGE)), remembered)
    front_end.between = [lambda all_: None, change]
    assert sorted(await numbers_of(front_end)) == sorted(front_end.numbers)


async def test_a_pool_that_never_rests_is_read_at_one_go(remembered: Remembered[CloudImage]) -> None:
    front_end = FrontEnd(list(range(2 * PAGE)), remembered)
    fresh = iter(range(10_000, 20_000))
    front_end.between = [lambda all_: all_.append(next(fresh))] * 10
    assert len(await numbers_of(front_end)) == len(front_end.numbers)


def test_what_was_read_before_is_not_made_again(remembered: Remembered[CloudImage]) -> None:
    new: dict[bytes, CloudImage] = {}
    first = remembered.page(pool(image(1), image(2)), new)
    remembered.items = new
    again = remembered.page(pool(image(1), image(2, "renamed")), {})
    assert again[0] is first[0]
    assert (again[1].image_id, again[1].name) == (2, "renamed")


def test_a_document_is_the_text_that_came(remembered: Remembered[CloudImage]) -> None:
    assert remembered.page(pool(image(1)), {})[0].document.text == image(1)


@pytest.mark.parametrize("name", ["</IMAGE>", "</IMAGE><IMAGE>", "<!--", "x</NAME></IMAGE><IMAGE><ID>66</ID>"])
def test_words_of_a_guest_make_no_image(remembered: Remembered[CloudImage], name: str) -> None:
    found = remembered.page(pool(image(1, name), image(2)), {})
    assert [(one.image_id, one.name) for one in found] == [(1, name), (2, "disk")]


def test_an_element_inside_another_of_its_name_is_not_taken_apart() -> None:
    assert split("<VM_POOL><VM><ID>1</ID><X><VM>a</VM></X></VM></VM_POOL>", "VM") is None
    assert split("<VM_POOL><VM><VM>a</VM><VM>b</VM></VM></VM_POOL>", "VM") is None


@pytest.mark.parametrize("body", ["", "<IMAGE_POOL>", pool(image(1))[:-20], "no document", None, 7])
def test_what_is_no_pool_is_refused(remembered: Remembered[CloudImage], body: object) -> None:
    with pytest.raises(ValueError, match="document"):
        remembered.page(body, {})
