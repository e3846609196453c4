"""What is agreed, watched and told beside the moves themselves. Written by this app's services and its schedule."""

from __future__ import annotations

from django.db import models

from drportal.engine.receipts import DifferenceWord
from drportal.inventory.models import Site
from drportal.recovery.models import ProtectionGroup, RecoveryPlan, Run
from drportal.watch.models_alerts import Alert, AlertChannel, AlertMessage, AlertRule
from drportal.watch.models_refusals import RefusalRecord, RefusedRequests
from drportal.watch.models_views import SavedView

__all__ = [
    "Alert",
    "AlertChannel",
    "AlertMessage",
    "AlertRule",
    "CheckRequest",
    "GroupTarget",
    "ReadinessCheck",
    "ReceiptDifference",
    "RefusalRecord",
    "RefusedRequests",
    "SavedView",
    "SiteRecord",
]


class GroupTarget(models.Model):
    """The RPO target agreed for a group: how much exposure is acceptable. Never a measurement."""

    group = models.OneToOneField(ProtectionGroup, on_delete=models.CASCADE, related_name="target")
    rpo_s = models.PositiveIntegerField()
    changed_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.rpo_s} s for {self.group_id}"


class ReadinessCheck(models.Model):
    """What a look at both sites said about a plan. A check that says the same as the one before only moves
    ``checked_at``; bounded per plan (``watch/readiness.py``)."""

    plan = models.ForeignKey(RecoveryPlan, on_delete=models.CASCADE, related_name="readiness_checks")
    kind = models.CharField(max_length=30)
    state = models.CharField(max_length=20)
    blockers = models.PositiveIntegerField()
    warnings = models.PositiveIntegerField()
    findings = models.JSONField(default=list)  # [{code, severity, subject, sentence, remedy}], blockers first
    counts = models.JSONField(default=dict)
    seen = models.JSONField(default=dict)  # what it depends on: engine.standing.Print
    digest = models.CharField(max_length=64)
    first_at = models.DateTimeField()
    checked_at = models.DateTimeField()
    times = models.PositiveIntegerField(default=1)
    because = models.CharField(max_length=200)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["plan", "-id"], name="checks_of_a_plan")]

    def __str__(self) -> str:
        return f"plan {self.plan_id}: {self.state} at {self.checked_at:%F %T}"


class CheckRequest(models.Model):
    """That a plan's readiness is to be looked at: one row a plan, so that many askers make one check."""

    plan = models.OneToOneField(RecoveryPlan, on_delete=models.CASCADE, related_name="check_request")
    asked_at = models.DateTimeField()
    because = models.CharField(max_length=200)
    rung_at = models.DateTimeField(null=True)
    trouble = models.TextField(blank=True)  # why the last attempt brought nothing

    def __str__(self) -> str:
        return f"plan {self.plan_id} since {self.asked_at:%F %T}"


class SiteRecord(models.Model):
    """How far a site's receipts have been held against the trail. ``since``: the ``change`` after which to go on."""

    site = models.OneToOneField(Site, on_delete=models.CASCADE, related_name="record")
    since = models.BigIntegerField(default=0)
    tried_at = models.DateTimeField(null=True)
    compared_at = models.DateTimeField(null=True)  # when it last came to an end
    sentence = models.TextField(blank=True)  # what was found, or why it could not be done

    def __str__(self) -> str:
        return f"record of {self.site_id}"


class ReceiptDifference(models.Model):
    """One act of which the site's receipt and the portal's trail say different things. Open until a person settles it.

    ``ours`` and ``theirs``: both records as they were when the difference was found; null where there is none.
    """

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="differences")
    operation_id = models.CharField(max_length=80)
    word = models.CharField(max_length=30)
    sentence = models.TextField()
    ours = models.JSONField(null=True)
    theirs = models.JSONField(null=True)
    run = models.ForeignKey(Run, null=True, on_delete=models.SET_NULL, related_name="+")
    found_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)
    settled_by = models.CharField(max_length=150, blank=True)
    settled_because = models.TextField(blank=True)
    acknowledged = models.BooleanField(default=False)  # to the site, after it was settled

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["site", "operation_id", "word"], name="one_difference_of_an_operation"),
            # A word that is none could be kept and never shown again.
            models.CheckConstraint(
                condition=models.Q(word__in=sorted(word.value for word in DifferenceWord)),
                name="difference_has_a_known_word",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.word} of {self.operation_id}"
