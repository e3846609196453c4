"""Rules against real rows, messages to a real web server of the test. (Mail and Slack: ``test_channels.py``.)"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db import IntegrityError, transaction
from django.utils import timezone

from drportal.audit.models import AuditEntry
from drportal.errors import Invalid
from drportal.inventory.models import MirroredImage, Pool, Site, SitePair
from drportal.recovery.models import Approval, Evidence, RecoveryPlan, Run, Voice
from drportal.watch.alerts import deliver, evaluate, rule_save
from drportal.watch.channels import channel_create
from drportal.watch.conditions import conditions
from drportal.watch.models import (
    Alert,
    AlertChannel,
    AlertMessage,
    AlertRule,
    GroupTarget,
    ReadinessCheck,
    ReceiptDifference,
)
from tests.conftest import Person
from tests.recovery.conftest import make_vm
from tests.watch.post import Receiver

pytestmark = pytest.mark.django_db


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(autouse=True)
def a_key(settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    settings.PUBLIC_URL = "https://dr.example.org/"


@pytest.fixture
def image(pair: SitePair) -> MirroredImage:
    SitePair.objects.update(polled_at=timezone.now())
    return MirroredImage.objects.create(pair=pair, pool="one", name="one-1", verdict="two_primaries")


def make_rule(operator: Person, receiver: Receiver, **fields: Any) -> int:
    channel = operator.api("POST", "/alert-channels", {"name": "hook", "address": receiver.address}).json()["id"]
    given = {"name": "split", "kind": "two_primaries", "channels": [channel], **fields}
    answer = operator.api("POST", "/alert-rules", given)
    assert answer.status_code == 201, answer.content
    return int(answer.json()["id"])


def test_it_is_told_once_and_the_end_is_told_too(
    operator: Person, viewer: Person, receiver: Receiver, image: MirroredImage
) -> None:
    make_rule(operator, receiver)
    now = timezone.now()
    for second in range(3):
        evaluate(now + dt.timedelta(seconds=second))
        deliver(now + dt.timedelta(seconds=second))
    assert len(receiver.bodies) == 1
    assert receiver.bodies[0]["title"] == "DR Portal: split"
    assert "one/one-1" in receiver.bodies[0]["message"]
    assert f"https://dr.example.org/images/{image.pk}" in receiver.bodies[0]["message"]
    told = viewer.read("/alerts")
    assert (told["open"][0]["told"], told["rules"][0]["open"]) == (1, 1)
    MirroredImage.objects.update(verdict="protected")
    evaluate(now + dt.timedelta(seconds=9))
    deliver(now + dt.timedelta(seconds=9))
    assert [body["title"] for body in receiver.bodies] == ["DR Portal: split", "DR Portal: over: split"]
    assert viewer.read("/alerts")["open"] == []
    assert viewer.read("/alerts")["ended"][0]["ended_at"]


def test_records_that_differ_are_told_until_somebody_has_settled_it(
    operator: Person, manager: Person, receiver: Receiver, pair: SitePair
) -> None:
    make_rule(operator, receiver, kind="records_differ", name="two records")
    now = timezone.now()
    row = ReceiptDifference.objects.create(
        site=pair.b,
        operation_id="operation-1",
        word="unknown_here",
        sentence="The portal knows nothing of it.",
        found_at=now,
    )
    for second in range(2):
        evaluate(now + dt.timedelta(seconds=second))
        deliver(now + dt.timedelta(seconds=second))
    (body,) = receiver.bodies
    assert body["title"] == "DR Portal: two records"
    assert all(word in body["message"] for word in (row.site.name, "operation-1", "The portal knows nothing of it."))
    settled = manager.api("POST", f"/receipts/differences/{row.pk}/settle", {"because": "A test by root."})
    assert settled.status_code == 200, settled.content
    evaluate(now + dt.timedelta(seconds=9))
    deliver(now + dt.timedelta(seconds=9))
    assert receiver.bodies[-1]["title"] == "DR Portal: over: two records"


def test_a_program_that_is_not_the_portals_own_is_told(operator: Person, receiver: Receiver, pair: SitePair) -> None:
    make_rule(operator, receiver, kind="program_differs", name="strange program")
    Site.objects.filter(pk=pair.a_id).update(ceph_through="installed", program={"sha256": "0" * 64, "version": "0.9"})
    evaluate(timezone.now())
    deliver(timezone.now())
    assert "version 0.9 there" in receiver.bodies[0]["message"]


def test_quiet_hours_hold_it_back_and_what_is_over_by_then_is_never_told(
    operator: Person, receiver: Receiver, image: MirroredImage
) -> None:
    now = timezone.now()
    begin, end = (now - dt.timedelta(minutes=30)).time(), (now + dt.timedelta(minutes=30)).time()
    make_rule(operator, receiver, quiet_from=begin.isoformat(), quiet_until=end.isoformat())
    evaluate(now)
    assert deliver(now) == 0
    MirroredImage.objects.update(verdict="protected")
    evaluate(now + dt.timedelta(minutes=1))
    deliver(now + dt.timedelta(hours=2))
    assert receiver.bodies == []
    MirroredImage.objects.update(verdict="two_primaries")
    evaluate(now + dt.timedelta(minutes=2))
    assert deliver(now + dt.timedelta(minutes=31)) == 1
    AlertRule.objects.update(urgent=True)
    Alert.objects.all().delete()
    evaluate(now)
    assert deliver(now) == 1, "an urgent rule knows no quiet hours"


def test_a_message_that_fails_is_repeated_and_then_given_up_in_sight(
    operator: Person, viewer: Person, receiver: Receiver, image: MirroredImage
) -> None:
    make_rule(operator, receiver)
    receiver.status = 500
    now = timezone.now()
    evaluate(now)
    for hour in range(8):
        deliver(now + dt.timedelta(hours=hour))
    assert len(receiver.bodies) == 5
    message = AlertMessage.objects.get()
    assert message.given_up_at is not None
    assert "could not be sent" in viewer.read("/alerts")["open"][0]["troubles"][0]
    channel = viewer.read("/alerts")["channels"][0]
    assert channel["last_trouble"]
    assert "secret-word" not in json.dumps(viewer.read("/alerts"))


def test_the_test_button_says_what_the_other_end_said(operator: Person, viewer: Person, receiver: Receiver) -> None:
    make_rule(operator, receiver)
    channel = AlertChannel.objects.get()
    path = f"/alert-channels/{channel.pk}/test"
    assert viewer.api("POST", path).status_code == 403
    assert operator.api("POST", path).json() == {"ok": True, "sentence": "The other end took the message."}
    assert "operator tests the channel" in receiver.bodies[0]["message"]
    receiver.status = 403
    assert operator.api("POST", path).json()["ok"] is False


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "syslog://", "nonsense", "dbus://", "windows://", "macosx://"]
)
def test_only_addresses_of_somebody_else_are_taken(operator: Person, address: str) -> None:
    answer = operator.api("POST", "/alert-channels", {"name": "x", "address": address})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert not AlertChannel.objects.exists()


def test_secrets_are_sealed_and_stay_out_of_the_trail(operator: Person, receiver: Receiver) -> None:
    make_rule(operator, receiver)
    channel = AlertChannel.objects.get()
    assert b"secret-word" not in bytes(channel.ciphertext)
    assert channel.shown == "json://127.0.0.1"
    kept = json.dumps(list(AuditEntry.objects.values_list("payload", flat=True)), default=str)
    assert "secret" not in kept


def test_rules_are_changed_and_removed_and_both_are_in_the_trail(
    operator: Person, viewer: Person, receiver: Receiver
) -> None:
    rule = make_rule(operator, receiver)
    body = {"name": "split", "kind": "run_waits", "for_s": 60, "channels": []}
    assert viewer.api("PUT", f"/alert-rules/{rule}", body).status_code == 403
    assert operator.api("PUT", f"/alert-rules/{rule}", body).json()["for_s"] == 60
    assert operator.api("POST", "/alert-rules", body).status_code == 409
    assert operator.api("PUT", f"/alert-rules/{rule}", {**body, "channels": [99]}).status_code == 422
    assert operator.api("PUT", f"/alert-rules/{rule}", {**body, "quiet_from": "22:00"}).status_code == 422
    assert operator.api("PUT", f"/alert-rules/{rule}", {**body, "zone": "Mars/Base"}).status_code == 422
    assert operator.api("DELETE", f"/alert-rules/{rule}").status_code == 204
    assert operator.api("DELETE", f"/alert-rules/{rule}").status_code == 404
    trail = AuditEntry.objects.order_by("seq")
    changes = trail.filter(action__startswith="alert.").values_list("action", flat=True)
    assert list(changes) == ["alert.channel_create", "alert.rule", "alert.rule", "alert.rule_delete"]
    assert viewer.user is not None
    assert viewer.user.username in trail.filter(action="request.refused").values_list("actor", flat=True)


def test_every_condition_is_found_in_the_rows(
    pair: SitePair, image: MirroredImage, make_plan: Callable[..., RecoveryPlan]
) -> None:
    now = timezone.now()
    plan = make_plan("shop", make_vm(pair, "db", 1, ["one-2"]))
    GroupTarget.objects.create(group=plan.group, rpo_s=30)
    MirroredImage.objects.filter(name="one-2").update(protected_until=now - dt.timedelta(seconds=31))
    Pool.objects.create(site=pair.a, name="one", mode="image", peers=[{"direction": "rx-tx"}], daemon_health="UNKNOWN")
    Site.objects.filter(pk=pair.b.pk).update(ceph_reachable=False, ceph_sentence="It hangs.")
    common: dict[str, Any] = {
        "plan": plan, "group": plan.group, "plan_version": 1, "plan_copy": {}, "source_site": pair.a,
        "target_site": pair.b, "requested_name": "olga", "kind": "planned_failover",
    }  # fmt: skip
    run = Run.objects.create(**common, state="paused", request_key="1", sentence="A person decides.")
    for state in ("ready", "not_ready"):
        from pydantic import TypeAdapter

        from drportal.watch.readiness import prints_of

        seen = TypeAdapter(type(prints_of([plan])[plan.pk])).dump_python(prints_of([plan])[plan.pk], mode="json")
        ReadinessCheck.objects.create(
            plan=plan, kind="planned_failover", state=state, blockers=1, warnings=0, seen=seen, digest=state,
            first_at=now, checked_at=now, because="", findings=[{"sentence": "It is locked."}],
        )  # fmt: skip
    found = {condition.kind.value: condition.sentence for condition in conditions(now)}
    assert set(found) == {"two_primaries", "exposure", "daemon_dead", "readiness_lost", "run_waits", "site_silent"}
    assert "agreed are 30 s" in found["exposure"]
    assert "It hangs." in found["site_silent"]
    assert "A person decides." in found["run_waits"]
    Run.objects.filter(pk=run.pk).update(state="awaiting_approval")
    SitePair.objects.update(polled_at=now - dt.timedelta(minutes=5))
    kinds = {condition.kind.value for condition in conditions(now)}
    assert {"approval_asked", "portal_blind"} <= kinds


def broken_glass_of(operator: Person, plan: RecoveryPlan, now: dt.datetime) -> None:
    """A run that olga began alone."""
    assert operator.user is not None
    run = Run.objects.create(
        plan=plan, group=plan.group, kind="disaster_failover", plan_version=1, plan_copy={}, requested_name="olga",
        source_site=plan.group.home_site, target_site=plan.group.pair.b, state="running", request_key="1",
    )  # fmt: skip
    evidence = Evidence.objects.create(sha256="0" * 64, content={}, taken_at=now)
    approval = Approval.objects.create(
        run=run, token="t", state="used", evidence=evidence, plan_version=1, commands=[], attested_by="", glass=True,
        attestation="", requested_by=operator.user, expires_at=now,
    )  # fmt: skip
    Voice.objects.create(
        approval=approval, person=operator.user, requester=operator.user, name="olga", word="glass", text="alone here"
    )


def test_nobody_goes_on_alone_unheard(
    receiver: Receiver, operator: Person, pair: SitePair, make_plan: Callable[..., RecoveryPlan]
) -> None:
    """Without a rule of people's own, and although somebody has switched the portal's own off."""
    plan = make_plan("shop", make_vm(pair, "db", 1, ["one-2"]))
    assert operator.user is not None
    channel = operator.api("POST", "/alert-channels", {"name": "night watch", "address": receiver.address})
    assert channel.status_code == 201
    now = timezone.now()
    assert evaluate(now) == 0
    broken_glass_of(operator, plan, now)
    evaluate(now)
    deliver()
    (body,) = receiver.bodies
    assert "olga alone" in body["message"]
    assert "alone here" in body["message"]
    AlertRule.objects.update(enabled=False)
    Alert.objects.update(ended_at=now)
    evaluate(now + dt.timedelta(seconds=5))
    deliver(now + dt.timedelta(seconds=5))
    assert len(receiver.bodies) == 2


@pytest.mark.parametrize("late", [{"for_s": 3600}, {"quiet_from": dt.time(0), "quiet_until": dt.time(23, 59)}])
def test_a_rule_that_would_tell_of_it_late_is_not_enough(
    receiver: Receiver,
    operator: Person,
    pair: SitePair,
    make_plan: Callable[..., RecoveryPlan],
    late: dict[str, Any],
) -> None:
    now = timezone.now().replace(hour=12)
    broken_glass_of(operator, make_plan("shop", make_vm(pair, "db", 1, ["one-2"])), now)
    channel = channel_create(actor="olga", name="night watch", address=receiver.address)
    fields = {"name": "glass", "kind": "glass_broken", "for_s": 0, "enabled": True, "urgent": False, **late}
    rule_save(actor="olga", rule_id=None, fields=fields, channels=[channel.pk])
    evaluate(now)
    deliver(now)
    assert len(receiver.bodies) == 1, "at once, by the portal's own rule"


def test_a_rule_of_no_known_kind_and_a_difference_of_no_known_word_are_never_kept(pair: SitePair) -> None:
    """They could not be shown: the API's answer names the kinds that there are."""
    with pytest.raises(Invalid, match="“weather” is no condition"):
        rule_save(actor="olga", rule_id=None, fields={"name": "split", "kind": "weather"}, channels=[])
    with pytest.raises(Invalid, match="is no condition"):
        rule_save(actor="olga", rule_id=None, fields={"name": "split"}, channels=[])
    rule = rule_save(actor="olga", rule_id=None, fields={"name": "split", "kind": "two_primaries"}, channels=[])
    assert rule_save(actor="olga", rule_id=rule.pk, fields={"name": "both"}, channels=[]).kind == "two_primaries"
    with pytest.raises(IntegrityError), transaction.atomic():
        ReceiptDifference.objects.create(site=pair.a, operation_id="1", word="weather", found_at=timezone.now())
