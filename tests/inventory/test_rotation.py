"""Another key for what is sealed, at any moment and however often it is cut off."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.core.management.base import CommandError

from drportal.audit.models import AuditEntry
from drportal.inventory import secrets
from drportal.inventory.models import Credential, Site
from drportal.inventory.secrets import key_name, secrets_rotate, secrets_standing
from drportal.sealing import SecretsUnavailable, seal, unseal
from drportal.watch.models import AlertChannel

pytestmark = pytest.mark.django_db(transaction=True)
OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def opened() -> list[str]:
    rows = [*Credential.objects.order_by("pk"), *AlertChannel.objects.order_by("pk")]
    return [unseal(bytes(row.ciphertext)).decode() for row in rows]


@pytest.fixture
def sealed(settings: Any, make_site: Callable[..., Site]) -> list[str]:
    """Six secrets under the old key, and the new key put before it."""
    settings.ENCRYPTION_KEYS = [OLD]
    site = make_site("site-a")
    for kind in Credential.Kind.values:
        Credential.objects.create(site=site, kind=kind, ciphertext=seal(f"secret of {kind}".encode()), changed_by="x")
    for name in ("mail", "chat"):
        AlertChannel.objects.create(name=name, ciphertext=seal(name.encode()), shown="", changed_by="x")
    before = opened()
    assert len(before) == 6
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    return before


def test_afterwards_the_old_key_is_not_needed(sealed: list[str], settings: Any) -> None:
    assert secrets_standing().under == {key_name(NEW): 0, key_name(OLD): 6}
    found = secrets_rotate("admin")
    assert (found.resealed, found.under) == (6, {key_name(NEW): 6, key_name(OLD): 0})
    settings.ENCRYPTION_KEYS = [NEW]
    assert opened() == sealed


def test_the_trail_says_so_and_names_no_key(sealed: list[str]) -> None:
    secrets_rotate("admin")
    entry = AuditEntry.objects.get(action="secrets.rotate")
    assert (entry.actor, entry.payload["resealed"]) == ("admin", 6)
    assert not [one for one in (OLD, NEW, *sealed) if one in f"{entry.subject} {entry.payload}"]


@pytest.mark.parametrize("cut_after", range(6))
def test_cut_off_half_way_everything_still_opens_and_the_next_call_ends_it(
    sealed: list[str], settings: Any, monkeypatch: pytest.MonkeyPatch, cut_after: int
) -> None:
    whole, done = secrets._reseal_row, []

    def cut(model: Any, pk: int) -> bool:
        if len(done) == cut_after:
            raise KeyboardInterrupt
        done.append(pk)
        return whole(model, pk)

    with monkeypatch.context() as patch:
        patch.setattr(secrets, "_reseal_row", cut)
        with pytest.raises(KeyboardInterrupt):
            secrets_rotate("admin")
    assert opened() == sealed
    assert secrets_standing().under == {key_name(NEW): cut_after, key_name(OLD): 6 - cut_after}
    assert secrets_rotate("admin").resealed == 6 - cut_after
    settings.ENCRYPTION_KEYS = [NEW]
    assert opened() == sealed


def test_what_somebody_stores_meanwhile_is_not_undone(sealed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """By a process that still has the old key alone."""
    first = Credential.objects.order_by("pk").first()
    assert first is not None
    looked_at, key_of = [], secrets._key_of

    def and_then_it_changes(sealed_now: bytes) -> str | None:
        if not looked_at:
            stored = Fernet(OLD).encrypt(b"stored meanwhile")
            Credential.objects.filter(pk=first.pk).update(ciphertext=stored)
        looked_at.append(sealed_now)
        return key_of(sealed_now)

    monkeypatch.setattr(secrets, "_key_of", and_then_it_changes)
    assert secrets_rotate("admin").under == {key_name(NEW): 6, key_name(OLD): 0}
    assert opened() == ["stored meanwhile", *sealed[1:]]


def test_a_row_that_opens_with_no_key_is_named_and_left_alone(sealed: list[str]) -> None:
    lost = AlertChannel.objects.get(name="mail")
    foreign = Fernet(Fernet.generate_key()).encrypt(b"mail")
    AlertChannel.objects.filter(pk=lost.pk).update(ciphertext=foreign)
    with pytest.raises(CommandError, match=r"1 open with none of these keys .*alert channel \d+ \(mail\)"):
        call_command("secrets", "rotate", stdout=StringIO())
    assert bytes(AlertChannel.objects.get(name="mail").ciphertext) == foreign
    assert secrets_standing().under == {key_name(NEW): 5, key_name(OLD): 0}


def test_the_command_says_what_may_go(sealed: list[str]) -> None:
    out = StringIO()
    call_command("secrets", "status", stdout=out)
    assert f"key {key_name(OLD)} (older): 6; run `manage.py secrets rotate`" in out.getvalue()
    call_command("secrets", "rotate", stdout=out)
    assert f"6 sealed anew\nkey {key_name(NEW)} (the first, seals what is new): 6\n" in out.getvalue()
    assert f"key {key_name(OLD)} (older): 0; no secret needs it; older backups may" in out.getvalue()
    assert not [key for key in (OLD, NEW) if key in out.getvalue()]


def test_a_new_key_is_a_key(settings: Any) -> None:
    out = StringIO()
    call_command("secrets", "new-key", stdout=out)
    settings.ENCRYPTION_KEYS = [out.getvalue().strip()]
    assert unseal(seal(b"x")) == b"x"


def test_without_keys_nothing_is_done(settings: Any) -> None:
    settings.ENCRYPTION_KEYS = []
    with pytest.raises(SecretsUnavailable):
        secrets_rotate("admin")
    assert not AuditEntry.objects.exists()
