"""A running portal's own words, all of them: a command at a site prints keys, an alert goes out by mail and web hook, a
worker stumbles, and nothing of it is in Redis, logs, websocket messages, pages, exports or the database's file."""

from __future__ import annotations

import base64
import io
import json
import secrets
import sqlite3
import struct
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.stack import LabProcess, PortalClient, PortalStack, wait_until
from tests.watch.post import MailServer, Receiver

pytestmark = pytest.mark.slow

TOPICS = ["overview", "sites", "runs", "pair:1", "plan:1", "run:1"]


def cephx_key() -> str:
    return base64.b64encode(struct.pack("<HIIH", 1, 1764000000, 0, 16) + secrets.token_bytes(16)).decode()


@contextmanager
def listening(portal: PortalStack, client: PortalClient) -> Iterator[list[str]]:
    """Everything that a page's websocket is told."""
    heard: list[str] = []
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.session.cookies)
    address = f"{portal.base_url.replace('http', 'ws')}/ws/live/"
    with connect(address, additional_headers={"Cookie": cookies}, origin=portal.base_url) as socket:  # type: ignore[arg-type]
        socket.send(json.dumps({"subscribe": TOPICS}))

        def hear() -> None:
            try:
                heard.extend(str(message) for message in socket)
            except ConnectionClosed:
                return

        listener = threading.Thread(target=hear, daemon=True)
        listener.start()
        yield heard
    listener.join(5)


def everything_in(redis: Redis) -> Iterator[str]:
    """Every key with its value as it lies there: jobs with their arguments, results and exceptions among them."""
    for key in redis.scan_iter():
        yield f"{key!r} {redis.dump(key)!r}"
        kind = redis.type(key)
        readers: dict[bytes, Any] = {
            b"string": redis.get, b"hash": redis.hgetall, b"set": redis.smembers,
            b"list": lambda k: redis.lrange(k, 0, -1), b"zset": lambda k: redis.zrange(k, 0, -1, withscores=True),
            b"stream": redis.xrange,
        }  # fmt: skip
        value = readers[kind](key)
        yield f"{key!r} {value!r}"
        if isinstance(value, dict):  # RQ keeps what a job was called with, and what it raised, zipped
            import zlib

            for packed in value.values():
                try:
                    yield repr(zlib.decompress(packed))
                except (zlib.error, TypeError):
                    continue


def everything_read(portal: PortalStack, run: int) -> Iterator[str]:
    paths = [
        "/overview", "/sites", "/sites/site-a", "/sites/site-b", "/alerts", "/audit?limit=100", f"/runs/{run}",
        f"/runs/{run}/report", "/runs", "/plans/1", "/receipts", "/access", "/nothing/here", "/runs/999999",
    ]  # fmt: skip
    for role in ("viewer", "operator", "manager", "administrator"):
        client = portal.client(role)
        for path in paths:
            yield client.raw("GET", path).text
    manager = portal.client("manager")
    for entry in manager.get(f"/audit?run={run}&limit=100")["items"]:
        yield manager.raw("GET", f"/audit/{entry['seq']}").text
    steps = [
        cell["step_id"]
        for vm in manager.get(f"/runs/{run}")["vms"]
        for group in (vm["cells"], *(image["cells"] for image in vm["images"]))
        for cell in group.values()
        if cell.get("step_id")
    ]
    assert steps
    for step in steps:
        yield manager.raw("GET", f"/runs/{run}/steps/{step}").text
    export = manager.session.get(f"{portal.base_url}/api/v1/audit/export", timeout=60)
    assert export.status_code == 200, export.text
    with zipfile.ZipFile(io.BytesIO(export.content)) as opened:
        for name in opened.namelist():
            yield opened.read(name).decode()


def in_the_database(path: Path) -> Iterator[str]:
    with closing(sqlite3.connect(path)) as database:
        yield from database.iterdump()


def stumble(portal: PortalStack, planted: str) -> None:
    """A job that is handed what it cannot do with, and raises: RQ keeps what was raised."""
    words = [
        "shell", "-c",
        "import django_rq; from rq import Queue; from drportal.jobs import queue; "
        "queue('default').enqueue('drportal.jobs.discover_pair', 999999, job_id='stumbling')",
    ]  # fmt: skip
    portal.manage(*words)


def test_nothing_that_a_running_portal_says_or_keeps_has_a_secret_in_it(tmp_path: Path) -> None:
    cephx, mail_word, hook_word, typed = cephx_key(), "planted-mail-8d1f", "secret-word", "planted-typed-55c0"
    private = subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], capture_output=True
    )
    assert private.returncode == 0
    pem = (tmp_path / "key").read_text()
    post, hook = MailServer(login=("portal", mail_word)), Receiver()
    signing = "5a" * 32
    with (
        closing(post),
        closing(hook),
        LabProcess("embedded", tmp_path / "lab", "--speed", "20") as lab,
        PortalStack(
            tmp_path, lab, DRPORTAL_SIGNING_KEY=signing, DRPORTAL_ANCHOR_INTERVAL="1",
            DRPORTAL_ANCHORS=f"file:{tmp_path / 'anchors.jsonl'} json://ops:{mail_word}@127.0.0.1:1/hook",
        ) as portal,
    ):  # fmt: skip
        administrator, operator = portal.client("administrator"), portal.client("operator")
        mail = f"mailto://portal:{mail_word}@example.org:{post.port}?smtp=127.0.0.1&from=p@example.org&to=o@example.org"
        channels = [
            administrator.post("/alert-channels", {"name": name, "address": address})["id"]
            for name, address in (("mail", mail), ("hook", hook.address))
        ]
        administrator.post("/alert-rules", {"name": "a run waits", "kind": "run_waits", "channels": channels})
        administrator.raw("POST", "/session", {"username": "olga", "password": typed})
        with listening(portal, operator) as heard:
            portal.wait_ready(operator, 1, "planned_failover")
            lab.client.fail(
                "b", "command-fails", match="mirror image promote", exit=1,
                stderr=f"rbd: cannot connect: key = {cephx}\n{pem}\nrbd: error opening pool: (13) Permission denied",
            )  # fmt: skip
            run = portal.start_run(operator, 1, "planned_failover", "secrets")
            portal.wait_run(operator, run, 180, until=("paused", "failed"))
            stumble(portal, typed)
            wait_until("mail and hook were told", lambda: post.mails and hook.bodies, 120, 0.5)
            wait_until("the page heard of the run", lambda: any(f'"run:{run}"' in said for said in heard), 30)
            with closing(Redis(port=portal.redis_port)) as redis:
                in_redis = list(everything_in(redis))
            said = {
                "redis": in_redis,
                "pages": list(everything_read(portal, run)),
                "database": list(in_the_database(tmp_path / "portal.sqlite3")),
                "mail": [mail.as_string() for mail in post.mails],
                "hook": [json.dumps(body) for body in hook.bodies],
            }
        said["websocket"] = list(heard)
        said["logs"] = [path.read_text(errors="replace") for path in tmp_path.glob("*.log")]
    assert len(said["logs"]) >= 3
    assert any("rq:job" in text for text in said["redis"])
    assert any("(a key was here; it was left out)" in text for text in said["pages"]), "the output itself is kept"
    keys = [line for line in pem.splitlines() if len(line) > 30 and "-----" not in line]
    planted = [cephx, *keys, mail_word, typed, signing, portal.env["DRPORTAL_ENCRYPTION_KEYS"]]
    planted += [portal.env["DRPORTAL_SECRET_KEY"], hook_word]
    for site in lab.client.description.sites.values():
        planted += [site.opennebula.password, *(x for x in site.ssh.private_key.splitlines() if len(x) > 40)]
    planted += [portal.password(role) for role in ("viewer", "operator", "manager", "administrator")]
    found = {
        f"{secret[:10]}… in {where}: {text[max(0, text.find(secret) - 150) : text.find(secret)]}"
        for where, texts in said.items()
        for text in texts
        for secret in planted
        if secret in text
    }
    assert not found, "\n".join(sorted(found))
