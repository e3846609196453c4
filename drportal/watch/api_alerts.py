"""Alerts, the rules behind them and the channels they go through, over HTTP."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Annotated, Any
from zoneinfo import available_timezones

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status
from pydantic import AfterValidator, WithJsonSchema, model_validator

from drportal.api import asker, asking, needs
from drportal.engine.alerts import KIND_SENTENCES, AlertKind
from drportal.people.rights import Rights, seen_names
from drportal.roles import Permission
from drportal.watch.alerts import rule_delete, rule_save
from drportal.watch.channels import channel_create, channel_delete, channel_get, send
from drportal.watch.models import Alert, AlertChannel, AlertRule

router = Router()
RECENT = 50
LOOKED_THROUGH = 1000  # alerts that are over, for the newest that somebody sees who does not see all


def _zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError("not a time zone such as Europe/Berlin")
    return value


Name = Annotated[str, Field(min_length=1, max_length=100)]


class ChannelIn(Schema):
    """``address``: an Apprise URL. It can be replaced (by a new channel), never read."""

    name: Name
    address: Annotated[str, Field(min_length=5, max_length=2000)]


class ChannelOut(Schema):
    id: int
    name: str
    shown: str
    changed_by: str
    changed_at: dt.datetime
    last_sent_at: dt.datetime | None
    last_trouble: str


class ChannelTest(Schema):
    ok: bool
    sentence: str


def _without_offset(time: dt.time) -> dt.time:
    if time.tzinfo is not None:
        raise ValueError("a time of the day in the rule's own zone, without an offset")
    return time


TimeOfDay = Annotated[
    dt.time,
    AfterValidator(_without_offset),
    WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"}),
]


class RuleIn(Schema):
    """``for_s``: how long the condition must hold. Quiet hours: both times or none; messages wait for their end."""

    name: Name
    kind: AlertKind
    for_s: Annotated[int, Field(ge=0, le=7 * 86_400)] = 0
    enabled: bool = True
    urgent: bool = False
    quiet_from: TimeOfDay | None = None
    quiet_until: TimeOfDay | None = None
    zone: Annotated[str, Field(max_length=60), AfterValidator(_zone)] = "UTC"
    channels: list[Annotated[int, Field(ge=1, lt=2**63)]] = []

    @model_validator(mode="after")
    def _both_or_none(self) -> RuleIn:
        if (self.quiet_from is None) != (self.quiet_until is None):
            raise ValueError("quiet hours need a beginning and an end")
        return self


class RuleOut(Schema):
    id: int
    name: str
    kind: AlertKind
    for_s: int
    enabled: bool
    urgent: bool
    quiet_from: TimeOfDay | None
    quiet_until: TimeOfDay | None
    zone: str
    channels: list[int]
    changed_by: str
    changed_at: dt.datetime
    open: int


class AlertOut(Schema):
    id: int
    rule: str
    kind: AlertKind
    sentence: str
    path: str
    began_at: dt.datetime
    fired_at: dt.datetime | None
    ended_at: dt.datetime | None
    told: int
    troubles: list[str]


class KindOut(Schema):
    kind: AlertKind
    sentence: str


class Alerts(Schema):
    """``open``: that hold now (``fired_at`` null: not for long enough yet); ``ended``: the newest of those over.

    Rules and channels are about everything, and for who sees everything.
    """

    open: list[AlertOut]
    ended: list[AlertOut]
    rules: list[RuleOut]
    channels: list[ChannelOut]
    kinds: list[KindOut]


@router.get("/alerts", auth=needs(Permission.VIEW), response=Alerts)
def alert_list(request: HttpRequest) -> Any:
    rights = asking(request).rights
    whole = rights.reach(Permission.VIEW).everywhere
    rows = Alert.objects.select_related("rule").prefetch_related("messages")
    ended = rows.filter(ended_at__isnull=False, fired_at__isnull=False)
    return {
        "open": seen_alerts(rows.filter(ended_at=None), rights),
        "ended": seen_alerts(ended[:RECENT] if whole else ended[:LOOKED_THROUGH], rights)[:RECENT],
        "rules": [rule_out(rule) for rule in AlertRule.objects.prefetch_related("channels")] if whole else [],
        "channels": list(AlertChannel.objects.all()) if whole else [],
        "kinds": [{"kind": kind, "sentence": sentence} for kind, sentence in KIND_SENTENCES.items()],
    }


def seen_alerts(rows: Iterable[Alert], rights: Rights) -> list[AlertOut]:
    """Those about things that are seen, and of what a plan stands on that is; an alert's key names its thing."""
    found = list(rows)
    names = seen_names(rights, (row.key for row in found), ground=True)
    return [alert_out(row) for row in found if row.key in names]


def alert_out(row: Alert) -> AlertOut:
    messages = list(row.messages.all())
    return AlertOut(
        id=row.pk,
        rule=row.rule.name,
        kind=AlertKind(row.rule.kind),
        sentence=row.sentence,
        path=row.path,
        began_at=row.began_at,
        fired_at=row.fired_at,
        ended_at=row.ended_at,
        told=sum(1 for message in messages if message.sent_at is not None),
        troubles=sorted({message.trouble for message in messages if message.trouble and message.sent_at is None}),
    )


def rule_out(rule: AlertRule) -> RuleOut:
    plain = {name: getattr(rule, name) for name in RuleOut.model_fields if name not in {"channels", "open"}}
    return RuleOut(
        **plain,
        channels=[channel.pk for channel in rule.channels.all()],
        open=rule.alerts.filter(ended_at=None, fired_at__isnull=False).count(),
    )


@router.post("/alert-channels", auth=needs(Permission.ALERTS, again=True, everywhere=True), response={201: ChannelOut})
def alert_channel_create(request: HttpRequest, body: ChannelIn) -> Any:
    return Status(201, channel_create(actor=asker(request).username, name=body.name, address=body.address))


@router.delete(
    "/alert-channels/{channel_id}", auth=needs(Permission.ALERTS, again=True, everywhere=True), response={204: None}
)
def alert_channel_delete(request: HttpRequest, channel_id: int) -> Any:
    channel_delete(actor=asker(request).username, channel_id=channel_id)
    return Status(204, None)


@router.post("/alert-channels/{channel_id}/test", auth=needs(Permission.ALERTS, everywhere=True), response=ChannelTest)
def alert_channel_test(request: HttpRequest, channel_id: int) -> Any:
    """Send a message now, and say whether the other end took it."""
    channel = channel_get(channel_id)
    body = f"{asker(request).username} tests the channel “{channel.name}”. Nothing has happened."
    trouble = send(channel, "DR Portal: a test", body)
    return {"ok": not trouble, "sentence": trouble or "The other end took the message."}


@router.post("/alert-rules", auth=needs(Permission.ALERTS, everywhere=True), response={201: RuleOut})
def alert_rule_create(request: HttpRequest, body: RuleIn) -> Any:
    return Status(201, rule_out(_saved(request, None, body)))


@router.put("/alert-rules/{rule_id}", auth=needs(Permission.ALERTS, everywhere=True), response=RuleOut)
def alert_rule_change(request: HttpRequest, rule_id: int, body: RuleIn) -> Any:
    return rule_out(_saved(request, rule_id, body))


@router.delete("/alert-rules/{rule_id}", auth=needs(Permission.ALERTS, everywhere=True), response={204: None})
def alert_rule_delete(request: HttpRequest, rule_id: int) -> Any:
    rule_delete(actor=asker(request).username, rule_id=rule_id)
    return Status(204, None)


def _saved(request: HttpRequest, rule_id: int | None, body: RuleIn) -> AlertRule:
    fields = body.dict(exclude={"channels"}) | {"kind": body.kind.value}
    return rule_save(actor=asker(request).username, rule_id=rule_id, fields=fields, channels=body.channels)
