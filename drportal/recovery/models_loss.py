"""What was measured of a returned copy before anything of it was discarded. (Loaded by ``models.py``.)"""

from __future__ import annotations

from django.db import models

from drportal.engine.exact_loss import ExactLoss
from drportal.inventory.models import MirroredImage, Site


class MeasuredLoss(models.Model):
    """Of one image by one run. ``why``: it is not measurable; ``bound``: what was said before the forced promotion."""

    image = models.ForeignKey(MirroredImage, on_delete=models.CASCADE, related_name="measured_losses")
    run = models.ForeignKey("recovery.Run", on_delete=models.PROTECT, related_name="measured_losses")
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    entries = models.PositiveBigIntegerField(null=True)
    size_bytes = models.PositiveBigIntegerField(null=True)
    how = models.TextField(blank=True)
    why = models.TextField(blank=True)
    sentence = models.TextField()
    bound = models.TextField(blank=True)
    measured_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["run", "image"], name="one_loss_of_an_image_in_a_run")]

    def __str__(self) -> str:
        return self.sentence

    @property
    def loss(self) -> ExactLoss:
        return ExactLoss(self.entries, self.size_bytes, self.how, self.why)
