"""Evidence, and the yes that was given to it. Written by ``services/disaster.py``, ``services/approvals.py`` and the
executor that takes an approval into use."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from drportal.engine.approvals import ApprovalState


class Evidence(models.Model):
    """The observations behind a decision, frozen: ``sha256`` is of ``content`` (``engine.approvals.content_hash``)."""

    sha256 = models.CharField(max_length=64, unique=True)
    content = models.JSONField()
    taken_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.sha256


class Approval(models.Model):
    """A request for a second person's yes to a run's forced commands, and what became of it.

    ``commands``: the exact command lines, sorted. ``token``: its name at the sites and in receipts. A run whose yes
    has expired in its middle may be given another, for the commands still to be sent.
    """

    run = models.ForeignKey("recovery.Run", on_delete=models.PROTECT, related_name="approvals")
    token = models.CharField(max_length=40, unique=True)
    state = models.CharField(max_length=20, choices=[(s.value, s.value) for s in ApprovalState])
    evidence = models.ForeignKey(Evidence, on_delete=models.PROTECT, related_name="approvals")
    plan_version = models.PositiveIntegerField()
    commands = models.JSONField()
    attested_by = models.CharField(max_length=150)
    attestation = models.TextField()
    attested_rung = models.PositiveSmallIntegerField(default=5)
    deviation = models.TextField(blank=True)  # why it goes on below the fence rung that the plan wants
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    needed = models.PositiveSmallIntegerField(default=1)
    glass = models.BooleanField(default=False)  # one person went on alone; who and why is a Voice
    sentence = models.TextField(blank=True)  # why it was declined, or is void
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["run"], condition=Q(state__in=["requested", "approved"]), name="one_open_approval_of_a_run"
            )
        ]

    def __str__(self) -> str:
        return f"approval {self.pk} of run {self.run_id}"


class GlassNotice(models.Model):
    """That somebody went on alone, told to one person who might have said yes, or has to review it."""

    approval = models.ForeignKey(Approval, on_delete=models.CASCADE, related_name="notices")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=150)
    told_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["approval", "person"], name="one_notice_of_a_person")]

    def __str__(self) -> str:
        return f"{self.name} of {self.approval_id}"


class Voice(models.Model):
    """What somebody said to a request. ``requester``: a copy, so that the database itself refuses an own approval."""

    class Word(models.TextChoices):
        YES = "yes"
        NO = "no"
        QUESTION = "question"
        GLASS = "glass"  # went on alone

    approval = models.ForeignKey(Approval, on_delete=models.CASCADE, related_name="voices")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requester = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=150)
    word = models.CharField(max_length=10, choices=Word)
    text = models.TextField(blank=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(word="yes") | ~Q(person=F("requester")), name="no_yes_to_an_own_request"
            ),
            models.UniqueConstraint(fields=["approval", "person"], condition=Q(word="yes"), name="one_yes_of_a_person"),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.word}"
