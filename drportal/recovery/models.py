"""Groups, plans and their runs.

Written by services and the executor; the row is the truth, queue and socket are hints.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from drportal.engine.fence import FenceRung
from drportal.engine.plans import RunKind
from drportal.engine.states import ACTIVE_RUN, RunState, StepState
from drportal.inventory.models import MirroredImage, Site, SitePair, VirtualMachine
from drportal.recovery.models_approval import Approval, Evidence, GlassNotice, Voice

__all__ = [
    "Approval",
    "Evidence",
    "GateCheck",
    "GlassNotice",
    "GroupMember",
    "ProtectionGroup",
    "RecoveryPlan",
    "Run",
    "RunImage",
    "Step",
    "StepAttempt",
    "Voice",
]


def new_token() -> str:
    return uuid.uuid4().hex


class ProtectionGroup(models.Model):
    """VMs that move together. ``active_site`` is where they run now; only a finished run changes it."""

    name = models.CharField(max_length=100, unique=True)
    pair = models.ForeignKey(SitePair, on_delete=models.PROTECT, related_name="groups")
    home_site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    active_site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    token = models.CharField(max_length=40, default=new_token)  # its name at the sites, where its fence is kept

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class GroupMember(models.Model):
    """A VM of a group, always named by its home VM. Priority 1 starts first and stops last."""

    group = models.ForeignKey(ProtectionGroup, on_delete=models.CASCADE, related_name="members")
    vm = models.OneToOneField(VirtualMachine, on_delete=models.PROTECT, related_name="membership")
    priority = models.PositiveSmallIntegerField(default=3)

    class Meta:
        ordering = ["priority", "vm__name"]
        constraints = [
            models.CheckConstraint(condition=Q(priority__gte=1, priority__lte=5), name="priority_from_1_to_5"),
        ]

    def __str__(self) -> str:
        return f"{self.vm_id} in {self.group_id}"


class RecoveryPlan(models.Model):
    """How a group is moved, both ways. ``network_map``: home network's id -> the peer site's network id, as text keys.

    ``version`` goes up with each change of the plan *or its group*; a run keeps the version and a copy of what it
    was built from.
    """

    group = models.OneToOneField(ProtectionGroup, on_delete=models.CASCADE, related_name="plan")
    name = models.CharField(max_length=100, unique=True)
    network_map = models.JSONField(default=dict)
    image_datastore_id = models.IntegerField(
        null=True
    )  # at the peer site; null: the only Ceph image datastore of the pool
    version = models.PositiveIntegerField(default=1)
    fence_rung = models.PositiveSmallIntegerField(default=FenceRung.DEMOTED.value)  # wanted at a site that came back
    rto_s = models.PositiveIntegerField(null=True)  # agreed, and held against what runs take; changes no step
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Run(models.Model):
    """One execution of a plan, driven by one RQ job at a time: the one that holds the lease.

    ``fence`` goes up whenever the lease changes hands; every write of an executor names its fence, and zero rows
    changed means: stop.
    """

    plan = models.ForeignKey(RecoveryPlan, on_delete=models.PROTECT, related_name="runs")
    group = models.ForeignKey(ProtectionGroup, on_delete=models.PROTECT, related_name="runs")
    kind = models.CharField(max_length=30, choices=[(k.value, k.value) for k in RunKind])
    state = models.CharField(max_length=40, choices=[(s.value, s.value) for s in RunState])
    version = models.PositiveIntegerField(default=1)
    plan_version = models.PositiveIntegerField()
    rto_s = models.PositiveIntegerField(null=True)  # the plan's target when the run was asked for
    plan_copy = models.JSONField()  # what the steps were built from: vms, disks, definitions by sha256, networks
    source_site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    target_site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    parent = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="way_back_runs")
    # The fence that goes before it while it rests: from then on to that one's end it does not hold the group.
    gives_way_to = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="goes_before")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    requested_name = models.CharField(max_length=150)
    reason = models.TextField(blank=True)
    request_key = models.CharField(max_length=64, unique=True)  # the caller's idempotency key
    sentence = models.TextField(blank=True)  # why it waits, what happened, where things stand
    standing = models.JSONField(
        default=list
    )  # where each image and VM stood when the run came to rest: [{kind, name, where, sentence, read_at}]
    on_hold = models.JSONField(default=list)  # keys of VMs that are passed over until a person retries them
    pause_asked = models.BooleanField(default=False)
    cancel_asked = models.BooleanField(default=False)
    fence = models.PositiveIntegerField(default=0)
    stumbles = models.PositiveIntegerField(default=0)  # executors in a row that ended by a fault of their own
    lease_owner = models.CharField(max_length=100, blank=True)
    lease_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["group"],
                condition=Q(state__in=sorted(s.value for s in ACTIVE_RUN), gives_way_to=None),
                name="one_active_run_of_a_group",
            ),
            models.CheckConstraint(
                condition=Q(gives_way_to=None) | Q(state=RunState.PAUSED.value), name="who_gives_way_rests"
            ),
        ]

    def __str__(self) -> str:
        return f"run {self.pk} ({self.kind})"


class RunImage(models.Model):
    """The images that a run holds. While ``held``, no other run may hold the same image (I12)."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="images")
    image = models.ForeignKey(MirroredImage, on_delete=models.PROTECT, related_name="runs")
    held = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["image"], condition=Q(held=True), name="one_active_run_of_an_image")
        ]

    def __str__(self) -> str:
        return f"{self.image_id} in {self.run_id}"


class Step(models.Model):
    """The smallest recorded unit of a run.

    ``params``: what the act needs (pool, image, vm ids, names), fixed when the run was built.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps")
    key = models.CharField(max_length=200)
    position = models.PositiveIntegerField()
    kind = models.CharField(max_length=40)
    subject = models.CharField(max_length=300)
    vm_name = models.CharField(max_length=200, blank=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    needs = models.JSONField(default=list)
    params = models.JSONField(default=dict)
    state = models.CharField(
        max_length=20, choices=[(s.value, s.value) for s in StepState], default=StepState.PENDING.value
    )
    version = models.PositiveIntegerField(default=1)
    attempt = models.PositiveIntegerField(default=0)
    sentence = models.TextField(blank=True)
    skipped_by = models.CharField(max_length=150, blank=True)
    skip_reason = models.TextField(blank=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["run", "position"]
        constraints = [models.UniqueConstraint(fields=["run", "key"], name="one_step_of_a_key")]

    def __str__(self) -> str:
        return f"{self.key} of run {self.run_id}"


class GateCheck(models.Model):
    """The latest reading of one gate of one step, with the raw answers behind it."""

    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="gate_checks")
    gate = models.CharField(max_length=20)
    outcome = models.CharField(max_length=20)
    sentence = models.TextField()
    facts = models.JSONField(default=dict)
    remedy = models.TextField(blank=True)
    checked_at = models.DateTimeField()
    checks = models.PositiveIntegerField(default=1)
    answers = models.JSONField(default=list)  # [{command, host, exit_status, stdout, stderr, started_at, duration_s}]

    class Meta:
        constraints = [models.UniqueConstraint(fields=["step", "gate"], name="one_check_of_a_gate")]

    def __str__(self) -> str:
        return f"{self.gate} of {self.step_id}: {self.outcome}"


class StepAttempt(models.Model):
    """One attempt to act. The row is committed *before* the act (intent) and filled in after it (outcome).

    An attempt without ``finished_at`` whose run has lost its executor is the trace of a crash: its step is
    *unknown* until a probe.
    """

    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    operation_id = models.UUIDField(unique=True)
    fence = models.PositiveIntegerField()
    command = models.TextField()
    host = models.CharField(max_length=255)
    intent_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=40, blank=True)  # done | found_done | refused | unreachable | unknown | …
    exit_status = models.IntegerField(null=True)
    sentence = models.TextField(blank=True)
    answers = models.JSONField(default=list)

    class Meta:
        ordering = ["step", "number"]
        constraints = [models.UniqueConstraint(fields=["step", "number"], name="one_attempt_of_a_number")]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.step_id}"


from drportal.recovery.models_loss import MeasuredLoss as MeasuredLoss  # noqa: E402  (where Django looks for models)
from drportal.recovery.models_policy import PolicyChange as PolicyChange  # noqa: E402  (where Django looks for models)
from drportal.recovery.models_quarantine import Quarantine as Quarantine  # noqa: E402  (where Django looks for models)
from drportal.recovery.models_reviews import ReviewAct as ReviewAct  # noqa: E402  (where Django looks for models)
