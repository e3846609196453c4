"""Changes of the approval policy, and what became of each. Written by ``services/policy.py``."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from drportal.engine.policy import ChangeState


class PolicyChange(models.Model):
    """A request to change the approval policy; the newest that is ``in_force`` is the policy.

    The database itself refuses one that its own requester brought into force, and a second one at the same time.
    """

    needed = models.PositiveSmallIntegerField()
    minutes = models.PositiveIntegerField()
    break_glass = models.BooleanField()
    least_rung = models.PositiveSmallIntegerField(default=1)
    reason = models.TextField()
    state = models.CharField(max_length=20, choices=[(s.value, s.value) for s in ChangeState])
    sentence = models.TextField(blank=True)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requested_name = models.CharField(max_length=150)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    decided_name = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["state"], condition=Q(state="requested"), name="one_policy_change_asked_for_at_a_time"
            ),
            models.UniqueConstraint(fields=["state"], condition=Q(state="in_force"), name="one_policy_in_force"),
            models.CheckConstraint(
                condition=~Q(state__in=["in_force", "superseded"])
                | (Q(decided_by__isnull=False) & ~Q(decided_by=F("requested_by"))),
                name="no_policy_by_one_person_alone",
            ),
        ]

    def __str__(self) -> str:
        return f"policy change {self.pk}"
