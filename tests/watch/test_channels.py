"""What arrives at the other end of each kind of channel that people are told to use: mail, Slack, and what speaks like
it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apprise.plugins.slack
import pytest
from cryptography.fernet import Fernet
from django.utils import timezone

from drportal.inventory.models import MirroredImage, SitePair
from drportal.watch.alerts import deliver, evaluate
from drportal.watch.models import AlertChannel, AlertMessage
from tests.conftest import Person
from tests.watch.post import MailServer, Receiver

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def a_key(settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    settings.PUBLIC_URL = "https://dr.example.org/"


@pytest.fixture
def post() -> Iterator[MailServer]:
    server = MailServer(login=("portal", "secret-word"))
    yield server
    server.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def two_primaries(operator: Person, pair: SitePair, address: str) -> MirroredImage:
    """A rule with a channel to the address, and something to tell of."""
    SitePair.objects.update(polled_at=timezone.now())
    image = MirroredImage.objects.create(pair=pair, pool="one", name="one-1", verdict="two_primaries")
    made = operator.api("POST", "/alert-channels", {"name": "night watch", "address": address})
    assert made.status_code == 201, made.content
    rule = {"name": "split", "kind": "two_primaries", "channels": [made.json()["id"]]}
    assert operator.api("POST", "/alert-rules", rule).status_code == 201
    return image


def mail_address(post: MailServer, password: str = "secret-word") -> str:
    return (
        f"mailto://portal:{password}@example.org:{post.port}?smtp=127.0.0.1&from=portal@example.org&to=ops@example.org"
    )


def test_a_mail_arrives_once_with_the_sentence_and_the_page(
    operator: Person, viewer: Person, pair: SitePair, post: MailServer
) -> None:
    image = two_primaries(operator, pair, mail_address(post))
    evaluate(timezone.now())
    assert deliver() == 1
    assert deliver() == 0
    (mail,) = post.mails
    assert post.recipients == ["ops@example.org"]
    assert mail["Subject"] == "DR Portal: split"
    assert mail["X-Application"] == "DR Portal"
    assert "portal@example.org" in mail["From"]
    body = mail.get_body(("plain", "html"))
    assert body is not None
    assert "TWO PRIMARIES: one/one-1" in body.get_content()
    assert f"https://dr.example.org/images/{image.pk}" in body.get_content()
    MirroredImage.objects.update(verdict="protected")
    evaluate(timezone.now())
    deliver()
    assert [one["Subject"] for one in post.mails] == ["DR Portal: split", "DR Portal: over: split"]
    assert "secret-word" not in str(viewer.read("/alerts"))


@pytest.mark.parametrize("trouble", ["refused", "password", "gone"])
def test_a_mail_that_was_not_taken_is_no_sent_one(
    operator: Person, viewer: Person, pair: SitePair, post: MailServer, trouble: str
) -> None:
    two_primaries(operator, pair, mail_address(post, "wrong" if trouble == "password" else "secret-word"))
    if trouble == "refused":
        post.refuse = "550 5.1.1 no such user"
    if trouble == "gone":
        post.close()
    evaluate(timezone.now())
    assert deliver() == 0
    message = AlertMessage.objects.get()
    assert (message.sent_at, message.attempts) == (None, 1)
    assert "could not be sent" in message.trouble
    assert AlertChannel.objects.get().last_trouble
    assert post.mails == []
    assert "secret-word" not in str(viewer.read("/alerts"))


def test_slack_gets_its_own_json(
    operator: Person, pair: SitePair, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = f"http://127.0.0.1:{receiver.server.server_port}/services"
    monkeypatch.setattr(apprise.plugins.slack.NotifySlack, "webhook_url", here)
    receiver.answer = b"ok"  # what Slack says, and nothing else will do
    image = two_primaries(operator, pair, "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ")
    assert AlertChannel.objects.get().shown == "slack://…"
    evaluate(timezone.now())
    assert deliver() == 1, AlertMessage.objects.get().trouble
    (body,) = receiver.bodies
    assert receiver.paths == ["/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"]
    (attachment,) = body["attachments"]
    assert attachment["title"] == "DR Portal: split"
    assert "TWO PRIMARIES: one/one-1" in attachment["text"]
    assert f"https://dr.example.org/images/{image.pk}" in attachment["text"]
    assert "github" not in str(body), "no picture is fetched from there by whoever reads it"


def test_slack_that_does_not_say_ok_was_not_told(
    operator: Person, pair: SitePair, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = f"http://127.0.0.1:{receiver.server.server_port}/services"
    monkeypatch.setattr(apprise.plugins.slack.NotifySlack, "webhook_url", here)
    receiver.status, receiver.answer = 404, b"no_service"
    two_primaries(operator, pair, "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ")
    evaluate(timezone.now())
    assert deliver() == 0
    trouble = AlertMessage.objects.get().trouble
    assert "could not be sent" in trouble
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in trouble


def test_what_speaks_like_slack_is_told_too(operator: Person, pair: SitePair, receiver: Receiver) -> None:
    two_primaries(operator, pair, f"mmost://127.0.0.1:{receiver.server.server_port}/4djgyhwxubnr8d5yyyhxfhcaxa")
    evaluate(timezone.now())
    assert deliver() == 1, AlertMessage.objects.get().trouble
    assert receiver.paths == ["/hooks/4djgyhwxubnr8d5yyyhxfhcaxa"]
    assert "TWO PRIMARIES: one/one-1" in receiver.bodies[0]["text"]
    assert receiver.bodies[0]["username"] == "DR Portal"
    assert "github" not in str(receiver.bodies[0])
