"""Second factors by app and recovery codes. (Keys need a browser: tests/end_to_end/test_second_factor.py)"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import struct
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.apps import apps
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from drportal.audit.models import AuditEntry
from drportal.consumers import rights_of_session
from drportal.inventory.secrets import secrets_rotate
from drportal.people import guessing, second_step
from drportal.people.models import FactorSecret
from drportal.people.rights import Rights
from drportal.people.services import token_create
from drportal.roles import Role
from drportal.sealing import unseal
from tests.conftest import PASSWORD, Person, make_person

SIGN_IN = {"username": "operator", "password": PASSWORD}


def code_of(secret: str, shift: int = 0) -> str:
    """What an app shows: RFC 6238, computed here and not by the library that is tested. ``shift``: half minutes."""
    digest = hmac.new(
        base64.b32decode(secret), struct.pack(">Q", int(totp.time.time()) // 30 + shift), hashlib.sha1
    ).digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at : at + 4])[0] & 0x7FFFFFFF) % 10**6:06}"


def set_up_app(person: Person) -> tuple[str, list[str]]:
    """Secret and recovery codes. It takes a code of half a minute ago, so that the one of now can still be used."""
    begun = person.api("POST", "/factors/app/begin")
    assert begun.status_code == 200, begun.content
    secret = begun.json()["secret"]
    added = person.api("POST", "/factors/app", {"code": code_of(secret, -1)})
    assert added.status_code == 201, added.content
    return secret, added.json()["recovery_codes"]


def half_way(person: Person, sign_in: dict[str, str] = SIGN_IN) -> Person:
    answer = person.api("POST", "/session", sign_in)
    assert answer.status_code == 200, answer.content
    assert answer.json()["authenticated"] is False
    return person


def give(person: Person, code: str) -> tuple[int, str]:
    answer = person.api("POST", "/session/factor", {"code": code})
    return answer.status_code, answer.json().get("code", "")


def actions() -> list[str]:
    return list(AuditEntry.objects.order_by("seq").values_list("action", flat=True))


def test_once_an_app_is_set_up_signing_in_asks_for_its_code(operator: Person, stranger: Person) -> None:
    begun = operator.api("POST", "/factors/app/begin").json()
    assert begun["address"].startswith("otpauth://totp/operator?")
    assert "<svg" in begun["picture"] and "<path" in begun["picture"]
    assert half_way_not_needed(Person(None)), "nothing counts before the app has shown a code"
    secret, recovery = begun["secret"], []
    added = operator.api("POST", "/factors/app", {"code": code_of(secret, -1)})
    recovery = added.json()["recovery_codes"]
    assert len(recovery) == 10
    half_way(stranger)
    session = stranger.read("/session")
    assert session["second_factor"] == {"username": "operator", "ways": ["code"]}
    assert session["user"] is None
    assert stranger.api("GET", "/sites").status_code == 401
    assert give(stranger, code_of(secret)) == (200, "")
    assert stranger.read("/session")["user"]["username"] == "operator"
    started = AuditEntry.objects.filter(action="session.start").last()
    assert started and started.payload["second_factor"] == "totp"
    assert [item["type"] for item in stranger.read("/factors")["items"]] == ["totp"]
    assert stranger.read("/factors")["recovery_left"] == 10


def half_way_not_needed(person: Person) -> bool:
    return bool(person.api("POST", "/session", SIGN_IN).json()["authenticated"])


def test_a_code_counts_once_and_an_older_one_not_at_all(operator: Person) -> None:
    """Whoever looks over a shoulder is half a minute late; and no cache of one process is asked."""
    secret, _ = set_up_app(operator)
    assert give(half_way(Person(None)), code_of(secret, -1)) == (401, "wrong_code"), "it set the app up"
    now = code_of(secret)
    assert give(half_way(Person(None)), now) == (200, "")
    assert give(half_way(Person(None)), now) == (401, "wrong_code")
    assert give(half_way(Person(None)), code_of(secret, +1)) == (200, "")


def test_a_recovery_code_opens_once_and_says_how_many_are_left(operator: Person) -> None:
    _, recovery = set_up_app(operator)
    assert give(half_way(Person(None)), f" {recovery[3][:4]} {recovery[3][4:]} ") == (200, "")
    assert give(half_way(Person(None)), recovery[3]) == (401, "wrong_code")
    assert operator.read("/factors")["recovery_left"] == 9
    assert AuditEntry.objects.get(action="factor.recovery_used").payload == {"left": 9}


def test_new_recovery_codes_make_the_old_ones_worthless(operator: Person) -> None:
    _, old = set_up_app(operator)
    new = operator.api("POST", "/factors/recovery-codes").json()["recovery_codes"]
    assert not set(old) & set(new)
    assert give(half_way(Person(None)), old[0]) == (401, "wrong_code")
    assert give(half_way(Person(None)), new[0]) == (200, "")


def test_codes_cannot_be_guessed_from_many_addresses(operator: Person) -> None:
    """Whoever is asked for a code knows the password: so the name is counted, wherever they come from."""
    secret, _ = set_up_app(operator)
    for number in range(guessing.OF_ONE_NAME):
        thief = Person(None)
        thief.defaults["REMOTE_ADDR"] = f"192.0.2.{number}"
        assert give(half_way(thief), "000000") == (401, "wrong_code")
    thief = Person(None)
    thief.defaults["REMOTE_ADDR"] = "192.0.2.99"
    assert give(half_way(thief), code_of(secret)) == (429, "too_many_attempts")
    refused = AuditEntry.objects.filter(action="session.refused", subject="operator")
    assert [entry.payload["tried"] for entry in refused] == ["code"] * guessing.OF_ONE_NAME
    assert "000000" not in str(list(refused.values("payload")))


def test_the_second_step_has_its_time_and_its_password(operator: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, _ = set_up_app(operator)
    early, late = half_way(Person(None)), half_way(Person(None))
    user = User.objects.get(username="operator")
    user.set_password("quite another one, and long")
    user.save()
    assert give(early, code_of(secret)) == (409, "not_begun"), "the password that was given is not the password now"
    user.set_password(PASSWORD)
    user.save()
    late = half_way(Person(None))
    moment = timezone.now() + second_step.HALF_WAY_FOR + dt.timedelta(seconds=1)
    monkeypatch.setattr(timezone, "now", lambda: moment)
    assert give(late, code_of(secret)) == (409, "not_begun")


def test_nobody_half_way_gets_a_challenge_or_gives_a_code(stranger: Person) -> None:
    assert stranger.api("POST", "/session/key-challenge").json()["code"] == "not_begun"
    assert give(stranger, "123456") == (409, "not_begun")


def test_who_is_half_way_can_begin_again(operator: Person, stranger: Person) -> None:
    set_up_app(operator)
    half_way(stranger)
    assert stranger.api("DELETE", "/session").status_code == 204
    assert stranger.read("/session")["second_factor"] is None


def test_the_session_changes_at_both_steps(operator: Person, stranger: Person) -> None:
    secret, _ = set_up_app(operator)
    stranger.api("POST", "/session/oidc", {})
    half_way(stranger)
    first = stranger.cookies["sessionid"].value
    assert give(stranger, code_of(secret)) == (200, "")
    assert stranger.cookies["sessionid"].value != first


def test_a_wrong_first_code_sets_nothing_up(operator: Person) -> None:
    secret = operator.api("POST", "/factors/app/begin").json()["secret"]
    wrong = f"{(int(code_of(secret)) + 1) % 10**6:06}"
    if wrong in {code_of(secret, shift) for shift in (-1, 0, 1)}:
        wrong = "x"
    assert operator.api("POST", "/factors/app", {"code": wrong}).json()["code"] == "wrong_code"
    assert not Authenticator.objects.exists()
    assert actions() == ["factor.not_added"]
    assert operator.api("POST", "/factors/app", {"code": code_of(secret)}).status_code == 201
    assert operator.api("POST", "/factors/app/begin").json()["code"] == "totp_exists"


def test_removing_the_last_one_takes_the_recovery_codes_and_every_secret_along(operator: Person) -> None:
    set_up_app(operator)
    item = operator.read("/factors")["items"][0]
    assert operator.api("DELETE", f"/factors/{item['id']}").status_code == 204
    assert operator.read("/factors") == {"items": [], "recovery_left": 0, "demanded": False}
    assert not FactorSecret.objects.exists()
    assert half_way_not_needed(Person(None))
    assert actions()[:2] == ["factor.add", "factor.remove"]


@pytest.mark.parametrize(
    "answer", [{}, {"id": "x"}, {"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {}}]
)
def test_what_no_key_would_answer_is_a_wrong_key(operator: Person, answer: dict[str, Any]) -> None:
    operator.api("POST", "/factors/keys/begin")
    assert operator.api("POST", "/factors/keys", {"name": "k", "answer": answer}).json()["code"] == "wrong_key"
    assert operator.api("POST", "/session/proof", {"key": answer}).json()["code"] == "wrong_key"
    assert not Authenticator.objects.exists()


def test_a_challenge_names_the_host_and_nothing_secret(operator: Person) -> None:
    made = operator.api("POST", "/factors/keys/begin").json()["public_key"]
    assert made["rp"] == {"id": "testserver", "name": "DR Portal"}
    assert made["user"]["name"] == "operator"
    assert operator.api("POST", "/session/key-challenge").json()["code"] == "no_key"


# --- roles that demand one


@pytest.fixture
def demanded(settings: Settings) -> None:
    settings.REQUIRE_MFA = frozenset({Role.OPERATOR, Role.APPROVER})


def test_who_lacks_a_demanded_one_can_set_one_up_and_nothing_else(demanded: None, operator: Person) -> None:
    assert operator.read("/session")["user"]["factor_missing"] is True
    for method, path in [("GET", "/sites"), ("GET", "/tokens"), ("POST", "/tokens"), ("GET", "/audit")]:
        answer = operator.api(method, path, {"name": "x", "days": 1})
        assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_needed"), path
    assert rights_of_session(operator.session.session_key) == Rights()
    assert operator.read("/factors")["demanded"] is True
    set_up_app(operator)
    assert operator.read("/session")["user"]["factor_missing"] is False
    assert operator.api("GET", "/sites").status_code == 200
    rights = rights_of_session(operator.session.session_key)
    assert rights is not None
    assert rights.permissions


def test_their_tokens_rest_too(demanded: None, operator: Person) -> None:
    user = User.objects.get(username="operator")
    token = token_create(user, "old", 1)[1]
    headers = {"Authorization": f"Bearer {token}"}
    assert Person(None).get("/api/v1/sites", headers=headers).json()["code"] == "second_factor_needed"
    set_up_app(operator)
    assert Person(None).get("/api/v1/sites", headers=headers).status_code == 200


def test_others_and_programs_are_not_asked(demanded: None, viewer: Person) -> None:
    assert viewer.api("GET", "/sites").status_code == 200
    program = make_person("nightly", Role.SERVICE, Role.OPERATOR)
    assert program.read("/session")["user"]["factor_missing"] is False


def test_the_last_demanded_one_is_not_removed(demanded: None, operator: Person) -> None:
    set_up_app(operator)
    item = operator.read("/factors")["items"][0]
    assert operator.api("DELETE", f"/factors/{item['id']}").json()["code"] == "last_factor"
    assert operator.read("/factors")["items"] == [item]
    assert operator.read("/factors")["recovery_left"] == 10


def test_administrators_see_who_has_one_and_others_do_not(
    demanded: None, operator: Person, administrator: Person, viewer: Person
) -> None:
    approver = make_person("approver", Role.APPROVER)
    set_up_app(operator)

    def seen(person: Person) -> dict[str, tuple[bool | None, bool | None]]:
        people = person.read("/access")["people"]
        return {one["username"]: (one["second_factor"], one["second_factor_missing"]) for one in people}

    assert approver.user is not None
    assert seen(administrator) == {
        "operator": (True, False), "approver": (False, True), "administrator": (False, False), "viewer": (False, False)
    }  # fmt: skip
    assert set(seen(viewer).values()) == {(None, None)}


# --- showing again that it is you


def test_a_code_will_do_instead_of_the_password(operator: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, _ = set_up_app(operator)
    assert operator.read("/session")["user"]["proofs"] == ["password", "code"]
    session = operator.session
    del session["proved_at"]
    session.save()
    assert operator.api("POST", "/tokens", {"name": "x", "days": 1}).json()["code"] == "password_again"
    assert operator.api("POST", "/session/proof", {"code": "000000"}).json()["code"] == "wrong_code"
    assert operator.api("POST", "/session/proof", {}).json()["code"] == "proof_needed"
    assert operator.api("POST", "/session/proof", {"code": code_of(secret)}).status_code == 204
    assert operator.api("POST", "/tokens", {"name": "x", "days": 1}).status_code == 201
    proved = AuditEntry.objects.get(action="session.proved")
    assert proved.payload == {"by": "totp"}


# --- secrets, and the command line


def test_secrets_of_factors_are_nowhere_in_the_clear(operator: Person, caplog: pytest.LogCaptureFixture) -> None:
    secret, recovery = set_up_app(operator)
    other = make_person("other", Role.VIEWER)
    begun = other.api("POST", "/factors/app/begin").json()["secret"]  # in the session, until a code is seen
    give(half_way(Person(None)), recovery[0])
    seeds = [unseal(bytes(row.ciphertext)).decode() for row in FactorSecret.objects.all()]
    assert secret in seeds and len(seeds) == 2
    planted = [secret, begun, *recovery, *seeds]
    tables = set(connection.introspection.table_names())
    kept = [model for model in apps.get_models() if model._meta.db_table in tables]
    rows = [json.dumps(row, default=str) for model in kept for row in model._default_manager.values()]
    sessions = [json.dumps(person.session.items().__repr__()) for person in (operator, other)]
    for text in [*rows, *sessions, caplog.text]:
        assert not [one for one in planted if one in text]


def test_another_encryption_key_reaches_them(operator: Person, settings: Settings) -> None:
    from cryptography.fernet import Fernet

    secret, _ = set_up_app(operator)
    old, new = settings.ENCRYPTION_KEYS, [Fernet.generate_key().decode()]
    settings.ENCRYPTION_KEYS = [*new, *old]
    assert secrets_rotate("test").resealed == 2
    settings.ENCRYPTION_KEYS = new
    assert give(half_way(Person(None)), code_of(secret)) == (200, "")


def test_a_lost_one_is_removed_from_the_command_line(operator: Person, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_app(operator)
    call_command("person", "factors", "operator")
    assert "app (totp), added" in capsys.readouterr().out
    operator.read("/sessions")
    call_command("person", "factors", "operator", "--remove")
    assert operator.read("/session")["authenticated"] is False, "who has the telephone may have a session too"
    assert half_way_not_needed(Person(None))
    entry = AuditEntry.objects.get(action="factor.remove_all")
    assert entry.actor.startswith("cli:") and entry.subject == "operator"
    assert [one["type"] for one in entry.payload["removed"]] == ["totp", "recovery_codes"]
    assert not FactorSecret.objects.exists()
