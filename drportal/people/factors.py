"""Second factors: an app that shows codes (TOTP), security keys (WebAuthn), and recovery codes for when those are lost.

The tables and the arithmetic are django-allauth's; its pages and its own sign-in are not used
(docs/adr/0025-sign-in.md). A service account has none: it has tokens and no session.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from allauth.mfa.utils import decrypt
from allauth.mfa.webauthn.internal import auth as webauthn
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from drportal.audit.record import record
from drportal.errors import Conflict, Forbidden, Invalid, NotFound
from drportal.people.guessing import A_CODE, A_KEY, counted_attempt
from drportal.people.models import FactorSecret
from drportal.people.rights import live_grants
from drportal.roles import Role
from drportal.sealing import seal, unseal

Type = Authenticator.Type
NEW_TOTP = "new_totp"  # in the session: the sealed secret of an app that is being set up
MOST_KEYS = 10
# What a made-up answer of a key can raise inside the parts that read it.
UNREADABLE = (ValidationError, ValueError, TypeError, LookupError, AttributeError, struct.error)


class FactorAdapter(DefaultMFAAdapter):
    """What django-allauth asks the portal."""

    def encrypt(self, text: str) -> str:
        return str(FactorSecret.objects.create(ciphertext=seal(text.encode())).pk)

    def decrypt(self, encrypted_text: str) -> str:
        return unseal(bytes(FactorSecret.objects.get(pk=int(encrypted_text)).ciphertext)).decode()

    def get_totp_issuer(self) -> str:
        return f"DR Portal ({self.host()})"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """A key works for the host's name that it was added under, and for no other."""
        return {"id": self.host(), "name": "DR Portal"}

    @staticmethod
    def host() -> str:
        return urlsplit(settings.PUBLIC_URL).hostname or context.request.get_host().partition(":")[0]


def factors_of(user: User) -> list[Authenticator]:
    return list(Authenticator.objects.filter(user=user).order_by("pk"))


def has_factor(user: User) -> bool:
    """Recovery codes alone are none: they go with the last of the others."""
    return bool(Authenticator.objects.filter(user=user).exclude(type=Type.RECOVERY_CODES).exists())


def factor_missing(user: User) -> bool:
    """Whether a role of the person demands a second factor (``DRPORTAL_REQUIRE_MFA``), and there is none: then the only
    thing they may do is set one up."""
    if not settings.REQUIRE_MFA:
        return False
    held = set(live_grants().filter(person=user).values_list("role", flat=True))
    return Role.SERVICE not in held and bool(held & settings.REQUIRE_MFA) and not has_factor(user)


def ways_of(user: User) -> list[str]:
    """What can be given as a second factor: code (of an app, or a recovery code), key."""
    types = set(Authenticator.objects.filter(user=user).values_list("type", flat=True))
    return [way for way, of in (("code", {Type.TOTP, Type.RECOVERY_CODES}), ("key", {Type.WEBAUTHN})) if types & of]


# --- looking at one


def code_right(user: User, code: str) -> str | None:
    """Which factor the code is of, if it is right. Counted like a guess (TooManyAttempts), whatever the address: who
    gets as far as a code has the password already."""
    with counted_attempt(user.username, A_CODE) as attempt:
        found = _factor_of_code(user, "".join(code.split()))
        attempt.right = found is not None
    return found


def _factor_of_code(user: User, code: str) -> str | None:
    with transaction.atomic():
        rows = Authenticator.objects.select_for_update().filter(user=user).order_by("-type")
        for row in rows:
            if row.type == Type.TOTP and _totp_fits(row, code):
                return str(row.type)
            if row.type == Type.RECOVERY_CODES and RecoveryCodes(row).validate_code(code):
                Authenticator.objects.filter(pk=row.pk).update(last_used_at=timezone.now())
                left = len(RecoveryCodes(Authenticator.objects.get(pk=row.pk)).get_unused_codes())
                record("factor.recovery_used", user.username, {"left": left}, actor=user.username)
                return str(row.type)
    return None


def _totp_fits(row: Authenticator, code: str) -> bool:
    """And counts once. django-allauth remembers used codes in a cache, which every process has for itself."""
    counter = counter_of(decrypt(row.data["secret"]), code)
    if counter is None or counter <= row.data.get("last_counter", -1):
        return False
    row.data["last_counter"], row.last_used_at = counter, timezone.now()
    row.save(update_fields=["data", "last_used_at"])
    return True


def counter_of(secret: str, code: str) -> int | None:
    """Of which half minute the code is; None when of none near now."""
    for counter in totp.yield_hotp_counters_from_time():
        shown = totp.format_hotp_value(totp.hotp_value(secret, counter))
        if hmac.compare_digest(shown.encode(), code.encode()):
            return int(counter)
    return None


def key_challenge(user: User) -> dict[str, Any]:
    """What the browser hands to the person's keys; its secret half is kept in the session."""
    if "key" not in ways_of(user):
        raise Conflict("There is no security key on this account. Use a code.", code="no_key")
    return dict(webauthn.begin_authentication(user))


def key_right(user: User, answer: Mapping[str, Any]) -> bool:
    """Whether it is one of the person's keys that answers the last challenge, which counts once. Nobody guesses one;
    it is counted so that nobody fills the trail either."""
    with counted_attempt(user.username, A_KEY) as attempt:
        attempt.right = _tried(lambda: _key_answers(user, dict(answer)))
    return attempt.right


def _key_answers(user: User, answer: dict[str, Any]) -> bool:
    webauthn.parse_authentication_response(answer)
    webauthn.complete_authentication(user, answer).record_usage()
    return True


def _tried(look: Callable[[], bool]) -> bool:
    try:
        return look()
    except UNREADABLE:
        return False
    finally:
        webauthn.clear_state()


# --- adding and removing


def totp_begin(request: HttpRequest, user: User) -> dict[str, str]:
    """A secret for an app: as text, as the address in the QR code, and as its picture (SVG). Nothing is kept yet."""
    if Authenticator.objects.filter(user=user, type=Type.TOTP).exists():
        raise Conflict("You have an app already. Remove it first; nothing was changed.", code="totp_exists")
    secret = totp.generate_totp_secret()
    request.session[NEW_TOTP] = seal(secret.encode()).decode()
    adapter = FactorAdapter()
    address = adapter.build_totp_url(user, secret)
    return {"secret": secret, "address": address, "picture": adapter.build_totp_svg(address)}


def totp_add(request: HttpRequest, user: User, code: str) -> list[str]:
    """The app shows the right code: from now on signing in asks for one. Recovery codes, if these are the first."""
    sealed = request.session.get(NEW_TOTP)
    if sealed is None:
        raise Conflict("No app is being set up here (any more). Begin again.", code="not_begun")
    secret = unseal(sealed.encode()).decode()
    with counted_attempt(user.username, A_CODE) as attempt:
        counter = counter_of(secret, "".join(code.split()))
        attempt.right = counter is not None
    if counter is None:
        with transaction.atomic():
            record("factor.not_added", user.username, {"type": Type.TOTP}, actor=user.username)
        raise Invalid(
            "The code is not the one that the app should show now. Nothing was added. Is the telephone's clock right?",
            code="wrong_code",
        )
    with transaction.atomic():
        _one_at_a_time(user)
        if Authenticator.objects.filter(user=user, type=Type.TOTP).exists():
            raise Conflict("You have an app already. Nothing was changed.", code="totp_exists")
        made = totp.TOTP.activate(user, secret).instance
        made.data["last_counter"] = counter
        made.save(update_fields=["data"])
        codes = _added(user, made, "app")
    del request.session[NEW_TOTP]
    return codes


def key_begin(user: User) -> dict[str, Any]:
    """What the browser hands to a new key."""
    if Authenticator.objects.filter(user=user, type=Type.WEBAUTHN).count() >= MOST_KEYS:
        raise Conflict(f"You have {MOST_KEYS} keys, and more are not kept. Remove one first.", code="too_many_keys")
    return dict(webauthn.begin_registration(user, passwordless=False))


def key_add(user: User, name: str, answer: Mapping[str, Any]) -> list[str]:
    """As ``totp_add``, for a key."""
    credential = dict(answer)

    def look() -> bool:
        webauthn.parse_registration_response(credential)
        return webauthn.complete_registration(credential).credential_data is not None

    if not _tried(look):
        with transaction.atomic():
            record("factor.not_added", user.username, {"type": Type.WEBAUTHN}, actor=user.username)
        raise Invalid(
            "The key's answer does not fit what it was asked. Nothing was added. Try again.", code="wrong_key"
        )
    with transaction.atomic():
        _one_at_a_time(user)
        return _added(user, webauthn.WebAuthn.add(user, name, credential).instance, name)


def _one_at_a_time(user: User) -> None:
    User.objects.select_for_update().get(pk=user.pk)


def _added(user: User, made: Authenticator, name: str) -> list[str]:
    """In the trail; and the recovery codes, where there were none."""
    first = not Authenticator.objects.filter(user=user, type=Type.RECOVERY_CODES).exists()
    codes: list[str] = RecoveryCodes.activate(user).generate_codes() if first else []
    facts = {"factor_id": made.pk, "type": made.type, "name": name}
    record("factor.add", user.username, facts, actor=user.username)
    return codes


def recovery_renew(user: User) -> list[str]:
    """New recovery codes; the old ones open nothing any more."""
    if not has_factor(user):
        raise Conflict("Recovery codes stand in for an app or a key, and you have neither.", code="no_factor")
    with transaction.atomic():
        _one_at_a_time(user)
        for row in Authenticator.objects.filter(user=user, type=Type.RECOVERY_CODES):
            _drop(row)
        codes: list[str] = RecoveryCodes.activate(user).generate_codes()
        record("factor.recovery_renewed", user.username, {}, actor=user.username)
    return codes


def _own(user: User, factor_id: int) -> Authenticator:
    row = Authenticator.objects.filter(user=user, pk=factor_id).exclude(type=Type.RECOVERY_CODES).first()
    if row is None:
        raise NotFound("You have no such second factor (any more).")
    return row


def key_rename(user: User, factor_id: int, name: str) -> None:
    with transaction.atomic():
        row = _own(user, factor_id)
        if row.type != Type.WEBAUTHN:
            raise Invalid("Only keys have names. Nothing was changed.", code="not_a_key")
        facts = {"factor_id": row.pk, "before": name_of(row), "after": name}
        row.data["name"] = name
        row.save(update_fields=["data"])
        record("factor.rename", user.username, facts, actor=user.username)


def factor_remove(user: User, factor_id: int) -> None:
    """Raises NotFound, also for another person's; Forbidden for the last one where a role demands one."""
    with transaction.atomic():
        _one_at_a_time(user)
        row = _own(user, factor_id)
        facts = {"factor_id": row.pk, "type": row.type, "name": name_of(row)}
        _drop(row)
        if factor_missing(user):
            raise Forbidden(
                "Your role demands a second factor. Add another one first; it was not removed.", code="last_factor"
            )
        if not has_factor(user):
            for codes in Authenticator.objects.filter(user=user):
                _drop(codes)
        record("factor.remove", user.username, facts, actor=user.username)


def factors_remove_all(user: User, actor: str) -> int:
    """For somebody who has lost them; how many there were. Their sessions are the caller's to end."""
    with transaction.atomic():
        rows = factors_of(user)
        for row in rows:
            _drop(row)
        named = [{"type": row.type, "name": name_of(row)} for row in rows]
        record("factor.remove_all", user.username, {"removed": named}, actor=actor)
    return len(rows)


def _drop(row: Authenticator) -> None:
    """With its secret."""
    kept = [row.data[name] for name in ("secret", "seed") if name in row.data]
    row.delete()
    FactorSecret.objects.filter(pk__in=[int(one) for one in kept]).delete()


def name_of(row: Authenticator) -> str:
    if row.type == Type.WEBAUTHN:
        return str(row.data["name"])
    return "app" if row.type == Type.TOTP else "recovery codes"


def recovery_left(user: User) -> int:
    row = Authenticator.objects.filter(user=user, type=Type.RECOVERY_CODES).first()
    return len(RecoveryCodes(row).get_unused_codes()) if row else 0
