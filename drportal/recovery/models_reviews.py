"""What a manager says to a run that has ended, and what is answered. Nothing of it is ever changed."""

from __future__ import annotations

from django.db import models


class ReviewAct(models.Model):
    """``verb``: questioned, answered or accepted. A run's review stands where its last act left it."""

    run = models.ForeignKey("recovery.Run", on_delete=models.PROTECT, related_name="review_acts")
    verb = models.CharField(max_length=20)
    by = models.CharField(max_length=150)
    text = models.TextField(blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["run"], condition=models.Q(verb="accepted"), name="accepted_once")
        ]

    def __str__(self) -> str:
        return f"run {self.run_id} {self.verb} by {self.by}"
