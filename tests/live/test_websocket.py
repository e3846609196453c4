"""The websocket: who may listen to what, and for how long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import transaction

from drportal.asgi import application
from drportal.consumers import SIGNED_OUT, LiveConsumer
from drportal.events import apublish, is_topic, publish
from drportal.people.models import Grant
from drportal.recovery.models import RecoveryPlan
from drportal.roles import Role
from tests.conftest import Person, hold, make_person
from tests.live.communicator import WebsocketCommunicator
from tests.recovery.conftest import make_plan, make_vm, plan  # noqa: F401  (fixtures)

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE_S = 5.0


@asynccontextmanager
async def socket(person: Person, origin: str = "http://testserver") -> AsyncIterator[WebsocketCommunicator]:
    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in person.cookies.items())
    headers = [(b"host", b"testserver"), (b"origin", origin.encode()), (b"cookie", cookie.encode())]
    communicator = WebsocketCommunicator(application, "/ws/live/", headers=headers)
    try:
        assert await communicator.connect(timeout=PATIENCE_S)
        yield communicator
    finally:
        await communicator.disconnect(timeout=PATIENCE_S)


async def hear(communicator: WebsocketCommunicator) -> Any:
    return await communicator.receive_json(timeout=PATIENCE_S)


async def closed_with(communicator: WebsocketCommunicator) -> int:
    while True:
        said = await communicator.receive_output(timeout=PATIENCE_S)
        if said["type"] == "websocket.close":
            return int(said["code"])


@pytest.fixture
def person(db: None) -> Person:
    return make_person("viewer", Role.VIEWER)


async def test_a_hint_reaches_who_subscribed(person: Person) -> None:
    async with socket(person) as live:
        await live.send_json({"subscribe": ["run:12", "overview"]})
        assert await hear(live) == {"subscribed": ["run:12", "overview"], "refused": []}
        await apublish("run:13", 1)
        await apublish("run:12", 57)
        hint = await hear(live)
        assert (hint["topic"], hint["version"]) == ("run:12", 57)


async def test_a_hint_does_not_wait_for_the_thread_that_has_the_database(person: Person) -> None:
    """One thread serves all sockets' questions to the database; hints to hundreds of sockets must not stand in line."""
    async with socket(person) as live:
        await live.send_json({"subscribe": ["overview"]})
        await hear(live)
        go_on = threading.Event()
        busy = asyncio.create_task(database_sync_to_async(go_on.wait)(3 * PATIENCE_S))
        try:
            await asyncio.sleep(0.05)
            await apublish("overview", 1)
            assert (await hear(live))["topic"] == "overview"
        finally:
            go_on.set()
            await busy


async def test_nothing_comes_any_more_after_unsubscribing(person: Person) -> None:
    async with socket(person) as live:
        await live.send_json({"subscribe": ["run:12"]})
        await hear(live)
        await live.send_json({"unsubscribe": ["run:12"], "subscribe": ["runs"]})
        await hear(live)
        await apublish("run:12", 1)
        await apublish("runs", 2)
        assert (await hear(live))["topic"] == "runs"


async def test_a_hint_is_sent_when_the_transaction_is_committed_and_not_when_it_is_not(person: Person) -> None:
    def write(fail: bool) -> None:
        with transaction.atomic():
            publish("runs", 1 if fail else 2)
            if fail:
                raise RuntimeError("rolled back")

    async with socket(person) as live:
        await live.send_json({"subscribe": ["runs"]})
        await hear(live)
        with pytest.raises(RuntimeError, match="rolled back"):
            await sync_to_async(write)(True)
        await sync_to_async(write)(False)
        assert (await hear(live))["version"] == 2


async def test_a_stranger_is_closed_with_a_code_the_page_can_read(db: None) -> None:
    stranger = await sync_to_async(Person)(None)
    async with socket(stranger) as live:
        assert await closed_with(live) == SIGNED_OUT


async def test_another_sites_page_cannot_connect(person: Person) -> None:
    with pytest.raises(AssertionError):
        async with socket(person, origin="https://evil.example"):
            pass


async def test_somebody_without_a_role_is_refused_every_topic(db: None) -> None:
    outsider = await sync_to_async(make_person)("outsider")
    topics = ["overview", "sites", "runs", "pair:1", "plan:1", "run:1"]
    async with socket(outsider) as live:
        await live.send_json({"subscribe": topics})
        assert await hear(live) == {"subscribed": [], "refused": topics}


async def test_topics_that_are_none_are_refused(person: Person) -> None:
    wrong = ["run", "run:", "run:x", "run:1:2", "secrets", "overview:1", "", 7, None, {"a": 1}, "run:" + "9" * 30]
    async with socket(person) as live:
        await live.send_json({"subscribe": wrong})
        assert await hear(live) == {"subscribed": [], "refused": wrong}
    assert not any(is_topic(one) for one in wrong)


@pytest.mark.parametrize("text", ["{", "[]", "7", '"subscribe"'])
async def test_nonsense_gets_an_answer_and_the_socket_lives_on(person: Person, text: str) -> None:
    async with socket(person) as live:
        await live.send_text(text)
        assert "error" in await hear(live)
        await live.send_json({"subscribe": ["overview"]})
        assert (await hear(live))["subscribed"] == ["overview"]


async def test_nobody_may_ask_for_topics_without_end(person: Person) -> None:
    async with socket(person) as live:
        await live.send_json({"subscribe": [f"run:{number}" for number in range(1000)]})
        assert await closed_with(live) == 4413


@pytest.mark.parametrize("message", [{"text": '{"x": "' + "y" * 2**16 + '"}'}, {"bytes": b"x" * (2**16 + 1)}], ids=list)
async def test_a_message_that_is_too_long_ends_the_socket(person: Person, message: dict[str, Any]) -> None:
    async with socket(person) as live:
        await live.send_input({"type": "websocket.receive", **message})
        assert await closed_with(live) == 4413


async def test_a_message_that_goes_too_deep_gets_an_answer(person: Person) -> None:
    async with socket(person) as live:
        await live.send_text("[" * 60_000)
        assert "error" in await hear(live)


async def test_it_pings(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiveConsumer, "ping_every_s", 0.05)
    async with socket(person) as live:
        assert await hear(live) == {"ping": 1}
        assert await hear(live) == {"ping": 2}


@pytest.mark.parametrize("end", ["signed out", "account closed", "password changed"])
async def test_a_socket_does_not_outlive_its_session(person: Person, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    monkeypatch.setattr(LiveConsumer, "check_every_s", 0.2)

    def finish() -> None:
        if end == "signed out":
            Session.objects.all().delete()
        elif end == "account closed":
            User.objects.update(is_active=False)
        else:
            user = User.objects.get()
            user.set_password("another one, also long")
            user.save()

    async with socket(person) as live:
        await live.send_json({"subscribe": ["overview"]})
        await hear(live)
        await asyncio.sleep(0.5)
        await apublish("overview")
        assert (await hear(live))["topic"] == "overview"
        await sync_to_async(finish)()
        assert await closed_with(live) == SIGNED_OUT


async def test_who_loses_the_role_hears_no_more(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiveConsumer, "check_every_s", 0.1)
    async with socket(person) as live:
        await live.send_json({"subscribe": ["overview"]})
        await hear(live)
        await sync_to_async(lambda: User.objects.get().grants.all().delete())()
        await asyncio.sleep(0.5)
        await apublish("overview")
        assert await live.receive_nothing(timeout=0.3)


async def test_who_loses_one_plan_hears_no_more_of_it_and_goes_on_hearing_of_the_other(
    monkeypatch: pytest.MonkeyPatch,
    plan: RecoveryPlan,  # noqa: F811
    make_plan: Any,  # noqa: F811
) -> None:
    monkeypatch.setattr(LiveConsumer, "check_every_s", 0.1)

    def people() -> tuple[Person, RecoveryPlan]:
        other = make_plan("other", make_vm(plan.group.pair, "other-1", 8, ["one-8"]))
        somebody = make_person("somebody", Role.VIEWER, plan=plan)
        assert somebody.user is not None
        hold(somebody.user, Role.VIEWER, plan=other)
        return somebody, other

    somebody, other = await sync_to_async(people)()
    async with socket(somebody) as live:
        await live.send_json({"subscribe": [f"plan:{plan.pk}", f"plan:{other.pk}"]})
        assert (await hear(live))["refused"] == []
        await sync_to_async(lambda: Grant.objects.filter(plan=plan).delete())()
        await asyncio.sleep(0.5)
        await apublish(f"plan:{plan.pk}", 1)
        await apublish(f"plan:{other.pk}", 2)
        assert (await hear(live))["topic"] == f"plan:{other.pk}"


async def test_a_channel_layer_that_is_down_costs_the_hint_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Down:
        async def group_send(self, *_: object) -> None:
            raise ConnectionError("no Redis")

    monkeypatch.setattr("drportal.events._Lost.some", False)  # and so back to that after the test
    monkeypatch.setattr("drportal.events.get_channel_layer", Down)
    await apublish("overview")
    assert "was not sent" in caplog.text
