"""Where the fault tests act: on the stand-in for Ceph, and on a real cluster with either engine.

A world makes images in the state from which an act starts, and counts what really happened to them.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from tests.site_program.conftest import FakeCeph, order
from tests.site_program.running import SYSTEM_PYTHON, SiteProcess

IMAGE_VERBS = ("demote", "promote", "force-promote", "resync", "mirror-snapshot", "salvage-export")
VERBS = (*IMAGE_VERBS, "fence", "unfence")
STARTS_PRIMARY = ("demote", "mirror-snapshot", "salvage-export")
numbers = itertools.count(1)


class World(Protocol):
    verbs: tuple[str, ...]

    def start(self, **options: Any) -> SiteProcess: ...

    def prepared(self, verb: str) -> dict[str, Any]:
        """The fields of an act that may be done now, with an operation id of its own."""
        ...

    def effects(self, verb: str, fields: dict[str, Any]) -> int:
        """How often it has been done, by the word of Ceph itself (0 or 1 where that can't be counted)."""
        ...


class FakeWorld:
    verbs = (*VERBS, "free")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ceph = FakeCeph(folder / "ceph")
        self.ceph.set(act_s=0.4)
        (folder / "salvage").mkdir()

    def start(self, **options: Any) -> SiteProcess:
        return SiteProcess(
            self.folder, "--engine", "rbd", "--salvage", str(self.folder / "salvage"), env=self.ceph.env, **options
        )

    def prepared(self, verb: str) -> dict[str, Any]:
        number = next(numbers)
        if verb in ("fence", "unfence"):
            return blocking(verb, number, self._listed)
        daemons = [9000 + number] if verb == "free" else []
        if daemons:
            self.ceph.set(mirroring=[*self.ceph.read().get("mirroring", [4109]), *daemons])
        self.ceph.image(f"disk-{number}", primary=verb in STARTS_PRIMARY, watchers=daemons)
        if verb == "free":
            return freeing(f"disk-{number}", number, daemons[0])
        return order(verb, f"disk-{number}", f"operation-{number}", primary=verb in STARTS_PRIMARY)

    def _listed(self, address: str, listed: bool) -> None:
        if listed:
            (self.ceph.folder / "blocklist").write_text(address)

    def effects(self, verb: str, fields: dict[str, Any]) -> int:
        if verb in ("fence", "unfence"):
            file = self.ceph.folder / "blocklist"
            there = file.exists() and fields["addresses"][0] in file.read_text()
            return int(there is (verb == "fence"))
        if verb == "free":
            added = [call for call in self.ceph.calls() if "add" in call and fields["addresses"][0] in call]
            return len(added)
        if verb == "salvage-export":
            return exported(self.folder / "salvage", fields)
        return int(self.ceph.read()["images"][fields["image"]]["effects"])


class CephWorld:
    """Site a of a real lab whose mirror daemons are dead: they alone would remove the mirror snapshot that each act
    on a role leaves behind, and by which it is counted. So there is nobody to be freed from, either.
    """

    verbs = VERBS

    def __init__(self, folder: Path, conf: Path, engine: str) -> None:
        self.folder, self.conf, self.engine = folder, conf, engine
        self.before: dict[str, int] = {}
        (folder / "salvage").mkdir(parents=True)

    def start(self, **options: Any) -> SiteProcess:
        arguments = ("--engine", self.engine, "--salvage", str(self.folder / "salvage"))
        return SiteProcess(self.folder, *arguments, env={"CEPH_CONF": str(self.conf)}, python=SYSTEM_PYTHON, **options)

    def run(self, *argv: str) -> str:
        done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "CEPH_CONF": str(self.conf)})
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout

    def prepared(self, verb: str) -> dict[str, Any]:
        number = next(numbers)
        if verb in ("fence", "unfence"):
            return blocking(verb, number, self._listed)
        name = f"fault-{self.engine}-{number}"
        self.run("rbd", "create", "--size", "4", "--image-feature", "layering,exclusive-lock", f"one/{name}")
        self.run("rbd", "mirror", "image", "enable", f"one/{name}", "snapshot")
        if verb not in STARTS_PRIMARY:
            self.run("rbd", "mirror", "image", "demote", f"one/{name}")
        about = json.loads(self.run("rbd", "info", "--format", "json", f"one/{name}"))
        fields = order(verb, name, f"operation-{self.engine}-{number}", primary=verb in STARTS_PRIMARY)
        fields["expect"].update(image_id=about["id"], global_id=about["mirroring"]["global_id"])
        if verb == "promote":
            newest = self._snapshots(name)[-1]
            fields["expect"]["newest_snapshot"] = {
                "snap_id": newest["id"],
                "state": newest["namespace"]["state"],
                "complete": newest["namespace"]["complete"],
            }
        self.before[name] = self._count(verb, fields)
        return fields

    def _listed(self, address: str, listed: bool) -> None:
        if listed:
            self.run("ceph", "osd", "blocklist", "add", address, "600")

    def _count(self, verb: str, fields: dict[str, Any]) -> int:
        if verb == "resync":
            return self.run("rbd", "image-meta", "list", f"one/{fields['image']}").count("resync_requested")
        return len(self._snapshots(fields["image"]))

    def _snapshots(self, name: str) -> list[dict[str, Any]]:
        found = json.loads(self.run("rbd", "snap", "ls", "--all", "--format", "json", f"one/{name}"))
        return sorted(found, key=lambda snapshot: int(snapshot["id"]))

    def effects(self, verb: str, fields: dict[str, Any]) -> int:
        if verb in ("fence", "unfence"):
            there = fields["addresses"][0] in self.run("ceph", "osd", "blocklist", "ls")
            return int(there is (verb == "fence"))
        if verb == "salvage-export":
            return exported(self.folder / "salvage", fields)
        return self._count(verb, fields) - self.before[fields["image"]]


def blocking(verb: str, number: int, listed: Callable[[str, bool], None]) -> dict[str, Any]:
    """Both verbs may be repeated without harm; that it came to be is what can be told."""
    address = f"10.9.{number // 250}.{number % 250}:0/77"
    listed(address, verb == "unfence")
    fields = {"op": f"operation-{number}", "group": "group-1", "fence": 1, "shown": f"ceph osd blocklist {verb}"}
    more = {"expire_s": 600} if verb == "fence" else {}
    return {**fields, **more, "pool": "one", "addresses": [address]}


def freeing(image: str, number: int, client: int) -> dict[str, Any]:
    fields = order("free", image, f"operation-{number}", primary=False)
    return {**fields, "addresses": [f"127.0.0.1:0/{client}"], "expire_s": 600}


def exported(folder: Path, fields: dict[str, Any]) -> int:
    return len([file for file in folder.glob("*.rbd-diff") if fields["op"] in file.name])


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
