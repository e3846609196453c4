"""One websocket for everything live: the browser names topics, and gets hints to fetch again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Iterable
from typing import Any

from channels.consumer import get_handler_name
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from drportal.events import EVERYBODY, TOPICS, group_of, is_topic
from drportal.people.factors import factor_missing
from drportal.people.rights import Rights, rights_of, seen_names
from drportal.people.sessions import user_of_session

logger = logging.getLogger(__name__)
SIGNED_OUT = 4401
TOO_MUCH = 4413
NOT_LIVE = 4503  # hints can't reach this socket: the page must not go on calling itself live
MAX_TOPICS = 200
MAX_MESSAGE = 64 * 1024  # characters; uvicorn is started with the same (--ws-max-size), and keeps no more


def rights_of_session(session_key: str | None) -> Rights | None:
    """What the session's owner may do *now*, from the database; None when the session has ended or the account is
    closed.
    """
    user = user_of_session(session_key)
    if user is None:
        return None
    return Rights() if factor_missing(user) else rights_of(user)


def may_hear(rights: Rights, topics: Iterable[str]) -> set[str]:
    """Those of the topics that somebody with these rights may listen to. A topic of a thing that they don't see is
    refused like one of a thing that is not there. Topics without a number say that something changed, and not what.
    """
    known = {topic for topic in topics if is_topic(topic) and rights.reach(TOPICS[topic.partition(":")[0]])}
    things = {topic for topic in known if ":" in topic}
    return known - things | seen_names(rights, things, ground=True)


class LiveConsumer(AsyncWebsocketConsumer):
    """``{"subscribe": [topics]}`` and ``{"unsubscribe": [topics]}`` in; hints and ``{"ping": n}`` out.

    A ping takes the way of a hint, through the channel layer: one that arrives shows that hints would. When none does,
    the socket is closed with 4503; the page says so, reads on a timer, and reads everything again when it is back.

    Anonymous sockets are accepted and closed at once with 4401: a browser cannot see why a handshake was refused.
    """

    ping_every_s = 5.0
    layer_deadline_s = 5.0
    check_every_s = 30.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Before ``connect`` the channel layer is asked for a channel; one that hangs must not hold the handshake."""
        try:
            async with asyncio.timeout(self.layer_deadline_s) as self.opening:
                await super().__call__(scope, receive, send)
        except Exception as error:
            if self.opening.when() is None:
                raise
            logger.warning("a page is not live: the channel layer failed: %s: %s", type(error).__name__, error)
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": NOT_LIVE})

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Channels' own goes through a thread for each message, to close old database connections there; so each hint
        to each of hundreds of sockets would wait for that one thread, and for every request that is being answered.
        What needs the database here goes through ``database_sync_to_async``, which closes them itself.
        """
        await getattr(self, get_handler_name(message))(message)

    async def connect(self) -> None:
        self.opening.reschedule(None)
        self.topics: set[str] = set()
        self.background: list[asyncio.Task[None]] = []
        self.arrived = asyncio.Event()
        self.session_key = getattr(self.scope.get("session"), "session_key", None)
        self.rights = await database_sync_to_async(rights_of_session)(self.session_key)
        await self.accept()
        if self.rights is None:
            await self.close(code=SIGNED_OUT)
            return
        if not await self.through_layer(self.channel_layer.group_add(EVERYBODY, self.channel_name)):
            return
        self.background = [asyncio.create_task(self.keep_pinging()), asyncio.create_task(self.keep_checking())]

    async def disconnect(self, code: int) -> None:
        for task in self.background:
            task.cancel()
        groups = [EVERYBODY, *(group_of(topic) for topic in self.topics)]
        leaving = (self.channel_layer.group_discard(group, self.channel_name) for group in groups)
        # A layer that is gone has nothing to be left, and one that hangs must not hold the socket.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*leaving, return_exceptions=True), self.layer_deadline_s)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if len(text_data or bytes_data or "") > MAX_MESSAGE:
            await self.close(code=TOO_MUCH)
            return
        try:
            message = json.loads(text_data or "")
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            await self.say({"error": 'Send a JSON object such as {"subscribe": ["overview"]}.'})
            return
        for topic in self.named(message, "unsubscribe"):
            await self.leave(topic)
        if "subscribe" in message:
            await self.join(self.named(message, "subscribe"))

    @staticmethod
    def named(message: dict[str, Any], word: str) -> list[Any]:
        topics = message.get(word, [])
        return topics if isinstance(topics, list) else [topics]

    async def join(self, topics: list[Any]) -> None:
        if len(topics) + len(self.topics) > 2 * MAX_TOPICS:
            await self.close(code=TOO_MUCH)
            return
        heard = await self.may_hear(topics)
        wanted = [topic for topic in topics if isinstance(topic, str) and topic in heard][:MAX_TOPICS]
        for topic in wanted:
            if topic not in self.topics:
                if not await self.through_layer(self.channel_layer.group_add(group_of(topic), self.channel_name)):
                    return
                self.topics.add(topic)
        await self.say({"subscribed": wanted, "refused": [topic for topic in topics if topic not in wanted]})

    async def leave(self, topic: Any) -> None:
        if isinstance(topic, str) and topic in self.topics:
            self.topics.remove(topic)
            await self.through_layer(self.channel_layer.group_discard(group_of(topic), self.channel_name))

    async def may_hear(self, topics: Iterable[Any]) -> set[str]:
        words = [topic for topic in topics if isinstance(topic, str)]
        heard: set[str] = await database_sync_to_async(may_hear)(self.rights or Rights(), words)
        return heard

    async def live_hint(self, event: dict[str, Any]) -> None:
        """From the channel layer. One may still be on its way that was sent before the topic was left."""
        if event["hint"]["topic"] in self.topics:
            await self.say(event["hint"])

    async def live_resync(self, event: dict[str, Any]) -> None:
        """From the channel layer: hints were lost on their way into it."""
        await self.say({"resync": True})

    async def live_ping(self, event: dict[str, Any]) -> None:
        """Our own ping, back from the channel layer."""
        self.arrived.set()
        await self.say({"ping": event["number"]})

    async def keep_pinging(self) -> None:
        number = 0
        while True:
            await asyncio.sleep(self.ping_every_s)
            number += 1
            self.arrived.clear()
            if not await self.through_layer(self.there_and_back(number)):
                return

    async def there_and_back(self, number: int) -> None:
        await self.channel_layer.send(self.channel_name, {"type": "live.ping", "number": number})
        await self.arrived.wait()

    async def through_layer(self, work: Awaitable[None]) -> bool:
        """Whether the channel layer did it in time. If not, the socket is closed: it would hear nothing any more."""
        try:
            async with asyncio.timeout(self.layer_deadline_s):
                await work
        except Exception as error:  # the layer's own errors differ by back end
            logger.warning("a page is not live: the channel layer failed: %s: %s", type(error).__name__, error)
            await self.close(code=NOT_LIVE)
            return False
        return True

    async def keep_checking(self) -> None:
        """A socket outlives its session, and what its owner may see, unless somebody looks."""
        while True:
            await asyncio.sleep(self.check_every_s)
            self.rights = await database_sync_to_async(rights_of_session)(self.session_key)
            if self.rights is None:
                await self.close(code=SIGNED_OUT)
                return
            for topic in self.topics - await self.may_hear(self.topics):
                await self.leave(topic)

    async def say(self, message: Any) -> None:
        await self.send(text_data=json.dumps(message))
