"""Whom to tell, of what, and what was told. (Loaded by ``models.py``.)"""

from __future__ import annotations

from django.db import models

from drportal.engine.alerts import AlertKind


class AlertChannel(models.Model):
    """Where messages go. ``ciphertext``: the address with its secrets, sealed; ``shown``: what may be shown of it."""

    name = models.CharField(max_length=100, unique=True)
    ciphertext = models.BinaryField()
    shown = models.CharField(max_length=300)
    changed_by = models.CharField(max_length=150)
    changed_at = models.DateTimeField(auto_now=True)
    last_sent_at = models.DateTimeField(null=True)
    last_trouble = models.TextField(blank=True)  # of the last attempt; empty when it went through

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class AlertRule(models.Model):
    """Of which condition, after how long, to whom, and when not. ``urgent``: quiet hours do not hold it back."""

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=30, choices=[(k.value, k.value) for k in AlertKind])
    for_s = models.PositiveIntegerField(default=0)
    enabled = models.BooleanField(default=True)
    urgent = models.BooleanField(default=False)
    quiet_from = models.TimeField(null=True)
    quiet_until = models.TimeField(null=True)
    zone = models.CharField(max_length=60, default="UTC")
    channels = models.ManyToManyField(AlertChannel, related_name="rules")
    changed_by = models.CharField(max_length=150)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Alert(models.Model):
    """One condition of one rule, from its beginning to its end."""

    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE, related_name="alerts")
    key = models.CharField(max_length=200)
    sentence = models.TextField()
    path = models.CharField(max_length=200, blank=True)  # of the page that shows it
    began_at = models.DateTimeField()
    fired_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "key"], condition=models.Q(ended_at=None), name="one_open_alert_of_a_condition"
            )
        ]

    def __str__(self) -> str:
        return self.sentence


class AlertMessage(models.Model):
    """A message that is to go, or went, to one channel. ``over``: it tells of the end."""

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="messages")
    channel = models.ForeignKey(AlertChannel, on_delete=models.CASCADE, related_name="messages")
    over = models.BooleanField(default=False)
    due_at = models.DateTimeField(db_index=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    given_up_at = models.DateTimeField(null=True)
    trouble = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["alert", "channel", "over"], name="one_message_of_a_kind")]

    def __str__(self) -> str:
        return f"{self.alert_id} to {self.channel_id}"
