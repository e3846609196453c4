"""Witnesses of a pair: who may change them, what they are given, and what the poller hears of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncssh
import pytest
import yaml
from asgiref.sync import sync_to_async
from django.core.management import call_command
from django.utils import timezone

from drportal.audit.models import AuditEntry
from drportal.drivers.vantage import Address
from drportal.engine.alerts import AlertKind
from drportal.inventory import sights
from drportal.inventory.introduce import WITNESS, introduce_witness
from drportal.inventory.models import Sight, SitePair, Witness
from drportal.inventory.sights import Looked
from drportal.inventory.witnesses import authorized_key, posts_of, viewpoint, witness_create, witness_test
from drportal.lab.control import LabClient
from drportal.sealing import unseal
from drportal.watch.conditions import lost_witnesses
from tests.inventory.test_polling import polling_now, until

pytestmark = pytest.mark.django_db(transaction=True)
GIVEN = {"name": "hill", "ssh_host": "10.9.8.7", "ssh_user": "drportal"}


def test_the_portal_makes_its_key_and_shows_the_line_that_restricts_it(administrator: Any, pair: SitePair) -> None:
    path = f"/pairs/{pair.pk}/witnesses"
    answer = administrator.api("POST", path, GIVEN)
    assert answer.status_code == 201, answer.content
    told = answer.json()
    assert told["authorized_key"].startswith(
        'restrict,command="/usr/bin/python3 -I /usr/local/lib/drportal-site.py --rights look" ssh-ed25519 '
    )
    assert (told["looks"], told["ssh_port"], told["host_keys"]) == (None, 22, [])
    row = Witness.objects.get()
    assert b"PRIVATE KEY" not in bytes(row.ciphertext), "it is kept sealed"
    key = asyncssh.import_private_key(unseal(bytes(row.ciphertext)).decode())
    assert key.export_public_key().decode().split()[1] == row.public_key.split()[1]
    assert "PRIVATE" not in answer.content.decode()
    assert administrator.api("POST", path, GIVEN).json()["code"] == "name_taken"
    for bad in ({"ssh_host": "a; rm"}, {"ssh_port": 0}, {"name": "witness:x"}, {"host_keys": ["nonsense"]}):
        assert administrator.api("POST", path, GIVEN | {"name": "other"} | bad).status_code == 422, bad

    host_key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    keys = f"{path}/{row.pk}/host-keys"
    assert administrator.api("PUT", keys, {"lines": [host_key]}, version=7).json()["code"] == "stale_version"
    kept = administrator.api("PUT", keys, {"lines": [host_key]}, version=1).json()
    assert ([one["line"] for one in kept["host_keys"]], kept["version"]) == ([host_key], 2)

    Sight.objects.create(
        site=pair.a, viewpoint=viewpoint(row), what="SSH host", address="10.0.0.1:22", echo="greets",
        sentence="answers", since=timezone.now(), seen_at=timezone.now(),
    )  # fmt: skip
    assert administrator.read(path)["items"][0]["looks"] is True
    assert administrator.api("DELETE", f"{path}/{row.pk}").status_code == 204
    assert not Sight.objects.exists(), "what it saw goes with it"
    actions = list(AuditEntry.objects.filter(action__startswith="witness").values_list("action", flat=True))
    assert actions == ["witness.create", "witness.host_keys", "witness.delete"]


def test_only_who_may_change_sites_changes_witnesses(operator: Any, viewer: Any, pair: SitePair) -> None:
    row = witness_create(actor="test", pair=pair, fields=GIVEN)
    path = f"/pairs/{pair.pk}/witnesses"
    assert [one["name"] for one in viewer.read(path)["items"]] == ["hill"]
    for person in (operator, viewer):
        assert person.api("POST", path, GIVEN | {"name": "other"}).status_code == 403
        assert person.api("DELETE", f"{path}/{row.pk}").status_code == 403
        assert person.api("POST", f"{path}/{row.pk}/test").status_code == 403
    assert Witness.objects.count() == 1


def test_a_pair_has_few_of_them_and_each_of_its_own_pair(administrator: Any, pair: SitePair) -> None:
    rows = [witness_create(actor="test", pair=pair, fields=GIVEN | {"name": f"w{number}"}) for number in range(4)]
    path = f"/pairs/{pair.pk}/witnesses"
    assert administrator.api("POST", path, GIVEN).json()["code"] == "too_many_witnesses"
    assert administrator.api("DELETE", f"/pairs/{pair.pk + 1}/witnesses/{rows[0].pk}").status_code == 404
    assert Witness.objects.count() == 4


def test_they_come_from_a_file_with_their_pair(tmp_path: Path, pair: SitePair, capsys: Any) -> None:
    given = {"pairs": [{"a": "site-a", "b": "site-b", "witnesses": [GIVEN]}]}
    path = tmp_path / "sites.yaml"
    path.write_text(yaml.safe_dump(given))
    call_command("sites_import", path, "--dry-run")
    assert not Witness.objects.exists()
    assert "restrict" not in capsys.readouterr().out, "a key that is not kept is not shown"
    for _ in range(2):
        call_command("sites_import", path)
    assert authorized_key(Witness.objects.get()) in capsys.readouterr().out


def test_a_witness_that_cannot_be_asked_is_told_and_nothing_else(pair: SitePair) -> None:
    row = witness_create(actor="test", pair=pair, fields=GIVEN)
    assert list(lost_witnesses()) == [], "nobody has asked it yet"
    asked = {"SSH host": Address("10.0.0.1", 22)}
    sights.write([Looked(pair.a_id, viewpoint(row), timezone.now(), asked, None, "no route to it")])
    (condition,) = lost_witnesses()
    assert (condition.kind, condition.key) == (AlertKind.WITNESS_LOST, f"pair:{pair.pk}:witness:{row.pk}")
    assert "The witness hill could not be asked: no route to it" in condition.sentence


def test_another_host_key_than_the_accepted_one_is_refused_and_nothing_is_sent(
    lab: LabClient, lab_pair: SitePair
) -> None:
    assert lab.description.witness is not None
    introduce_witness(lab_pair, lab.description.witness)
    row = Witness.objects.select_related("pair__a", "pair__b").get()
    found = witness_test(row)
    assert (found.ssh.outcome, found.ssh.sentence) == ("ok", "It looks, and its key can do nothing else there.")
    assert [one.split(": ")[1] for one in found.sees if "SSH host" in one] == ["answers.", "answers."]
    try:
        lab.fail("witness", "wrong-host-key")
        changed = witness_test(row)
        assert (changed.ssh.outcome, changed.sees) == ("identity_changed", ())
        assert "Nothing was sent" in changed.ssh.sentence
        lab.restore("witness")
        lab.fail("witness", "site-down")
        assert witness_test(row).ssh.outcome == "unreachable"
    finally:
        lab.restore("witness")
    row.host_keys = []
    assert witness_test(row).ssh.outcome == "host_key_not_accepted"


async def test_the_poller_hears_what_a_witness_sees_and_says_when_it_cannot_be_asked(
    lab: LabClient, lab_pair: SitePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The portal and site B lose site A, which lives: the witness alone sees it."""
    monkeypatch.setattr(sights, "EVERY_S", 0.5)
    assert lab.description.witness is not None
    await sync_to_async(introduce_witness)(lab_pair, lab.description.witness)
    third = f"witness:{WITNESS}"

    def told() -> dict[str, str]:
        return dict(Sight.objects.filter(site=lab_pair.a, what="SSH host").values_list("viewpoint", "echo"))

    try:
        async with polling_now():
            await until("all three are greeted", lambda: told() == dict.fromkeys(("portal", "site-b", third), "greets"))
            await sync_to_async(lab.fail)("a", "cut-off", **{"from": "both"})
            await until(
                "the witness alone is greeted",
                lambda: told() == {"portal": "refuses", "site-b": "refuses", third: "greets"},
            )
            await sync_to_async(lab.fail)("witness", "site-down")
            await until("the witness cannot be asked", lambda: told()[third] == "")
            assert await sync_to_async(lambda: [one.kind for one in lost_witnesses()])() == [AlertKind.WITNESS_LOST]
    finally:
        await sync_to_async(lab.restore)("witness")
    assert list((await sync_to_async(posts_of)(lab_pair.a, lab_pair.b)).eyes) == [third]
