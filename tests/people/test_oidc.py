"""Sign-in by an identity provider: a real one, in a process of its own."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
from allauth.socialaccount.models import SocialAccount
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django.fixtures import Settings

from drportal.audit.models import AuditEntry
from drportal.people import oidc
from drportal.people.mapping import groups_in, issuer_named, roles_by_group, roles_named
from drportal.people.services import live_token, token_create
from drportal.roles import PEOPLE, Role
from tests.conftest import PASSWORD, Person, make_person
from tests.people.provider import CLIENT, OidcProvider, running
from tests.people.test_factors import code_of, set_up_app

GROUPS = {"dr-ops": (Role.OPERATOR,), "dr-leads": (Role.APPROVER, Role.MANAGER)}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    with running(tmp_path_factory.mktemp("provider") / "log") as provider:
        yield provider


@pytest.fixture
def provider(process: OidcProvider, settings: Settings, db: None) -> OidcProvider:
    settings.OIDC_ISSUER, settings.OIDC_NAME, settings.OIDC_ROLES = process.issuer, "Example ID", GROUPS
    for name, value in CLIENT.items():
        setattr(settings, name, value)
    process.says("sub-ines", preferred_username="ines", name="Ines Iversen", groups=["dr-ops", "canteen"])
    return process


def address_of(person: Person, **body: Any) -> str:
    answer = person.api("POST", "/session/oidc", body)
    assert answer.status_code == 200, answer.content
    return str(answer.json()["address"])


def come_back(person: Person, address: str) -> str:
    """To which page the portal sends on."""
    answer = person.get(address.partition("testserver")[2])
    assert answer.status_code == 302
    return answer["Location"]


def sign_in(provider: OidcProvider, subject: str = "sub-ines", person: Person | None = None, **body: Any) -> Person:
    person = person or Person(None)
    come_back(person, provider.sign_in(address_of(person, **body), subject))
    return person


def user_of(person: Person) -> dict[str, Any]:
    session = person.read("/session")
    assert session["authenticated"], session
    return dict(session["user"])


def refusal(person: Person) -> str:
    session = person.read("/session")
    assert not session["authenticated"]
    return str(session["refusal"])


def test_somebody_new_gets_an_account_with_the_roles_of_their_groups(provider: OidcProvider) -> None:
    person = Person(None)
    address = address_of(person, back_to="/runs?state=running")
    asked = parse_qs(urlsplit(address).query)
    assert asked["response_type"] == ["code"] and asked["code_challenge_method"] == ["S256"]
    assert len(asked["nonce"][0]) > 40 and len(asked["state"][0]) > 15
    assert come_back(person, provider.sign_in(address, "sub-ines")) == "/runs?state=running"
    user = user_of(person)
    assert (user["username"], user["name"], user["roles"]) == ("ines", "Ines Iversen", ["operator"])
    assert user["proofs"] == ["oidc"]
    assert user["sign_out_at"].startswith(f"{provider.issuer}/oauth2/end_session?client_id=dr-portal")
    made, started = (AuditEntry.objects.get(action=action) for action in ("person.add", "session.start"))
    given = AuditEntry.objects.get(action="grant.give")
    assert (given.actor, given.subject, given.payload["role"]) == ("portal", "ines", "operator")
    assert (made.action, made.actor, made.payload["subject"]) == ("person.add", "portal", "sub-ines")
    assert (started.action, started.actor) == ("session.start", "ines")
    assert started.payload["groups"] == ["dr-ops"], "what means nothing here is not kept"
    assert started.payload["roles"] == ["operator"] and started.payload["by"] == "oidc"
    assert not User.objects.get(username="ines").has_usable_password()


def test_roles_follow_the_groups_at_each_sign_in_for_every_session(provider: OidcProvider) -> None:
    first = sign_in(provider)
    provider.says("sub-ines", preferred_username="renamed", groups=["dr-leads"])
    assert user_of(sign_in(provider))["roles"] == ["approver", "manager"]
    assert user_of(first)["roles"] == ["approver", "manager"]
    assert user_of(first)["username"] == "ines", "in the trail a name is one person's"
    entry = AuditEntry.objects.get(action="person.roles")
    assert entry.payload["roles"] == {"before": ["operator"], "after": ["approver", "manager"]}
    assert entry.payload["groups"] == ["dr-leads"]


def test_without_a_group_nobody_gets_in_and_what_they_had_is_gone(provider: OidcProvider) -> None:
    before = sign_in(provider)
    provider.says("sub-ines", preferred_username="ines", groups=["canteen"])
    assert "None of your groups at Example ID gives you a role here" in refusal(sign_in(provider))
    assert user_of(before)["roles"] == []
    entry = AuditEntry.objects.get(action="request.refused")
    assert (entry.actor, entry.payload["code"]) == ("nobody", "no_group")
    assert before.api("GET", "/sites").status_code == 403


def test_without_a_group_a_viewer_where_that_is_set(provider: OidcProvider, settings: Settings) -> None:
    settings.OIDC_NO_GROUP = "viewer"
    provider.says("sub-otto", preferred_username="otto")
    assert user_of(sign_in(provider, "sub-otto"))["roles"] == ["viewer"]


def test_a_name_or_an_address_alone_gives_nobody_somebody_elses_account(provider: OidcProvider) -> None:
    anna = make_person("anna", Role.ADMINISTRATOR)
    User.objects.filter(username="anna").update(email="anna@example.org")
    claims = {"email": "anna@example.org", "email_verified": True, "groups": ["dr-ops"]}
    provider.says("sub-thief", preferred_username="anna", **claims)
    assert "There is an account anna already" in refusal(sign_in(provider, "sub-thief"))
    provider.says("sub-thief", preferred_username="Anna", **claims)
    assert "too like the name of anna" in refusal(sign_in(provider, "sub-thief"))
    provider.says("sub-thief", preferred_username="other", **claims)
    assert user_of(sign_in(provider, "sub-thief"))["username"] == "other"
    assert user_of(anna)["roles"] == ["administrator"]


def test_an_administrator_links_an_account_which_then_has_no_password(provider: OidcProvider) -> None:
    make_person("ines", Role.ADMINISTRATOR)
    call_command("person", "link", "ines", "--subject", "sub-ines")
    assert Person(None).api("POST", "/session", {"username": "ines", "password": PASSWORD}).status_code == 401
    assert user_of(sign_in(provider))["roles"] == ["operator"]
    with pytest.raises(CommandError, match="identity provider"):
        call_command("person", "password", "ines")
    with pytest.raises(CommandError, match="linked already"):
        call_command("person", "link", "ines", "--subject", "another")
    make_person("nightly", Role.SERVICE)
    with pytest.raises(CommandError, match="service account"):
        call_command("person", "link", "nightly", "--subject", "nightly")
    assert AuditEntry.objects.get(action="person.link").payload["subject"] == "sub-ines"


def test_the_same_subject_at_another_provider_is_somebody_else(provider: OidcProvider) -> None:
    sign_in(provider)
    SocialAccount.objects.update(provider="https://former.example.org")
    assert "There is an account ines already" in refusal(sign_in(provider))


def test_a_closed_account_stays_closed(provider: OidcProvider) -> None:
    sign_in(provider)
    User.objects.filter(username="ines").update(is_active=False)
    assert "The account ines is closed" in refusal(sign_in(provider))


def test_what_was_not_begun_in_this_browser_goes_nowhere(provider: OidcProvider) -> None:
    """Somebody else's code, put under one's pointer; and one's own a second time."""
    victim, thief = Person(None), Person(None)
    address_of(victim)
    lure = provider.sign_in(address_of(thief), "sub-ines")
    come_back(victim, lure)
    assert "was not begun in this browser" in refusal(victim)
    come_back(thief, lure)
    assert user_of(thief)["username"] == "ines"
    again = Person(None)
    back = provider.sign_in(address_of(again), "sub-ines")
    come_back(again, back)
    again.api("DELETE", "/session")
    come_back(again, back)
    assert again.read("/session")["authenticated"] is False


def test_a_code_of_another_sign_in_does_not_fit_the_verifier(provider: OidcProvider) -> None:
    thief, victim = Person(None), Person(None)
    stolen = parse_qs(urlsplit(provider.sign_in(address_of(victim), "sub-ines")).query)["code"][0]
    state = parse_qs(urlsplit(address_of(thief)).query)["state"][0]
    come_back(thief, "http://testserver/sign-in/oidc?" + urlencode({"code": stolen, "state": state}))
    assert "does not fit what it was asked" in refusal(thief)
    assert AuditEntry.objects.get(action="request.refused").payload["code"] == "not_believed"


def test_a_no_of_the_provider_is_said(provider: OidcProvider) -> None:
    person = Person(None)
    state = parse_qs(urlsplit(address_of(person)).query)["state"][0]
    query = urlencode({"error": "access_denied", "error_description": "<b>", "state": state})
    come_back(person, f"http://testserver/sign-in/oidc?{query}")
    assert refusal(person) == "Example ID refused (access_denied). You are not signed in."


@pytest.mark.parametrize("elsewhere", ["https://evil.example.org/", "//evil.example.org", "/\\evil.example.org", "x"])
def test_the_way_back_leads_to_a_page_of_ours(provider: OidcProvider, elsewhere: str) -> None:
    person = Person(None)
    assert come_back(person, provider.sign_in(address_of(person, back_to=elsewhere), "sub-ines")) == "/"


def test_a_provider_that_is_down_locks_out_nobody_who_has_a_password(
    provider: OidcProvider, operator: Person, settings: Settings
) -> None:
    settings.OIDC_ISSUER = "http://127.0.0.1:1"
    answer = Person(None).api("POST", "/session/oidc", {})
    assert (answer.status_code, answer.json()["code"]) == (503, "provider_unavailable")
    assert "accounts, with a password, do not need it" in answer.json()["detail"]
    assert Person(None).api("POST", "/session", {"username": "operator", "password": PASSWORD}).status_code == 200


def test_a_provider_that_calls_itself_otherwise_is_not_believed(provider: OidcProvider, settings: Settings) -> None:
    settings.OIDC_ISSUER = f"{provider.issuer}/"
    assert Person(None).api("POST", "/session/oidc", {}).json()["code"] == "provider_unavailable"


def test_where_none_is_set_up_there_is_none(stranger: Person) -> None:
    assert stranger.read("/session")["oidc"] is None
    assert stranger.api("POST", "/session/oidc", {}).json()["code"] == "no_oidc"
    assert stranger.get("/sign-in/oidc?code=x&state=y")["Location"] == "/"
    assert not Session.objects.exists()
    assert stranger.post("/sign-in/oidc").status_code in {403, 405}


def test_a_second_factor_of_the_portal_is_asked_for_here_too(provider: OidcProvider) -> None:
    secret, _ = set_up_app(sign_in(provider))
    person = sign_in(provider)
    assert person.read("/session")["second_factor"] == {"username": "ines", "ways": ["code"]}
    assert person.api("POST", "/session/factor", {"code": code_of(secret)}).status_code == 200
    assert user_of(person)["sign_out_at"]


# --- how long


def test_the_session_ends_by_itself_however_it_is_used(
    provider: OidcProvider, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = sign_in(provider)
    moment = timezone.now() + settings.OIDC_SESSION - dt.timedelta(minutes=1)
    monkeypatch.setattr(timezone, "now", lambda: moment)
    assert user_of(person)
    session = person.session
    session["touched"] = 1  # as giving the proof again does
    session.save()
    moment += dt.timedelta(minutes=2)
    assert person.read("/session")["authenticated"] is False


def test_a_token_rests_when_its_owner_has_not_signed_in_for_long(provider: OidcProvider, settings: Settings) -> None:
    sign_in(provider)
    token = token_create(User.objects.get(username="ines"), "mine", 366)[1]
    assert live_token(token)
    SocialAccount.objects.update(last_login=timezone.now() - settings.OIDC_TOKENS - dt.timedelta(seconds=1))
    assert live_token(token) is None
    sign_in(provider)
    assert live_token(token)


# --- showing again that it is you


def later(person: Person) -> Person:
    session = person.session
    session["proved_at"] = 0.0
    session.save()
    return person


def test_who_has_no_password_signs_in_there_again(provider: OidcProvider) -> None:
    person = later(sign_in(provider))
    assert person.api("POST", "/tokens", {"name": "x", "days": 1}).json()["code"] == "password_again"
    assert person.api("POST", "/session/proof", {"password": ""}).json()["code"] == "proof_needed"
    asked = address_of(person, again=True, back_to="/account")
    assert {name: parse_qs(urlsplit(asked).query)[name] for name in ("prompt", "max_age")} == {
        "prompt": ["login"],
        "max_age": ["0"],
    }
    assert come_back(person, provider.sign_in(asked, "sub-ines")) == "/account"
    assert person.api("POST", "/tokens", {"name": "x", "days": 1}).status_code == 201
    assert AuditEntry.objects.filter(action="session.proved", actor="ines").get().payload == {"by": "oidc"}


def test_somebody_else_there_is_not_you(provider: OidcProvider) -> None:
    provider.says("sub-otto", preferred_username="otto", groups=["dr-ops"])
    person = later(sign_in(provider))
    come_back(person, provider.sign_in(address_of(person, again=True), "sub-otto"))
    session = person.read("/session")
    assert session["user"]["username"] == "ines" and "Somebody else signed in there" in session["refusal"]
    assert person.api("POST", "/tokens", {"name": "x", "days": 1}).json()["code"] == "password_again"


def test_a_provider_that_did_not_ask_anew_proves_nothing(
    provider: OidcProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = later(sign_in(provider))
    whole = oidc.claims_of
    monkeypatch.setattr(oidc, "claims_of", lambda *given: {**whole(*given), "auth_time": time.time() - 3600})
    come_back(person, provider.sign_in(address_of(person, again=True), "sub-ines"))
    assert "did not ask you anew" in person.read("/session")["refusal"]
    assert person.api("POST", "/tokens", {"name": "x", "days": 1}).json()["code"] == "password_again"


@pytest.mark.parametrize("said", [None, 0, 3600.0, -1e12])
def test_a_sign_in_proves_as_much_as_the_provider_says_when_it_was(
    provider: OidcProvider, monkeypatch: pytest.MonkeyPatch, said: float | None
) -> None:
    """``said``: seconds before now. In the future counts as now, and not for ever."""
    whole = oidc.claims_of
    auth_time = None if said is None else time.time() - said
    monkeypatch.setattr(oidc, "claims_of", lambda *given: {**whole(*given), "auth_time": auth_time})
    person = sign_in(provider)
    answer = person.api("POST", "/tokens", {"name": "x", "days": 1})
    assert (answer.status_code == 201) == (said in {0, -1e12}), answer.content
    moment = timezone.now() + dt.timedelta(minutes=16)
    monkeypatch.setattr(timezone, "now", lambda: moment)
    assert person.api("POST", "/tokens", {"name": "y", "days": 1}).json()["code"] == "password_again"


def test_who_does_not_come_from_there_is_not_sent_there(provider: OidcProvider, operator: Person) -> None:
    assert operator.api("POST", "/session/oidc", {"again": True}).json()["code"] == "not_of_provider"
    assert Person(None).api("POST", "/session/oidc", {"again": True}).status_code == 401


# --- what is believed of a token

KEY, OTHER = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
ISSUER = "https://id.example.org"
CLAIMS = {"iss": ISSUER, "aud": "dr-portal", "sub": "s", "nonce": "n"}


class Keys:
    """The provider's keys, as its page of keys has them."""

    def __enter__(self) -> Keys:
        return self

    def __exit__(self, *_: object) -> None: ...
    def raise_for_status(self) -> None: ...
    def get(self, address: str) -> Keys:
        return self

    def json(self) -> dict[str, Any]:
        key = jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
        return {"keys": [{**key, "kid": "k", "use": "sig", "alg": "RS256"}]}


IN_2100 = 4_102_444_800


def token(key: Any = KEY, algorithm: str = "RS256", kid: str = "k", **claims: Any) -> str:
    now = time.time()
    said = {**CLAIMS, "iat": now, "exp": now + 60, **claims}
    kept = {name: value for name, value in said.items() if value is not None}
    return jwt.encode(kept, key, algorithm=algorithm, headers={"kid": kid})


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID = ISSUER, "dr-portal"
    monkeypatch.setattr("allauth.socialaccount.adapter.DefaultSocialAccountAdapter.get_requests_session", Keys)


def test_a_whole_token_is_believed_also_when_the_clocks_differ_a_little(keys: None) -> None:
    assert oidc.claims_of(token(), "x", "n")["sub"] == "s"
    assert oidc.claims_of(token(iat=time.time() + 30, exp=time.time() - 30), "x", "n")["sub"] == "s"
    assert oidc.claims_of(token(aud=["dr-portal", "other"], azp="dr-portal"), "x", "n")["sub"] == "s"


@pytest.mark.parametrize(
    "made",
    [
        {"key": OTHER}, {"key": "planted-31c9-oidc-planted-31c9-oidc", "algorithm": "HS256"},
        {"key": None, "algorithm": "none"}, {"kid": "unknown"}, {"nonce": "other"}, {"nonce": None},
        {"aud": "other"}, {"iss": "https://other.example.org"}, {"exp": 1}, {"exp": None}, {"sub": None},
        {"aud": ["dr-portal", "other"], "azp": "other"}, {"iat": IN_2100},
    ],
    ids=[
        "key of another", "signed with the secret", "not signed", "unknown key", "other nonce", "no nonce",
        "other client", "other issuer", "over", "no end", "nobody", "for another too", "made in the future",
    ],
)  # fmt: skip
def test_any_other_is_not(keys: None, made: dict[str, Any]) -> None:
    with pytest.raises(oidc.UNFIT):
        oidc.claims_of(token(**made), "x", "n")


# --- the settings


def test_groups_and_roles_are_read_from_yaml() -> None:
    assert roles_by_group("dr-ops: operator\ndr-leads: [approver, manager]\n") == GROUPS
    assert roles_by_group("") == {}
    assert roles_named(" approver , manager ") == {Role.APPROVER, Role.MANAGER}
    for wrong in ("a: service-account", "a: boss", "- a", "a: [", "a: [[operator]]"):
        with pytest.raises(ImproperlyConfigured):
            roles_by_group(wrong)
    with pytest.raises(ImproperlyConfigured, match=", ".join(PEOPLE)):
        roles_named("boss")


@pytest.mark.parametrize("issuer", ["http://id.example.org", "id.example.org", "https://id.example.org/?a", "ftp://x"])
def test_an_issuer_needs_tls(issuer: str) -> None:
    assert issuer_named("https://id.example.org/realms/x") == "https://id.example.org/realms/x"
    with pytest.raises(ImproperlyConfigured):
        issuer_named(issuer)


def test_groups_are_found_where_the_provider_puts_them() -> None:
    assert groups_in({"groups": ["a", "b"]}, "groups") == ["a", "b"]
    assert groups_in({"realm_access": {"roles": ["a"]}}, "realm_access.roles") == ["a"]
    assert groups_in({"https://x.example.org/groups": ["a"]}, "https://x.example.org/groups") == ["a"]
    assert groups_in({"groups": "a"}, "groups") == ["a"]
    for odd in ({}, {"groups": 7}, {"groups": [7, None]}, {"groups": {"a": 1}}):
        assert groups_in(odd, "groups") == []
