"""What sites refused at their program's door. (Loaded by ``models.py``.)"""

from __future__ import annotations

from django.db import models

from drportal.inventory.models import Site


class RefusalRecord(models.Model):
    """How far a site has told what it refused. ``since``: with what to ask next. ``uncounted``: refused lines that no
    row counts; ``incomplete_at``: when it told last that it does not know all of them any more.
    """

    site = models.OneToOneField(Site, on_delete=models.CASCADE, related_name="refusal_record")
    since = models.BigIntegerField(default=0)
    begun_at = models.DateTimeField(null=True)  # when it told first: what was refused before is counted nowhere
    asked_at = models.DateTimeField(null=True)  # when it told last
    own_address = models.CharField(max_length=60, blank=True)  # where the site sees the portal come from
    uncounted = models.BigIntegerField(default=0)
    incomplete_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"refusals of {self.site_id} since {self.since}"


class RefusedRequests(models.Model):
    """Refused for one reason, to one key, from one address; ``strange``: this portal has not sent them."""

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="refused")
    code = models.CharField(max_length=40)
    rights = models.CharField(max_length=10)  # of the key: read or act; empty: an older program did not say
    address = models.CharField(max_length=60)  # empty: not over SSH, or not said
    strange = models.BooleanField()
    count = models.BigIntegerField()
    first_at = models.DateTimeField()  # by the site's clock
    last_at = models.DateTimeField()
    heard_at = models.DateTimeField()  # of the last of them, by the portal's
    text = models.CharField(max_length=200)  # of the last one; escaped (drivers/refusals.py)
    line = models.CharField(max_length=200)

    class Meta:
        ordering = ["-heard_at", "-last_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["site", "code", "rights", "address", "strange"], name="one_row_of_a_kind_of_refusal"
            )
        ]

    def __str__(self) -> str:
        return f"{self.count} × {self.code} at {self.site_id}"
