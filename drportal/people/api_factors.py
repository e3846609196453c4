"""A person's own second factors over HTTP."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Field, Router, Schema, Status

from drportal.api import asker, needs_session
from drportal.people import factors

router = Router()
OWN = needs_session(bare=True)
OWN_PROVED = needs_session(again=True, bare=True)


class Factor(Schema):
    """``type``: totp (an app that shows codes) or webauthn (a security key)."""

    id: int
    type: str
    name: str
    created_at: dt.datetime
    last_used_at: dt.datetime | None


class Factors(Schema):
    """``recovery_left``: recovery codes that were not used yet. ``demanded``: a role demands a second factor, and there
    is none: nothing else can be done."""

    items: list[Factor]
    recovery_left: int
    demanded: bool


class NewApp(Schema):
    """``picture``: a QR code as SVG, of ``address``."""

    secret: str
    address: str
    picture: str


class CodeIn(Schema):
    code: str = Field(min_length=1, max_length=40)


class KeyIn(Schema):
    """``answer``: what the browser made of the challenge (PublicKeyCredential.toJSON)."""

    name: str = Field(min_length=1, max_length=60)
    answer: dict[str, Any]


class NameIn(Schema):
    name: str = Field(min_length=1, max_length=60)


class Challenge(Schema):
    """For the browser: PublicKeyCredential.parse…OptionsFromJSON."""

    public_key: dict[str, Any]


class RecoveryCodes(Schema):
    """Shown this once; empty where there are some already."""

    recovery_codes: list[str]


@router.get("/factors", auth=OWN, response=Factors)
def factor_list(request: HttpRequest) -> Any:
    """Your second factors."""
    user = asker(request)
    rows = [row for row in factors.factors_of(user) if row.type != factors.Type.RECOVERY_CODES]
    fields = ("type", "created_at", "last_used_at")
    items = [
        {"id": row.pk, "name": factors.name_of(row), **{name: getattr(row, name) for name in fields}} for row in rows
    ]
    return {
        "items": items,
        "recovery_left": factors.recovery_left(user),
        "demanded": factors.factor_missing(user),
    }


@router.post("/factors/app/begin", auth=OWN_PROVED, response=NewApp)
def app_begin(request: HttpRequest, response: HttpResponse) -> Any:
    """A secret for an app that shows codes. It counts once ``/factors/app`` has seen a code of it."""
    response["Cache-Control"] = "no-store"
    return factors.totp_begin(request, asker(request))


@router.post("/factors/app", auth=OWN_PROVED, response={201: RecoveryCodes})
def app_add(request: HttpRequest, body: CodeIn, response: HttpResponse) -> Any:
    """The app's first code: from now on signing in asks for one. 422 ``wrong_code``."""
    response["Cache-Control"] = "no-store"
    return Status(201, {"recovery_codes": factors.totp_add(request, asker(request), body.code)})


@router.post("/factors/keys/begin", auth=OWN_PROVED, response=Challenge)
def key_begin(request: HttpRequest) -> Any:
    """What the browser hands to a new security key."""
    return {"public_key": factors.key_begin(asker(request))["publicKey"]}


@router.post("/factors/keys", auth=OWN_PROVED, response={201: RecoveryCodes})
def key_add(request: HttpRequest, body: KeyIn, response: HttpResponse) -> Any:
    """The new key's answer. 422 ``wrong_key``."""
    response["Cache-Control"] = "no-store"
    return Status(201, {"recovery_codes": factors.key_add(asker(request), body.name, body.answer)})


@router.patch("/factors/{int:factor_id}", auth=OWN, response={204: None})
def key_rename(request: HttpRequest, factor_id: int, body: NameIn) -> Any:
    """Another name for a key."""
    factors.key_rename(asker(request), factor_id, body.name)
    return Status(204, None)


@router.delete("/factors/{int:factor_id}", auth=OWN_PROVED, response={204: None})
def factor_remove(request: HttpRequest, factor_id: int) -> Any:
    """With the last one go the recovery codes. 403 ``last_factor`` where your role demands one."""
    factors.factor_remove(asker(request), factor_id)
    return Status(204, None)


@router.post("/factors/recovery-codes", auth=OWN_PROVED, response={201: RecoveryCodes})
def recovery_renew(request: HttpRequest, response: HttpResponse) -> Any:
    """New recovery codes; the old ones open nothing any more."""
    response["Cache-Control"] = "no-store"
    return Status(201, {"recovery_codes": factors.recovery_renew(asker(request))})
