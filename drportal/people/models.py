"""People's grants, personal tokens and sessions, passwords and codes that are being tried, secrets of second factors,
and reads that are paced.

Accounts are Django's own; what a role may do is in ``drportal.roles``; second factors and who is who at the identity
provider are django-allauth's (``Authenticator``, ``SocialAccount``).
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from drportal.roles import Role


class Grant(models.Model):
    """That a person holds a role: everywhere, or at one pair of sites, or for one plan. Written by ``grants.py``.

    A row is there as long as it was not taken back; what was taken is in the trail. ``until``: after that it counts for
    nothing. ``given_by`` is a name, as in the trail: it may be a command's, or of an account that is gone.
    """

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="grants")
    role = models.CharField(max_length=30, choices=[(role.value, role.value) for role in Role])
    pair = models.ForeignKey("inventory.SitePair", null=True, on_delete=models.CASCADE, related_name="+")
    plan = models.ForeignKey("recovery.RecoveryPlan", null=True, on_delete=models.CASCADE, related_name="+")
    given_by = models.CharField(max_length=150)
    given_at = models.DateTimeField()
    reason = models.TextField(blank=True)
    until = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(pair=None) | Q(plan=None), name="a_grant_has_one_scope"),
            models.UniqueConstraint(
                fields=["person", "role"], condition=Q(pair=None, plan=None), name="one_grant_everywhere"
            ),
            models.UniqueConstraint(
                fields=["person", "role", "pair"], condition=Q(pair__isnull=False), name="one_grant_at_a_pair"
            ),
            models.UniqueConstraint(
                fields=["person", "role", "plan"], condition=Q(plan__isnull=False), name="one_grant_for_a_plan"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} of {self.person_id}"


class ApiToken(models.Model):
    """A personal token for the API. Only its SHA-256 is kept; the token itself is shown once, when it is made.

    ``scope``: the permissions it may use, as far as its owner has them; null: all of its owner's.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True)
    scope = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.name} of {self.user_id}"


class PasswordAttempt(models.Model):
    """A password that was tried and was not right, or is just being looked at (``people/guessing.py``)."""

    username = models.CharField(max_length=150)
    address = models.CharField(max_length=100)
    at = models.DateTimeField(db_index=True)

    class Meta:
        indexes = [models.Index(fields=["address", "username"], name="attempts_from_address")]

    def __str__(self) -> str:
        return f"{self.username} from {self.address}"


class FactorSecret(models.Model):
    """The secret of a TOTP app or of recovery codes, sealed; the ``Authenticator`` keeps its number.

    A table of its own, so that another encryption key (``inventory/secrets.py``) reaches these too.
    """

    ciphertext = models.BinaryField()

    def __str__(self) -> str:
        return f"secret {self.pk} of a second factor"


class BrowserSession(models.Model):
    """From where somebody is signed in, for them to see. The session itself is Django's, under ``session_key``."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="browser_sessions")
    session_key = models.CharField(max_length=40, unique=True)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    address = models.CharField(max_length=100)
    agent = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return f"a session of {self.user_id}"


class PacedRead(models.Model):
    """The last read of its kind that somebody asked for (``people/paced.py``)."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="paced_reads")
    what = models.CharField(max_length=40)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "what"], name="one_paced_read_of_a_kind")]

    def __str__(self) -> str:
        return f"{self.what} of {self.user_id}"
