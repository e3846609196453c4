"""A way into a site that does not answer costs a run its patience once or twice, and not with each step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

import pytest

from drportal.drivers.base import CephSite, ImageInfo, ImageRef
from drportal.drivers.errors import Reason, Refused, Unreachable
from drportal.recovery import silence as silences
from drportal.recovery.silence import Silence, one_of

PATIENCE_S = 0.1


class Way:
    """Into a site: each question waits for ``PATIENCE_S`` in vain while it is ``silent``."""

    def __init__(self) -> None:
        self.silent, self.asked, self.refuses, self.back = True, 0, False, asyncio.Event()

    async def ask(self) -> str:
        self.asked += 1
        if self.refuses:
            raise Refused("No.", Reason.NOT_FOUND)
        if self.silent:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self.back.wait()
            except TimeoutError:
                raise Unreachable("No answer.") from None
        return "here"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silences, "WORTH_S", PATIENCE_S / 2)
    monkeypatch.setattr(silences, "BETWEEN_S", 0.001)


@pytest.fixture
async def way() -> Way:
    return Way()


@pytest.fixture
async def silence(way: Way) -> AsyncIterator[Silence]:
    made = Silence("Site A's Ceph host", way.ask)
    yield made
    await made.close()


async def took(read: Callable[[], Awaitable[object]]) -> tuple[float, str]:
    began = time.monotonic()
    try:
        said = str(await read())
    except (Unreachable, Refused) as error:
        said = error.detail
    return time.monotonic() - began, said


async def test_forty_steps_pay_no_more_than_two(silence: Silence, way: Way) -> None:
    times = [await took(lambda: silence.hear(way.ask)) for _ in range(40)]
    assert sum(seconds for seconds, _ in times) < 4 * PATIENCE_S
    assert times[0][1] == "No answer."
    assert times[-1][1].startswith("Site A's Ceph host has been silent since ")
    assert "no step waits for that" in times[-1][1]
    await asyncio.sleep(2.5 * PATIENCE_S)
    assert silence.looks >= 3, "it is asked without pause"


async def test_who_is_back_is_heard_at_once(silence: Silence, way: Way) -> None:
    for _ in range(4):
        await took(lambda: silence.hear(way.ask))
    way.back.set()  # as a site that hung: the question that is under way is answered
    await asyncio.sleep(PATIENCE_S / 4)
    way.silent = False
    assert (await took(lambda: silence.hear(way.ask)))[1] == "here"
    asked = way.asked
    await asyncio.sleep(PATIENCE_S)
    assert way.asked == asked, "nobody looks any more"


async def test_a_single_read_in_vain_is_no_silence(silence: Silence, way: Way) -> None:
    """The look is answered: one image hangs, or one question was slow."""
    hangs = Way()
    assert (await took(lambda: silence.hear(hangs.ask)))[1] == "No answer."
    way.silent = False
    await asyncio.sleep(PATIENCE_S)
    assert (await took(lambda: silence.hear(way.ask)))[1] == "here"


async def test_a_refusal_is_an_answer_and_who_hangs_up_at_once_is_asked_each_time(silence: Silence, way: Way) -> None:
    await took(lambda: silence.hear(way.ask))
    way.refuses = True
    await asyncio.sleep(1.5 * PATIENCE_S)
    assert (await took(lambda: silence.hear(way.ask)))[1] == "No."

    async def hung_up() -> None:
        raise Unreachable("Connection refused.")

    looks = silence.looks
    assert [(await took(lambda: silence.hear(hung_up)))[1] for _ in range(3)] == ["Connection refused."] * 3
    assert silence.looks == looks


async def test_what_was_seen_long_ago_does_not_count(
    silence: Silence, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        await took(lambda: silence.hear(way.ask))
    monkeypatch.setattr(silences, "COUNTS_S", 0.0)
    assert (await took(lambda: silence.hear(way.ask)))[1] == "No answer.", "it asks for itself"


async def test_where_silence_is_expected_the_first_look_is_beside_the_first_read(silence: Silence, way: Way) -> None:
    silence.expect()
    assert (await took(lambda: silence.hear(way.ask)))[1] == "No answer."
    await asyncio.sleep(PATIENCE_S / 4)
    seconds, _ = await took(lambda: silence.hear(way.ask))
    assert seconds < PATIENCE_S / 2


async def test_one_image_that_hangs_is_not_a_site_that_hangs() -> None:
    """The look asks about others each time; only where none of two is answered it was in vain."""
    hung, asked = {"one-1"}, []

    class Site:
        async def info(self, ref: ImageRef) -> ImageInfo:
            asked.append(ref.name)
            if ref.name in hung:
                raise Unreachable("No answer.")
            raise Refused("There is none.", Reason.NOT_FOUND)

    refs = [ImageRef("one", f"one-{number}") for number in (1, 2, 3)]
    look = one_of(cast("CephSite", Site()), refs)
    await look()
    hung |= {"one-2", "one-3"}
    with pytest.raises(Unreachable):
        await look()
    assert set(asked[:2]) == {"one-1", "one-2"}
    assert set(asked[2:]) == {"one-2", "one-3"}
