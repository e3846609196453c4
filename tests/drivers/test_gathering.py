"""What is asked at one moment is one question, and nobody gets an answer from before his question."""

from __future__ import annotations

import asyncio

import pytest

from drportal.drivers.gathering import WITHIN_S, Gatherer


class Site:
    def __init__(self) -> None:
        self.sent: list[tuple[str, list[str]]] = []
        self.slow = asyncio.Event()
        self.slow.set()

    async def answer(self, key: str, names: list[str]) -> dict[str, int]:
        number = len(self.sent)
        self.sent.append((key, names))
        await self.slow.wait()
        if key == "broken":
            raise ConnectionError("gone")
        return dict.fromkeys(names, number)


async def test_questions_of_one_moment_are_one_and_of_another_kind_another() -> None:
    site = Site()
    together = Gatherer(site.answer)
    await asyncio.gather(together.ask("role", "b"), together.ask("role", "a"), together.ask("role", "a"))
    await together.ask("watchers", "a")
    assert site.sent == [("role", ["a", "b"]), ("watchers", ["a"])]


async def test_who_asks_while_an_answer_is_on_its_way_gets_a_later_one() -> None:
    site = Site()
    site.slow.clear()
    together = Gatherer(site.answer)
    first = asyncio.ensure_future(together.ask("role", "a"))
    await asyncio.sleep(WITHIN_S * 5)
    assert len(site.sent) == 1, "it is on its way"
    second = asyncio.ensure_future(together.ask("role", "a"))
    await asyncio.sleep(WITHIN_S * 5)
    site.slow.set()
    assert [(await first)["a"], (await second)["a"]] == [0, 1]


async def test_an_error_is_everybodys_and_one_who_gives_up_takes_nothing_away() -> None:
    site = Site()
    together = Gatherer(site.answer)
    for error in await asyncio.gather(*(together.ask("broken", name) for name in "abc"), return_exceptions=True):
        assert isinstance(error, ConnectionError)
    impatient = asyncio.ensure_future(together.ask("role", "a"))
    patient = asyncio.ensure_future(together.ask("role", "b"))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient)["b"] == 1
    with pytest.raises(asyncio.CancelledError):
        await impatient
