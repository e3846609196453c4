"""Sites, their secrets and host keys over the API."""

from __future__ import annotations

from typing import Any

import asyncssh
import pytest

from drportal.audit.check import verify_database
from drportal.audit.models import AuditEntry
from drportal.inventory.models import Credential, Site, SitePair
from drportal.lab.control import LabClient
from drportal.sealing import unseal
from tests.conftest import Person

NEW = {
    "slug": "site-c",
    "name": "Site C",
    "ssh_host": "c.example.org",
    "ssh_user": "drportal",
    "opennebula_url": "https://c.example.org/RPC2",
    "opennebula_user": "dr-portal",
}
ALL_ROLES = ("viewer", "operator", "approver", "manager", "administrator")


def private_key() -> str:
    return asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()


def public_line() -> str:
    return asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()


def test_a_site_is_made_changed_and_removed_and_all_is_in_the_trail(administrator: Person) -> None:
    made = administrator.api("POST", "/sites", NEW)
    assert made.status_code == 201, made.content
    site = made.json()
    assert (site["version"], site["reachable"], site["ssh"]["ok"]) == (1, None, None)
    assert site["credentials"] == {"ssh_key": None, "opennebula_password": None}
    changed = administrator.api("PATCH", "/sites/site-c", {"name": "Third", "ssh_port": 2222}, version=1).json()
    assert (changed["name"], changed["ssh_port"], changed["version"]) == ("Third", 2222, 2)
    assert administrator.api("DELETE", "/sites/site-c").status_code == 204
    assert administrator.api("GET", "/sites/site-c").status_code == 404
    actions = list(AuditEntry.objects.values_list("action", flat=True))
    assert actions == ["site.create", "site.change", "site.delete"]
    assert AuditEntry.objects.get(action="site.change").payload["before"] == {"name": "Site C", "ssh_port": 22}
    assert verify_database().ok


def test_a_change_that_changes_nothing_is_none(administrator: Person) -> None:
    administrator.api("POST", "/sites", NEW)
    same = administrator.api("PATCH", "/sites/site-c", {"name": "Site C"}, version=1)
    assert same.json()["version"] == 1
    assert not AuditEntry.objects.filter(action="site.change").exists()


def test_another_address_makes_unknown_again_what_was_known(administrator: Person, pair: SitePair) -> None:
    Site.objects.filter(slug="site-a").update(ssh_reachable=True, ssh_sentence="fine")
    site = administrator.api("PATCH", "/sites/site-a", {"ssh_host": "other.example.org"}, version=1).json()
    assert site["ssh"] == {"ok": None, "since": None, "sentence": ""}


def test_its_versions_are_held_against_those_supported(viewer: Person, pair: SitePair) -> None:
    def told(**versions: str) -> tuple[bool | None, bool | None]:
        Site.objects.filter(slug="site-a").update(**versions)
        site = viewer.read("/sites/site-a")
        assert versions["ceph_version"] in site["ceph_support"]["sentence"]
        return site["ceph_support"]["ok"], site["opennebula_support"]["ok"]

    assert told(ceph_version="", opennebula_version="") == (None, None), "not read is not unsupported"
    assert told(ceph_version="16.2.15", opennebula_version="7.5.80") == (True, True)
    assert told(ceph_version="13.2.1", opennebula_version="5.12.0") == (False, False)


def test_a_site_of_a_pair_cannot_be_removed(administrator: Person, pair: SitePair) -> None:
    answer = administrator.api("DELETE", "/sites/site-a")
    assert (answer.status_code, answer.json()["code"]) == (409, "site_in_use")
    assert not AuditEntry.objects.filter(action="site.delete").exists()


def test_short_names_are_taken_once(administrator: Person) -> None:
    administrator.api("POST", "/sites", NEW)
    answer = administrator.api("POST", "/sites", NEW)
    assert (answer.status_code, answer.json()["code"]) == (409, "slug_taken")


@pytest.mark.parametrize(
    "wrong",
    [
        {"slug": "../etc"},
        {"ssh_host": "-oProxyCommand=reboot"},
        {"ssh_host": "a b"},
        {"ssh_user": "root; reboot"},
        {"ssh_user": "-l"},
        {"ssh_port": 0},
        {"ssh_port": 70000},
        {"ceph_user": "--conf=/tmp/x"},
        {"opennebula_url": "file:///etc/passwd"},
        {"opennebula_url": "javascript:alert(1)"},
        {"opennebula_url": "http://user:password@c.example.org/RPC2"},
        {"opennebula_user": "a:b"},
        {"name": ""},
        {"host_keys": ["ssh-ed25519 nonsense"]},
        {"host_keys": ["-----BEGIN OPENSSH PRIVATE KEY-----"]},
    ],
)
def test_hostile_and_mistaken_settings_are_refused(administrator: Person, wrong: dict[str, Any]) -> None:
    answer = administrator.api("POST", "/sites", NEW | wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert not Site.objects.exists()


def test_host_keys_are_accepted_by_version_and_kept_by_fingerprint(administrator: Person, pair: SitePair) -> None:
    line = public_line()
    site = administrator.api("PUT", "/sites/site-a/host-keys", {"lines": [line + " a comment"]}, version=1).json()
    assert [key["line"] for key in site["host_keys"]] == [" ".join(line.split()[:2])]
    assert site["version"] == 2
    assert AuditEntry.objects.get(action="site.host_keys").payload == {
        "before": [],
        "after": [site["host_keys"][0]["fingerprint"]],
    }
    assert administrator.api("PUT", "/sites/site-a/host-keys", {"lines": []}, version=1).status_code == 412
    assert administrator.api("PUT", "/sites/site-a/host-keys", {"lines": ["x"]}, version=2).status_code == 422


def test_a_credential_is_kept_encrypted_and_can_be_replaced_but_not_read(administrator: Person, pair: SitePair) -> None:
    path = "/sites/site-a/credentials/opennebula_password"
    assert administrator.api("PUT", path, {"value": "first secret"}).status_code == 204
    assert administrator.api("PUT", path, {"value": "second secret"}).status_code == 204
    kept = Credential.objects.get()
    assert b"second secret" not in bytes(kept.ciphertext)
    assert unseal(bytes(kept.ciphertext)) == b"second secret"
    assert administrator.api("GET", path).status_code == 405
    assert administrator.read("/sites/site-a")["credentials"]["opennebula_password"] is not None


@pytest.mark.parametrize(
    ("kind", "value", "status"),
    [("ssh_key", "not a key at all", 422), ("ssh_key", "", 422), ("opennebula_password", " ", 422), ("root", "x", 404)],
)
def test_what_is_no_credential_is_refused_without_repeating_it(
    administrator: Person, pair: SitePair, kind: str, value: str, status: int
) -> None:
    answer = administrator.api("PUT", f"/sites/site-a/credentials/{kind}", {"value": value})
    assert answer.status_code == status
    assert b"not a key at all" not in answer.content
    assert not Credential.objects.exists()


def test_a_pair_is_two_different_sites_once(administrator: Person, pair: SitePair) -> None:
    for body, status in (
        ({"a": "site-a", "b": "site-a"}, 422),
        ({"a": "site-b", "b": "site-a"}, 409),
        ({"a": "site-a", "b": "nowhere"}, 404),
        ({"a": "site-a", "b": "site-b", "pools": ["-rf"]}, 422),
    ):
        assert administrator.api("POST", "/pairs", body).status_code == status, body
    administrator.api("POST", "/sites", NEW)
    made = administrator.api("POST", "/pairs", {"a": "site-a", "b": "site-c", "pools": ["one"]})
    assert made.status_code == 201, made.content
    assert made.json()["discovery"]["state"] == "idle"


def test_discovery_without_a_queue_begins_nothing_and_says_so(operator: Person, pair: SitePair) -> None:
    answer = operator.api("POST", f"/pairs/{pair.pk}/discover")
    assert (answer.status_code, answer.json()["code"]) == (503, "no_worker")
    pair.refresh_from_db()
    assert pair.discovery == {}
    assert not AuditEntry.objects.filter(action="pair.discover").exists()


# --- the connection test


def site_as_typed(lab: LabClient, **fields: Any) -> dict[str, Any]:
    site = lab.description.sites["a"]
    return {
        "ssh_host": site.ssh.host,
        "ssh_port": site.ssh.port,
        "ssh_user": site.ssh.user,
        "ssh_key": site.ssh.private_key,
        "host_keys": [site.ssh.host_key],
        "ceph_through": "rbd",
        "pool": "one",
        "opennebula_url": site.opennebula.url,
        "opennebula_user": site.opennebula.username,
        "opennebula_password": site.opennebula.password,
        **fields,
    }


def outcomes(administrator: Person, body: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, str, str]]:
    answer = administrator.api("POST", "/sites/connection-test", body)
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert all(told[part]["sentence"] for part in ("ssh", "ceph", "opennebula"))
    return told, (told["ssh"]["outcome"], told["ceph"]["outcome"], told["opennebula"]["outcome"])


def test_a_site_that_works_is_told_so(lab: LabClient, administrator: Person) -> None:
    told, found = outcomes(administrator, site_as_typed(lab))
    assert found == ("ok", "ok", "ok"), told
    assert told["ceph"]["version"].startswith("16.")
    assert [key["accepted"] for key in told["ssh"]["offered_keys"]] == [True]


def test_keys_are_shown_and_not_trusted(lab: LabClient, administrator: Person) -> None:
    told, found = outcomes(administrator, site_as_typed(lab, host_keys=[]))
    assert found == ("host_key_not_accepted", "not_asked", "ok")
    assert told["ssh"]["offered_keys"][0]["fingerprint"].startswith("SHA256:")
    assert told["ssh"]["offered_keys"][0]["accepted"] is False


def test_another_key_is_an_alarm(lab: LabClient, administrator: Person) -> None:
    _, found = outcomes(administrator, site_as_typed(lab, host_keys=[public_line()]))
    assert found[:2] == ("identity_changed", "not_asked")


def test_a_wrong_key_and_a_wrong_password_are_refused(lab: LabClient, administrator: Person) -> None:
    body = site_as_typed(lab, ssh_key=private_key(), opennebula_password="wrong")
    _, found = outcomes(administrator, body)
    assert found == ("refused", "not_asked", "refused")


def test_nobody_there_is_unreachable(lab: LabClient, administrator: Person) -> None:
    body = site_as_typed(lab, ssh_port=1, opennebula_url="http://127.0.0.1:1/RPC2")
    _, found = outcomes(administrator, body)
    assert found == ("unreachable", "not_asked", "unreachable")


def test_a_pool_that_is_none_is_refused(lab: LabClient, administrator: Person) -> None:
    _, found = outcomes(administrator, site_as_typed(lab, pool="nosuchpool"))
    assert found == ("ok", "refused", "ok")


@pytest.mark.django_db(transaction=True)
def test_a_known_sites_stored_secrets_are_used_where_none_are_given(
    lab: LabClient, lab_pair: SitePair, administrator: Person
) -> None:
    body = site_as_typed(lab, slug="site-a")
    for left_out in ("ssh_key", "opennebula_password", "host_keys"):
        del body[left_out]
    _, found = outcomes(administrator, body)
    assert found == ("ok", "ok", "ok")
