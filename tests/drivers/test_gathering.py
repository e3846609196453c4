"""What is asked at one moment is one question, and nobody gets an answer from before his question."""

from __future__ import annotations

import asyncio
import time

import pytest

from drportal.drivers.gathering import AT_MOST_S, HELD_UP_S, WITHIN_S, Gatherer


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


async def test_what_is_asked_while_a_question_is_on_its_way_is_one_question_and_a_hanging_one_holds_nobody_up() -> None:
    site = Site()
    site.slow.clear()
    together = Gatherer(site.answer)
    hanging = asyncio.ensure_future(together.ask("role", "a"))
    await asyncio.sleep(WITHIN_S * 5)
    behind = [asyncio.ensure_future(together.ask("role", name)) for name in "bcd"]
    await asyncio.sleep(WITHIN_S * 5)
    behind += [asyncio.ensure_future(together.ask("role", name)) for name in "ef"]
    await asyncio.sleep(WITHIN_S * 5)
    assert site.sent == [("role", ["a"])], "they wait for it"
    await asyncio.sleep(HELD_UP_S)
    assert site.sent == [("role", ["a"]), ("role", list("bcdef"))], "not for long"
    site.slow.set()
    assert {(await one)[name] for one, name in zip(behind, "bcdef", strict=True)} == {1}
    assert (await hanging)["a"] == 0


async def test_a_later_question_may_be_answered_before_the_one_that_hangs() -> None:
    first = asyncio.Event()

    async def answer(key: str, names: list[str]) -> list[str]:
        if names == ["a"]:
            await first.wait()
        return names

    together = Gatherer(answer)
    hanging = asyncio.ensure_future(together.ask("role", "a"))
    await asyncio.sleep(WITHIN_S * 5)
    assert await together.ask("role", "b") == ["b"]
    first.set()
    assert await hanging == ["a"]


async def test_a_question_waits_while_more_come_in_but_not_for_ever() -> None:
    site = Site()
    together = Gatherer(site.answer)
    asked, began = list[asyncio.Future[dict[str, int]]](), time.monotonic()
    while not site.sent:
        asked.append(asyncio.ensure_future(together.ask("role", f"n{len(asked)}")))
        assert time.monotonic() < began + 5, "it waited for ever"
        await asyncio.sleep(WITHIN_S / 20)
    assert time.monotonic() >= began + AT_MOST_S * 0.8, "who comes while it waits goes along"
    await asyncio.gather(*asked)
    assert len(site.sent) <= 2, "and the rest goes with the next"
