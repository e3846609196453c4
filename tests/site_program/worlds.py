"""Where the fault tests act: on the stand-in for Ceph, and on a real cluster with either engine.

A world makes images in the state from which an act starts, and counts what really happened to them.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import struct
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from drportal.site_program.copies import kept_name
from tests.site_program.conftest import FakeCeph, order
from tests.site_program.running import SYSTEM_PYTHON, SiteProcess
from tests.stack import wait_until

IMAGE_VERBS = (
    "demote",
    "promote",
    "force-promote",
    "resync",
    "mirror-snapshot",
    "salvage-export",
    "salvage-copy",
    "free",
)
VERBS = (*IMAGE_VERBS, "fence", "unfence")
SALVAGES = ("salvage-export", "salvage-copy")
STARTS_PRIMARY = ("demote", "mirror-snapshot", *SALVAGES, "free")
numbers = itertools.count(1)


class Case(NamedTuple):
    verb: str
    mode: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.mode}".strip()


CASES = (
    *(Case(verb, "snapshot") for verb in IMAGE_VERBS),
    *(Case(verb, "journal") for verb in IMAGE_VERBS if verb not in ("mirror-snapshot", "salvage-copy")),
    Case("fence"),
    Case("unfence"),
)


class World(Protocol):
    during_is_certain: bool

    def start(self, **options: Any) -> SiteProcess: ...

    def prepared(self, case: Case) -> dict[str, Any]:
        """The fields of an act that may be done now, with an operation id of its own."""
        ...

    def effects(self, case: Case, fields: dict[str, Any]) -> int:
        """How often it has been done, by the word of Ceph itself."""
        ...

    def calls(self, fields: dict[str, Any]) -> int:
        """How often something was started that would do it."""
        ...

    def begun(self, fields: dict[str, Any]) -> dict[str, str]:
        """The environment that lets a program know that the act goes on."""
        ...


def changed(fields: dict[str, Any]) -> str:
    """What an act changes: an address, or an image."""
    return str(fields["addresses"][0] if "addresses" in fields else fields["image"])


def lines_about(file: Path, what: str) -> list[str]:
    lines = file.read_text().splitlines() if file.exists() else []
    return [line for line in lines if what in line.replace("/", " ").split() or what in line.split()]


class FakeWorld:
    during_is_certain = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ceph = FakeCeph(folder / "ceph")
        self.ceph.set(act_s=0.4)
        (folder / "salvage").mkdir()

    def start(self, *, env: dict[str, str] | None = None, **options: Any) -> SiteProcess:
        env = {**self.ceph.env, "TEST_CALLS": str(self.folder / "started"), **(env or {})}
        return SiteProcess(
            self.folder, "--engine", "rbd", "--salvage", str(self.folder / "salvage"), env=env, **options
        )

    def prepared(self, case: Case) -> dict[str, Any]:
        verb, number = case.verb, next(numbers)
        if verb in ("fence", "unfence"):
            fields = blocking(verb, number)
            if verb == "unfence":
                file = self.ceph.folder / "blocklist"
                listed = json.loads(file.read_text()) if file.exists() else {}
                file.write_text(json.dumps({**listed, fields["addresses"][0]: "later"}))
            return fields
        primary = verb in STARTS_PRIMARY
        daemons = [9000 + number] if verb == "free" else []
        if daemons:
            self.ceph.set(mirroring=[*self.ceph.read().get("mirroring", [4109]), *daemons])
        self.ceph.image(f"disk-{number}", primary=primary, mode=case.mode, watchers=daemons)
        fields = order(verb, f"disk-{number}", f"operation-{number}", primary=primary)
        if case.mode == "journal":
            fields["expect"].pop("newest_snapshot", None)
        return freeing(fields, f"127.0.0.1:0/{daemons[0]}") if daemons else fields

    def effects(self, case: Case, fields: dict[str, Any]) -> int:
        effects = self.ceph.effects(changed(fields))
        if case.verb == "salvage-copy":
            return effects * whole_copies(self.ceph.read()["images"], fields)
        return effects if case.verb != "salvage-export" else effects * exported(self.folder / "salvage", fields)

    def calls(self, fields: dict[str, Any]) -> int:
        return len(lines_about(self.folder / "started", changed(fields)))

    def begun(self, fields: dict[str, Any]) -> dict[str, str]:
        return {"TEST_BEGUN": str(self.ceph.begun(changed(fields)))}


# Stands in for a mirror daemon that has an image open: a client that watches both.
_DAEMON = """
import rados, rbd, sys, time
with rados.Rados(conffile="") as cluster:
    pool = cluster.open_ioctx("one")
    watch = pool.watch("rbd_mirroring", lambda *_: None)
    image = rbd.Image(pool, sys.argv[1])
    print(cluster.get_addrs(), flush=True)
    sys.stdin.read()
    __import__("os")._exit(0)
"""


class OsdLog:
    """What the only storage daemon of a site carried out, by its own log."""

    def __init__(self, file: Path, run: Callable[..., str]) -> None:
        self.file, self.run = file, run
        run("ceph", "tell", "osd.*", "config", "set", "debug_osd", "10/10")

    def end(self) -> None:
        """It appends, so that it goes on from the beginning."""
        os.truncate(self.file, 0)

    def operations(self, on: str, what: str) -> set[str]:
        """``client.NUMBER.0:SERIAL`` of each; one that had to wait is logged again with the same."""
        mark = f"mark-{os.getpid()}-{next(numbers)}"
        self.run("rados", "-p", "one", "put", mark, os.devnull)
        wait_until("the storage daemon's log", lambda: f":::{mark}:head" in self._text(), 30, 0.3)
        found = re.finditer(rf" do_op osd_op\((client\S+) \S+ \S+:::{re.escape(on)}:head \[(.*?)\]", self._text())
        return {one.group(1) for one in found if what in one.group(2)}

    def clients(self, on: str, what: str) -> set[str]:
        return {operation.partition(":")[0] for operation in self.operations(on, what)}

    def _text(self) -> str:
        return self.file.read_text(errors="replace")


class CephWorld:
    """Site a of a real lab whose mirror daemons are dead: they alone would remove the mirror snapshot that each act
    on a role leaves behind, and by which it is counted.
    """

    during_is_certain = False

    def __init__(self, folder: Path, conf: Path, engine: str) -> None:
        self.folder, self.conf, self.engine = folder, conf, engine
        self.before: dict[str, int] = {}
        self.daemons: list[subprocess.Popen[str]] = []
        (folder / "salvage").mkdir(parents=True)
        self.osd = OsdLog(conf.parent / "log" / "osd.log", self.run)

    def end(self) -> None:
        for daemon in self.daemons:
            daemon.kill()
            daemon.wait()
        self.osd.end()

    def start(self, *, env: dict[str, str] | None = None, **options: Any) -> SiteProcess:
        arguments = ("--engine", self.engine, "--salvage", str(self.folder / "salvage"))
        env = {"CEPH_CONF": str(self.conf), "TEST_CALLS": str(self.folder / "started"), **(env or {})}
        return SiteProcess(self.folder, *arguments, env=env, python=SYSTEM_PYTHON, **options)

    def run(self, *argv: str) -> str:
        done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "CEPH_CONF": str(self.conf)})
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout

    def prepared(self, case: Case) -> dict[str, Any]:
        verb, number = case.verb, next(numbers)
        if verb in ("fence", "unfence"):
            fields = blocking(verb, number)
            if verb == "unfence":
                self.run("ceph", "osd", "blocklist", "add", fields["addresses"][0], "600")
            return fields
        name, primary = f"fault-{self.engine}-{number}", verb in STARTS_PRIMARY
        features = "layering,exclusive-lock" + (",journaling" if case.mode == "journal" else "")
        self._make(name, features, written=verb in SALVAGES)
        self.run("rbd", "mirror", "image", "enable", f"one/{name}", case.mode)
        if not primary:
            self.run("rbd", "mirror", "image", "demote", f"one/{name}")
        fields = order(verb, name, f"operation-{self.engine}-{number}", primary=primary)
        fields["expect"].update(self._identity(name))
        fields["expect"].pop("newest_snapshot", None)
        if verb == "promote" and case.mode == "snapshot":
            newest = self._snapshots(name)[-1]
            about = {name: newest["namespace"][name] for name in ("state", "complete")}
            fields["expect"]["newest_snapshot"] = {"snap_id": newest["id"], **about}
        self.before[name] = self._count(case, name)
        return freeing(fields, self._daemon(name)) if verb == "free" else fields

    def _make(self, name: str, features: str, *, written: bool) -> None:
        if not written:
            self.run("rbd", "create", "--size", "4", "--image-feature", features, f"one/{name}")
            return
        content = self.folder / "content"
        content.write_bytes(os.urandom(4 << 20))
        self.run("rbd", "import", "--no-progress", "--image-feature", features, str(content), f"one/{name}")

    def _identity(self, name: str) -> dict[str, str]:
        about = json.loads(self.run("rbd", "info", "--format", "json", f"one/{name}"))
        return {"image_id": about["id"], "global_id": about["mirroring"]["global_id"]}

    def _daemon(self, name: str) -> str:
        """The address of one that has the image open."""
        daemon = subprocess.Popen(
            [SYSTEM_PYTHON, "-c", _DAEMON, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "CEPH_CONF": str(self.conf)},
        )
        self.daemons.append(daemon)
        assert daemon.stdout is not None
        return daemon.stdout.readline().strip()

    def _count(self, case: Case, name: str) -> int:
        """What grows with every act: mirror snapshots, or tags of the journal; and what only the storage daemon tells.

        A resync that is ordered twice looks like one that is ordered once, and an export changes nothing in Ceph.
        """
        if case.verb in ("resync", *SALVAGES):
            return self._carried_out(case, self._identity(name)["image_id"])
        return len(self._snapshots(name)) if case.mode == "snapshot" else self._tags(name)

    def _carried_out(self, case: Case, image_id: str) -> int:
        if case.verb in SALVAGES:
            return len(self.osd.clients(f"rbd_data.{image_id}.0000000000000000", "read "))
        if case.mode == "snapshot":
            return len(self.osd.operations(f"rbd_header.{image_id}", "call rbd.metadata_set "))
        return len(self.osd.operations(f"journal.{image_id}", "call journal.client_update_data "))

    def _tags(self, name: str) -> int:
        kept = self.folder / f"tags-{name}"
        image_id = self._identity(name)["image_id"]
        self.run("rados", "-p", "one", "getomapval", f"journal.{image_id}", "next_tag_tid", str(kept))
        return int(struct.unpack("<Q", kept.read_bytes())[0])

    def _snapshots(self, name: str) -> list[dict[str, Any]]:
        found = json.loads(self.run("rbd", "snap", "ls", "--all", "--format", "json", f"one/{name}"))
        return sorted(found, key=lambda snapshot: int(snapshot["id"]))

    def effects(self, case: Case, fields: dict[str, Any]) -> int:
        if case.verb in ("fence", "unfence", "free"):
            return self._audited("rm" if case.verb == "unfence" else "add", fields["addresses"][0])
        grown = self._count(case, fields["image"]) - self.before[fields["image"]]
        if case.verb == "salvage-export":
            return grown * exported(self.folder / "salvage", fields)  # read, and not written whole, is nothing
        if case.verb == "salvage-copy":
            return grown * whole_copies(json.loads(self.run("rbd", "ls", "one", "--format", "json")), fields)
        # A demotion takes a tag for the lock and one for itself; killed between the two it has not happened.
        return grown // 2 if case == Case("demote", "journal") else grown

    def _audited(self, word: str, address: str) -> int:
        """How often the monitors carried it out, by their own log. It is written in order: a mark tells how far."""
        mark = f"10.10.{next(numbers) % 250}.{next(numbers) % 250}:0/{os.getpid()}"
        self.run("ceph", "osd", "blocklist", "add", mark, "60")
        log = wait_until("the monitors' log", lambda: self._log_with(mark), 30, 0.5)
        finished = [line for line in log.splitlines() if line.endswith("finished") and f'"{address}"' in line]
        prepared = int(word == "rm")  # its own line is an "add"
        added = len([line for line in finished if '"blocklistop": "add"' in line]) - prepared
        assert added == 0 or word == "add", finished
        return added if word == "add" else len([line for line in finished if '"blocklistop": "rm"' in line])

    def _log_with(self, mark: str) -> str:
        log = self.run("ceph", "log", "last", "10000", "info", "audit")
        return log if any(mark in line and line.endswith("finished") for line in log.splitlines()) else ""

    def calls(self, fields: dict[str, Any]) -> int:
        return len(lines_about(self.folder / "started", changed(fields)))

    def begun(self, fields: dict[str, Any]) -> dict[str, str]:
        return {}


def blocking(verb: str, number: int) -> dict[str, Any]:
    address = f"10.9.{number // 250}.{number % 250}:0/77"
    fields = {"op": f"operation-{number}", "group": "group-1", "fence": 1, "shown": f"ceph osd blocklist {verb}"}
    more = {"expire_s": 600} if verb == "fence" else {}
    return {**fields, **more, "pool": "one", "addresses": [address]}


def freeing(fields: dict[str, Any], address: str) -> dict[str, Any]:
    return {**fields, "addresses": [address], "expire_s": 600}


def exported(folder: Path, fields: dict[str, Any]) -> int:
    """Whole files; half of one is nothing."""
    return len([file for file in folder.glob("*.rbd-diff") if fields["op"] in file.name])


def whole_copies(images: Iterable[str], fields: dict[str, Any]) -> int:
    kept = kept_name(fields)
    assert f"{kept}.part" not in images or kept not in images, "one copy has two names"
    return int(kept in images)


def ended(program: SiteProcess, op: str, patience_s: float = 90.0) -> dict[str, Any]:
    """The receipt, once what was begun has come to an end and Ceph tells how."""
    ends = time.monotonic() + patience_s
    while True:
        answer = program.ask("receipt", op=op, wait_s=30)
        assert answer["ok"], answer
        if answer["receipt"]["state"] != "begun":
            return dict(answer["receipt"])
        assert time.monotonic() < ends, answer["receipt"]
        time.sleep(0.5)
