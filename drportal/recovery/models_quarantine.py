"""Return quarantine: the watch kept on a site that was absent during a disaster failover. (Loaded by ``models.py``.)"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from drportal.engine.quarantine import QuarantineState
from drportal.inventory.models import MirroredImage, Site


class Quarantine(models.Model):
    """Of one group at one lost site. Begun in the transaction that records the first forced promotion's intent.

    ``images``: those that the run forced elsewhere and whose copy at ``site`` is suspect still; ``signs``: what the
    last look that could see showed, worst first, ``[{kind, subject, sentence}]``. ``contact_at`` moves when the site
    falls silent and is heard of again: what was read before that proves nothing.
    """

    run = models.ForeignKey("recovery.Run", on_delete=models.PROTECT, related_name="quarantines")
    group = models.ForeignKey("recovery.ProtectionGroup", on_delete=models.PROTECT, related_name="quarantines")
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    images = models.ManyToManyField(MirroredImage, related_name="quarantines")
    begun_by = models.TextField()
    began_at = models.DateTimeField()
    first_contact_at = models.DateTimeField(null=True)
    contact_at = models.DateTimeField(null=True)  # null too while the site is silent again
    looked_at = models.DateTimeField(null=True)
    signs = models.JSONField(default=list)
    unread = models.PositiveIntegerField(default=0)  # images and VMs that were not read there since contact
    calm_since = models.DateTimeField(null=True)
    cleared_at = models.DateTimeField(null=True)
    cleared_by = models.ForeignKey("recovery.Run", null=True, on_delete=models.PROTECT, related_name="+")
    cleared_how = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["group", "site"], condition=Q(cleared_at=None), name="one_open_quarantine_of_a_group"
            )
        ]

    def __str__(self) -> str:
        return f"quarantine of {self.group_id} at {self.site_id}"

    @property
    def state(self) -> QuarantineState:
        if self.cleared_at is not None:
            return QuarantineState.CLEARED
        return QuarantineState.CONTACT if self.first_contact_at is not None else QuarantineState.WAITING
