"""The policy in force: settings that say what people may do and what is defended, in the trail whenever they change.

Settings come from the environment, where no service sees a change; so each process looks at its start.
"""

from __future__ import annotations

import hashlib
import logging

from django.conf import settings
from django.db import DatabaseError, transaction

from drportal.audit import anchors
from drportal.audit.models import AuditEntry
from drportal.audit.record import lock_chain, plain, record
from drportal.audit.signing import NoSigningKey, public_key
from drportal.audit.verify import canonical

ACTION, ACTOR = "policy.in_force", "portal"
logger = logging.getLogger(__name__)


def policy_in_force() -> dict[str, object]:
    """Never a secret: of keys only the public one and how many there are."""
    try:
        key: str | None = public_key()
    except NoSigningKey:
        key = None
    return {
        "version": settings.VERSION,
        "approvals_needed": settings.APPROVALS_NEEDED,
        "approval_minutes": settings.APPROVAL_MINUTES,
        "break_glass": settings.BREAK_GLASS,
        "least_fence_rung": settings.LEAST_FENCE_RUNG,
        "anchors": [anchors.shown(place) for place in anchors.places()],
        "anchor_interval_s": settings.ANCHOR_INTERVAL_S,
        "export_key": key,
        "encryption_keys": len(settings.ENCRYPTION_KEYS),
        "https": settings.HTTPS,
        "allowed_hosts": settings.ALLOWED_HOSTS,
        "trusted_origins": settings.CSRF_TRUSTED_ORIGINS,
        "trusted_proxies": settings.TRUSTED_PROXIES,
        "session_s": settings.SESSION_COOKIE_AGE,
        "second_factor_demanded_of": sorted(settings.REQUIRE_MFA),
        "oidc": {
            "issuer": settings.OIDC_ISSUER,
            "client_id": settings.OIDC_CLIENT_ID,
            "groups_claim": settings.OIDC_GROUPS_CLAIM,
            "roles": settings.OIDC_ROLES,
            "no_group": settings.OIDC_NO_GROUP,
            "session_s": settings.OIDC_SESSION.total_seconds(),
            "tokens_s": settings.OIDC_TOKENS.total_seconds(),
        },
        "discover_minutes": settings.DISCOVER_MINUTES,
        "debug": settings.DEBUG,
        "demo": settings.DEMO,
    }


def policy_noted(process: str) -> bool:
    """Put the policy into the trail where it is not the one that this kind of process ("web") noted last. A database
    that cannot be written does not keep the process from starting."""
    try:
        with transaction.atomic():
            lock_chain()
            policy = plain(policy_in_force())
            last = AuditEntry.objects.filter(action=ACTION, subject=process).order_by("-seq").first()
            before = last.payload["policy"] if last else {}
            if before == policy:
                return False
            changed = {
                name: {"before": before.get(name), "after": policy.get(name)}
                for name in sorted({*before, *policy})
                if last and before.get(name) != policy.get(name)
            }
            fingerprint = hashlib.sha256(canonical(policy)).hexdigest()
            record(ACTION, process, {"fingerprint": fingerprint, "policy": policy, "changed": changed}, actor=ACTOR)
    except DatabaseError:
        logger.exception("the policy in force was not noted in the trail")
        return False
    return True
