"""Live hints:

"this has changed, look again". They may be lost; whoever missed one fetches again at the next connect.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TypedDict

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction
from django.utils import timezone

from drportal.roles import Permission

logger = logging.getLogger(__name__)

# What a topic's first word is, and who may listen to it. Topics with an id are written "run:12".
TOPICS: dict[str, Permission] = {
    "overview": Permission.VIEW,
    "sites": Permission.VIEW,
    "runs": Permission.VIEW,
    "pair": Permission.VIEW,
    "plan": Permission.VIEW,
    "run": Permission.VIEW,
}
WITH_ID = frozenset({"pair", "plan", "run"})
SEND_DEADLINE_S = 2.0
# Every socket is in this group: it is told when hints were lost on the way, so that its page fetches everything again.
EVERYBODY = "live.everybody"


class Hint(TypedDict):
    """What the browser gets. ``version`` is the thing's version where it has one, else 0."""

    topic: str
    version: int
    at: str


def is_topic(topic: object) -> bool:
    if not isinstance(topic, str):
        return False
    word, colon, number = topic.partition(":")
    if word in WITH_ID:
        return number.isdecimal() and number.isascii() and len(number) <= 18
    return word in TOPICS and not colon


def group_of(topic: str) -> str:
    """The channel layer's group for a topic (it allows no colon)."""
    return "live." + topic.replace(":", ".")


def publish(topic: str, version: int = 0) -> None:
    """Send a hint once the transaction that made the news has been committed. Never raises."""
    transaction.on_commit(lambda: async_to_sync(apublish)(topic, version))


def publish_all(topics: Mapping[str, int]) -> None:
    """Several hints (topic -> version) at once: with a channel layer that hangs, all of them cost one deadline."""

    async def send() -> None:
        await asyncio.gather(*(apublish(topic, version) for topic, version in topics.items()))

    if topics:
        transaction.on_commit(lambda: async_to_sync(send)())


async def apublish(topic: str, version: int = 0) -> None:
    """Send a hint now, from a coroutine.

    A channel layer that is down costs the hint and a line in the log, and the next hint that gets through is followed
    by the word that some were lost.
    """
    hint = Hint(topic=topic, version=version, at=timezone.now().isoformat())
    if await _sent(group_of(topic), {"type": "live.hint", "hint": dict(hint)}, f"hint {topic}") and _Lost.some:
        _Lost.some = not await _sent(EVERYBODY, {"type": "live.resync"}, "that hints were lost")


class _Lost:
    """Whether this process could not send a hint, and has not told anybody yet."""

    some = False


async def _sent(group: str, message: dict[str, object], what: str) -> bool:
    layer = get_channel_layer()
    if layer is None:
        return False
    try:
        async with asyncio.timeout(SEND_DEADLINE_S):
            await layer.group_send(group, message)
    except Exception as error:  # the layer's own errors differ by back end; a hint may always be lost
        _Lost.some = True
        logger.warning("%s was not sent: %s: %s", what, type(error).__name__, error)
        return False
    return True
