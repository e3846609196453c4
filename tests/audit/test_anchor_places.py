"""Each place where a head can be noted, with a real one at the other end: a mail server, syslog, an sshd."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from drportal.audit.anchors import anchor_due
from drportal.audit.check import head
from drportal.audit.models import TrailAnchor
from drportal.audit.record import Fact, exported, record_many
from drportal.audit.verify import anchors_of_file, verify
from drportal.demo import free_port
from tests.stack import wait_until
from tests.watch.post import MailServer

pytestmark = pytest.mark.django_db


def noted_at(place: str, settings: Any) -> TrailAnchor:
    settings.ANCHORS = [place]
    settings.ANCHOR_INTERVAL_S = 0
    with transaction.atomic():
        record_many([Fact("note", str(count), "olga") for count in range(3)])
    (made,) = anchor_due()
    return made


def test_a_mail_brings_the_head_and_what_to_do_with_it(settings: Any) -> None:
    with closing(MailServer(login=("portal", "secret-word"))) as post:
        place = f"mailto://portal:secret-word@example.org:{post.port}?smtp=127.0.0.1&from=p@example.org&to=audit@example.org"
        made = noted_at(place, settings)
        assert (made.ok, made.place) == (True, "mailto://example.org")
        (mail,) = post.mails
        assert post.recipients == ["audit@example.org"]
        body = mail.get_body(("plain",)) or mail.get_body()
        assert body is not None
        assert "{}:{}".format(*head()) in body.get_content()
        post.refuse = "550 5.1.1 no such mailbox"
        made = noted_at(place, settings)
        assert not made.ok
        assert made.sentence.startswith("Not noted: ")
    assert not TrailAnchor.objects.filter(sentence__contains="secret-word").exists()


@pytest.mark.parametrize("kind", ["tcp", "udp", "unix"])
def test_syslog_hears_it(kind: str, settings: Any, tmp_path: Path) -> None:
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "log") if kind == "unix" else ("127.0.0.1", 0))
        listener.settimeout(10)
        heard: list[bytes] = []
        if kind == "tcp":
            listener.listen()
        listening = threading.Thread(target=lambda: heard.append(one_message(listener, kind)), daemon=True)
        listening.start()
        where = tmp_path / "log" if kind == "unix" else f"127.0.0.1:{listener.getsockname()[1]}"
        made = noted_at(f"syslog{'-tcp' if kind == 'tcp' else ''}:{where}", settings)
        listening.join(10)
    assert made.ok, made.sentence
    assert heard[0].rstrip(b"\0\n").decode() == "<86>drportal: trail head {}:{}".format(*head())


def one_message(listener: socket.socket, kind: str) -> bytes:
    if kind != "tcp":
        return listener.recv(4096)
    connection, _ = listener.accept()
    with connection:
        return connection.makefile("rb").readline()


def test_a_syslog_that_is_not_there_is_noticed_over_tcp(settings: Any) -> None:
    made = noted_at(f"syslog-tcp:127.0.0.1:{free_port()}", settings)
    assert (made.ok, "refused" in made.sentence) == (False, True)


# --- the other site


class OtherSite:
    """The system's sshd, and a key that may do one thing there: append its input to a file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        for name in ("host", "client"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
            subprocess.run(words, check=True)
        self.kept = folder / "anchors.jsonl"
        self.allow(f"cat >> {self.kept}")
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {folder / 'host'}\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {folder / 'authorized_keys'}\nStrictModes no\nPasswordAuthentication no\n"
            f"AllowUsers {getpass.getuser()}\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        program = shutil.which("sshd", path=f"/usr/sbin:{os.environ['PATH']}")
        assert program, "apt-get install openssh-server"
        self.process = subprocess.Popen(
            [program, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=(folder / "sshd.log").open("wb")
        )
        wait_until("sshd listens", lambda: "listening" in (folder / "sshd.log").read_text(), 15)

    def allow(self, command: str) -> None:
        key = (self.folder / "client.pub").read_text()
        (self.folder / "authorized_keys").write_text(f'restrict,command="{command}" {key}')

    @property
    def place(self) -> str:
        return f"ssh:{getpass.getuser()}@127.0.0.1:{self.port}"

    def known_as(self, name: str) -> str:
        kind, key = (self.folder / f"{name}.pub").read_text().split()[:2]
        return f"[127.0.0.1]:{self.port} {kind} {key}\n"

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def other_site(tmp_path: Path, settings: Any) -> Iterator[OtherSite]:
    with closing(OtherSite(tmp_path)) as site:
        settings.ANCHOR_SSH_KEY = (tmp_path / "client").read_text()
        settings.ANCHOR_SSH_HOSTS = site.known_as("host")
        yield site


def test_the_other_site_keeps_heads_with_which_a_cut_tail_is_found(other_site: OtherSite, settings: Any) -> None:
    made = noted_at(other_site.place, settings)
    assert made.ok, made.sentence
    assert noted_at(other_site.place, settings).ok
    assert list(anchors_of_file(other_site.kept)) == [3, 6]
    assert anchors_of_file(other_site.kept)[6] == head()[1]
    found = verify(exported(1, 4), anchors_of_file(other_site.kept))
    assert found.sentence == "The trail ends at entry 4, but entry 6 was noted. Its tail was cut off."


def test_another_host_is_told_nothing(other_site: OtherSite, settings: Any) -> None:
    settings.ANCHOR_SSH_HOSTS = other_site.known_as("client")
    made = noted_at(other_site.place, settings)
    assert (made.ok, "Host key is not trusted" in made.sentence) == (False, True), made.sentence
    assert not other_site.kept.exists()


def test_what_the_other_site_could_not_keep_is_said(other_site: OtherSite, settings: Any) -> None:
    other_site.allow("echo the disk is full >&2; exit 3")
    assert noted_at(other_site.place, settings).sentence.endswith("the other end ended with 3: the disk is full")
    settings.ANCHOR_SSH_KEY = ""
    assert "are not both set" in noted_at(other_site.place, settings).sentence
