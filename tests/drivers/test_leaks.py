"""Keys that a site's program prints go no further than the driver."""

from __future__ import annotations

import base64
import json
import secrets
import struct

import asyncssh
import pytest

from drportal.drivers.leaks import LEFT_OUT, without_keys


def cephx_key() -> str:
    """As ``ceph-authtool --gen-print-key`` makes it."""
    return base64.b64encode(struct.pack("<HIIH", 1, 1764000000, 0, 16) + secrets.token_bytes(16)).decode()


def test_a_keyring_keeps_all_but_its_key() -> None:
    key = cephx_key()
    said = f'[client.drportal-act]\n\tkey = {key}\n\tcaps mon = "profile rbd"\n'
    assert without_keys(said) == said.replace(key, LEFT_OUT)
    line = json.dumps({"auth": [{"entity": "client.admin", "key": key}], "n": 1})
    assert json.loads(without_keys(line)) == {"auth": [{"entity": "client.admin", "key": LEFT_OUT}], "n": 1}


@pytest.mark.parametrize("form", ["openssh", "pkcs8-pem", "pkcs1-pem"])
@pytest.mark.parametrize("in_json", [False, True])
@pytest.mark.parametrize("cut", [False, True])
def test_a_private_key_is_taken_out_whole(form: str, in_json: bool, cut: bool) -> None:
    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048).export_private_key(form).decode()
    shown = key[: len(key) // 2] if cut else key
    said = f"cannot load:\n{shown}"
    text = without_keys(json.dumps({"error": said}) if in_json else said)
    assert text.count(LEFT_OUT) == 1
    assert not [line for line in key.splitlines() if len(line) > 20 and line in text]
    if in_json:
        assert json.loads(text)["error"].startswith("cannot load:")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AQ",
        "rbd: error: (22) Invalid argument",
        '{"description":"replaying, {\\"bytes_per_second\\":0.0}","global_id":"8b4d3c9c-7f4f-4b0a"}',
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7AQAQAQAQAQAQAQAQAQAQAQAQAQAQAQAQAQAQAQAQAQAQ== olga",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    ],
)
def test_what_is_no_key_stays_as_it_is(text: str) -> None:
    assert without_keys(text) == text


def test_a_long_answer_costs_little() -> None:
    long = '{"name":"one-1-2-3","state":"AQAQAQ"},' * 200_000 + "-----BEGIN" * 1000
    assert without_keys(long) == long
