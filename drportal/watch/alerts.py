"""Rules against what holds now: alerts begin, are told once, and end."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from drportal.audit.record import record
from drportal.engine.alerts import KIND_SENTENCES, AlertKind, Condition, OpenAlert, QuietHours, decide
from drportal.errors import Conflict, Invalid, NotFound
from drportal.events import publish
from drportal.recovery.glass import glass_runs
from drportal.watch.channels import send
from drportal.watch.conditions import conditions
from drportal.watch.models import Alert, AlertChannel, AlertMessage, AlertRule

logger = logging.getLogger(__name__)
RETRY_AFTER_S = (30, 120, 600, 1800)
AT_ONCE = 20
KEEP_ENDED = 1000


def rule_get(rule_id: int) -> AlertRule:
    rule = AlertRule.objects.filter(pk=rule_id).first()
    if rule is None:
        raise NotFound("This rule is not known (any more).")
    return rule


def rule_save(*, actor: str, rule_id: int | None, fields: dict[str, Any], channels: Sequence[int]) -> AlertRule:
    """Make a rule, or set one's fields. Raises Conflict for a taken name, Invalid for an unknown kind or channel."""
    if fields.get("kind", "") not in set(AlertKind) and (rule_id is None or "kind" in fields):
        raise Invalid(f"“{fields.get('kind', '')}” is no condition that a rule can watch. Nothing was changed.")
    found = list(AlertChannel.objects.filter(pk__in=channels))
    if len(found) != len(set(channels)):
        raise Invalid("A channel of the rule is not known (any more). Nothing was changed.")
    try:
        with transaction.atomic():
            rule = rule_get(rule_id) if rule_id is not None else AlertRule()
            before = rule_facts(rule) if rule.pk else None
            for name, value in {**fields, "changed_by": actor}.items():
                setattr(rule, name, value)
            rule.save()
            rule.channels.set(found)
            if not rule.enabled:
                rule.alerts.filter(ended_at=None).update(ended_at=timezone.now())
            record("alert.rule", rule.name, {"before": before, "after": rule_facts(rule)}, actor=actor)
    except IntegrityError:
        raise Conflict(f"There is a rule “{fields['name']}” already. Nothing was changed.", code="name_taken") from None
    return rule


def rule_facts(rule: AlertRule) -> dict[str, Any]:
    plain = {name: getattr(rule, name) for name in ("name", "kind", "for_s", "enabled", "urgent", "zone")}
    quiet = [str(rule.quiet_from), str(rule.quiet_until)] if rule.quiet_from is not None else None
    return {**plain, "quiet": quiet, "channels": sorted(rule.channels.values_list("name", flat=True))}


def rule_delete(*, actor: str, rule_id: int) -> None:
    with transaction.atomic():
        rule = rule_get(rule_id)
        record("alert.rule_delete", rule.name, rule_facts(rule), actor=actor)
        rule.delete()


# --- looking


def evaluate(now: dt.datetime) -> int:
    """Hold every rule against what is so now. How many messages were made."""
    rules = list(AlertRule.objects.filter(enabled=True).prefetch_related("channels"))
    if not rules and not glass_runs():
        return 0
    holding = conditions(now)
    rules += _own_rule(holding)
    return sum(evaluate_rule(rule, holding, now) for rule in rules)


def _own_rule(holding: Sequence[Condition]) -> list[AlertRule]:
    """Nobody goes on alone unheard: where people have no rule that tells of it at once, at night too, the portal has
    one, to all channels."""
    kind = AlertKind.GLASS_BROKEN
    at_once = Q(for_s=0) & (Q(urgent=True) | Q(quiet_from=None) | Q(quiet_until=None))
    people_s = AlertRule.objects.filter(at_once, kind=kind.value, enabled=True, channels__isnull=False)
    if not any(condition.kind is kind for condition in holding) or people_s.exists():
        return []
    own = {"kind": kind.value, "enabled": True, "for_s": 0, "urgent": True, "changed_by": "portal"}
    rule, _ = AlertRule.objects.update_or_create(name=KIND_SENTENCES[kind], defaults=own)
    rule.channels.set(AlertChannel.objects.all())
    return [rule]


def evaluate_rule(rule: AlertRule, holding: Sequence[Condition], now: dt.datetime) -> int:
    """The row is locked, so that two workers that look at the same moment tell once."""
    with transaction.atomic():
        AlertRule.objects.select_for_update().get(pk=rule.pk)
        rows = {row.key: row for row in rule.alerts.filter(ended_at=None)}
        known = [OpenAlert(row.key, row.began_at, row.fired_at is not None) for row in rows.values()]
        decision = decide(AlertKind(rule.kind), rule.for_s, holding, known, now)
        for new in decision.begin:
            rows[new.key] = Alert.objects.create(
                rule=rule, key=new.key, sentence=new.sentence, path=new.path, began_at=now
            )
        refresh_sentences(rows, holding, rule)
        made = sum(fire(rule, rows[key], now) for key in decision.fire)
        made += sum(end(rule, rows[key], now) for key in decision.end)
        if decision.fire or decision.end:
            publish("overview")
    return made


def refresh_sentences(rows: dict[str, Alert], holding: Sequence[Condition], rule: AlertRule) -> None:
    """What is told is as it is when it is told."""
    for condition in holding:
        row = rows.get(condition.key)
        if condition.kind.value == rule.kind and row is not None and row.sentence != condition.sentence:
            row.sentence = condition.sentence
            row.save(update_fields=["sentence"])


def fire(rule: AlertRule, alert: Alert, now: dt.datetime) -> int:
    alert.fired_at = now
    alert.save(update_fields=["fired_at"])
    due = due_at(rule, now)
    return len(
        AlertMessage.objects.bulk_create(
            AlertMessage(alert=alert, channel=channel, due_at=due) for channel in rule.channels.all()
        )
    )


def end(rule: AlertRule, alert: Alert, now: dt.datetime) -> int:
    """Whoever was told of the beginning is told of the end; a message still held back is not needed any more."""
    alert.ended_at = now
    alert.save(update_fields=["ended_at"])
    waiting = alert.messages.filter(sent_at=None, given_up_at=None)
    waiting.update(given_up_at=now, trouble="It was over before anybody was told.")
    told = alert.messages.filter(over=False, sent_at__isnull=False).select_related("channel")
    due = due_at(rule, now)
    made = AlertMessage.objects.bulk_create(
        AlertMessage(alert=alert, channel=message.channel, over=True, due_at=due) for message in told
    )
    old = Alert.objects.filter(ended_at__isnull=False).values_list("pk", flat=True)[KEEP_ENDED:]
    Alert.objects.filter(pk__in=list(old)).delete()
    return len(made)


def due_at(rule: AlertRule, now: dt.datetime) -> dt.datetime:
    """Now, or the end of the quiet hours."""
    if rule.urgent or rule.quiet_from is None or rule.quiet_until is None:
        return now
    return QuietHours(rule.quiet_from, rule.quiet_until, rule.zone).until(now) or now


# --- telling


def messages_due(now: dt.datetime) -> bool:
    return AlertMessage.objects.filter(sent_at=None, given_up_at=None, due_at__lte=now).exists()


def deliver(now: dt.datetime | None = None) -> int:
    """Send what is due. How many went. One that fails is tried again later, some times, and then given up visibly."""
    now = now or timezone.now()
    due = AlertMessage.objects.filter(sent_at=None, given_up_at=None, due_at__lte=now)
    sent = 0
    for message in due.select_related("alert__rule", "channel").order_by("due_at")[:AT_ONCE]:
        later = now + dt.timedelta(seconds=RETRY_AFTER_S[min(message.attempts, len(RETRY_AFTER_S) - 1)])
        # Claimed before it is sent: a worker that dies in between costs a delay, never a second message at once.
        mine = due.filter(pk=message.pk, attempts=message.attempts).update(attempts=message.attempts + 1, due_at=later)
        if not mine:
            continue
        trouble = send(message.channel, *words(message))
        fields: dict[str, Any] = {"trouble": trouble}
        if not trouble:
            fields["sent_at"], sent = timezone.now(), sent + 1
        elif message.attempts + 1 > len(RETRY_AFTER_S):
            fields["given_up_at"] = timezone.now()
            logger.error("an alert could not be told through %s: %s", message.channel.name, trouble)
        AlertMessage.objects.filter(pk=message.pk).update(**fields)
    return sent


def words(message: AlertMessage) -> tuple[str, str]:
    """Title and body."""
    alert = message.alert
    title = f"DR Portal: {'over: ' if message.over else ''}{alert.rule.name}"
    lines = [alert.sentence, f"Since {alert.began_at:%F %T} UTC."]
    if message.over and alert.ended_at:
        lines.append(f"Over at {alert.ended_at:%F %T} UTC.")
    base = settings.PUBLIC_URL.rstrip("/")
    if base and alert.path:
        lines.append(f"{base}{alert.path}")
    return title, "\n".join(lines)
