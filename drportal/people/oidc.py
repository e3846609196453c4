"""The way to an identity provider (OpenID Connect) and back: authorization code with state, nonce and PKCE.

The requests are django-allauth's; what is believed of the answers is decided here. Whose account it is: ``identities``.
"""

from __future__ import annotations

import secrets
import time
from typing import Any
from urllib.parse import urlencode

import jwt
import requests
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.internal import statekit
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponseRedirect
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET

from drportal.audit.record import record, refusal_record
from drportal.errors import Conflict, Forbidden, NotFound, PortalError
from drportal.people.identities import NOT_SIGNED_IN, Identity, account_of, account_ready, is_of_provider
from drportal.people.proof import FRESH_AT, PROVED_AT
from drportal.people.second_step import REFUSAL, address_of, welcome
from drportal.people.services import NOBODY

PROVIDER = "oidc"
CALLBACK = "/sign-in/oidc"
LEEWAY_S = 60  # between the clocks
# No "none", and no key that the portal shares with the provider: who knows the client's secret could sign as anybody.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
UNFIT = (OAuth2Error, jwt.PyJWTError, ValueError, LookupError, TypeError, AttributeError)


class ProviderUnavailable(PortalError):
    status = 503
    code = "provider_unavailable"


class Provider(OpenIDConnectOAuth2Adapter):
    """The one that the settings name."""

    def get_provider(self) -> OpenIDConnectProvider:
        known = {
            "server_url": settings.OIDC_ISSUER.rstrip("/"),
            "scope": settings.OIDC_SCOPES,
            "oauth_pkce_enabled": True,
        }
        client = {"client_id": settings.OIDC_CLIENT_ID, "secret": settings.OIDC_CLIENT_SECRET}
        app = SocialApp(provider="openid_connect", provider_id=PROVIDER, settings=known, **client)
        return OpenIDConnectProvider(self.request, app=app)

    def get_callback_url(self, request: HttpRequest, app: SocialApp) -> str:
        if settings.PUBLIC_URL:
            return str(settings.PUBLIC_URL).rstrip("/") + CALLBACK
        return str(request.build_absolute_uri(CALLBACK))

    def described(self) -> dict[str, Any]:
        """Its own description of itself, which must be of the one that is meant."""
        said: dict[str, Any] = self.openid_config
        if said.get("issuer") != settings.OIDC_ISSUER:
            raise OAuth2Error("it calls itself by another name")
        return said


def begin(request: HttpRequest, back_to: str, *, again: User | None) -> str:
    """The provider's address to go to.

    ``again``: for somebody who is signed in and is to show that it is still them; the provider has to ask anew.
    Raises ProviderUnavailable, NotFound, Conflict.
    """
    if not settings.OIDC_ISSUER:
        raise NotFound("No identity provider is set up here.", code="no_oidc")
    if again is not None and not is_of_provider(again):
        raise Conflict("You do not sign in at the identity provider. Nothing was begun.", code="not_of_provider")
    try:
        provider = Provider(request, PROVIDER)
        authorize = provider.described()["authorization_endpoint"]
        known = provider.get_provider()
        more = {"nonce": secrets.token_urlsafe(32), **known.get_pkce_params()}
        state = {"verifier": more.pop("code_verifier"), "nonce": more["nonce"], "back_to": local(back_to)}
        if again is not None:
            state |= {"again": again.pk, "begun": time.time()}
            more |= {"prompt": "login", "max_age": "0"}
        client = provider.get_client(request, known.app)
        client.state = statekit.stash_state(request, provider_id=PROVIDER, state=state)
        return str(client.get_redirect_url(authorize, known.get_scope(), more))
    except (*UNFIT, requests.RequestException) as error:
        raise unavailable(error) from error


def unavailable(error: Exception) -> ProviderUnavailable:
    return ProviderUnavailable(
        f"{settings.OIDC_NAME} did not answer as it should ({type(error).__name__}). {NOT_SIGNED_IN} "
        "The portal's own accounts, with a password, do not need it."
    )


def local(address: str) -> str:
    """A page of ours, whatever was asked for."""
    ours = address.startswith("/") and url_has_allowed_host_and_scheme(address, allowed_hosts=None)
    return address if ours else "/"


@require_GET
def callback(request: HttpRequest) -> HttpResponseRedirect:
    """Where the provider sends the browser back to. Always on to a page; a refusal is shown there, and in the trail."""
    asked = request.GET.get("state", "")
    state = statekit.unstash_state(request, provider_id=PROVIDER, state_id=asked) if settings.OIDC_ISSUER else None
    try:
        if state is None:
            raise Forbidden(f"That was not begun in this browser, or too long ago. {NOT_SIGNED_IN}", code="state")
        identity = identify(request, state)
        if "again" in state:
            _again(request, state, identity)
        else:
            user, facts = account_ready(identity)
            welcome(request, user, facts, proved_at=identity.auth_time, sign_out_at=identity.sign_out_at)
    except PortalError as error:
        facts = {"status": error.status, "code": error.code, "detail": error.detail}
        refusal_record(NOBODY, f"sign-in by OIDC from {address_of(request)}", facts)
        if request.session.session_key:  # a stranger's made-up address must not make a session each time
            request.session[REFUSAL] = error.detail
    return HttpResponseRedirect(state["back_to"] if state else "/")


def identify(request: HttpRequest, state: dict[str, Any]) -> Identity:
    """Exchange the code, and believe only what fits all that was asked. Raises Forbidden, ProviderUnavailable."""
    if "code" not in request.GET:
        said = "".join(one for one in request.GET.get("error", "")[:40] if one.isalnum() or one == "_")
        raise Forbidden(f"{settings.OIDC_NAME} refused ({said or 'no reason given'}). {NOT_SIGNED_IN}", code="refused")
    try:
        provider = Provider(request, PROVIDER)
        described = provider.described()
        app = provider.get_provider().app
        client = provider.get_client(request, app)
        answer = provider.get_access_token_data(request, app, client, pkce_code_verifier=state["verifier"])
        claims = claims_of(answer["id_token"], described["jwks_uri"], state["nonce"])
        more = provider._fetch_user_info(answer["access_token"]) if described.get("userinfo_endpoint") else {}
        if more and more.get("sub") != claims["sub"]:
            raise OAuth2Error("its two answers are about two people")
        return Identity(
            subject=str(claims["sub"]),
            claims={**more, **claims},
            # One in the future would be a proof that never grows old.
            auth_time=min(float(claims.get("auth_time") or 0.0), time.time()),
            sign_out_at=sign_out_address(described, client.callback_url),
        )
    except requests.RequestException as error:
        raise unavailable(error) from error
    except UNFIT as error:
        said = f"What {settings.OIDC_NAME} answered does not fit what it was asked ({type(error).__name__})."
        raise Forbidden(f"{said} {NOT_SIGNED_IN}", code="not_believed") from error


def claims_of(id_token: str, keys_address: str, nonce: str) -> dict[str, Any]:
    """What the token says, once its signature, issuer, audience, times and nonce are right."""
    with get_adapter().get_requests_session() as session:
        answer = session.get(keys_address)
        answer.raise_for_status()
        keys = jwt.PyJWKSet.from_dict(answer.json()).keys
    named = jwt.get_unverified_header(id_token).get("kid")
    fitting = [key for key in keys if key.key_id == named] if named else keys
    if len(fitting) != 1:
        raise OAuth2Error("no key, or several, for its signature")
    claims: dict[str, Any] = jwt.decode(
        id_token,
        fitting[0].key,
        algorithms=ALGORITHMS,
        audience=settings.OIDC_CLIENT_ID,
        issuer=settings.OIDC_ISSUER,
        leeway=LEEWAY_S,
        options={"require": ["iss", "sub", "aud", "exp", "iat"]},
    )
    if not secrets.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise OAuth2Error("another nonce")
    if claims.get("azp", settings.OIDC_CLIENT_ID) != settings.OIDC_CLIENT_ID:
        raise OAuth2Error("meant for somebody else")
    return claims


def sign_out_address(described: dict[str, Any], came_back_to: str) -> str:
    """Where the person signs out at the provider as well, if it has such a place."""
    address = str(described.get("end_session_endpoint") or "")
    if not address.startswith(("https://", "http://")):
        return ""
    ours = came_back_to.removesuffix(CALLBACK) + "/"
    query = urlencode({"client_id": settings.OIDC_CLIENT_ID, "post_logout_redirect_uri": ours})
    return f"{address}{'&' if '?' in address else '?'}{query}"


def _again(request: HttpRequest, state: dict[str, Any], identity: Identity) -> None:
    """The same person, asked anew by the provider since this was begun: it says when."""
    user = request.user
    if not isinstance(user, User) or user.pk != state["again"] or account_of(identity) != user:
        raise Forbidden("Somebody else signed in there than here. Nothing was changed.", code="somebody_else")
    if identity.auth_time < state["begun"] - LEEWAY_S:
        said = f"{settings.OIDC_NAME} did not ask you anew, or does not say when it did. Nothing was changed."
        raise Forbidden(f"{said} Set up a second factor on the page Account.", code="not_fresh")
    now = timezone.now().timestamp()
    request.session.pop(REFUSAL, None)
    request.session[PROVED_AT] = request.session[FRESH_AT] = now
    with transaction.atomic():
        record("session.proved", user.username, {"by": "oidc"}, actor=user.username)
