"""A Ceph that is not one, for the tests of the program's own behaviour."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.site_program.running import SiteProcess
from tests.stack import LabProcess, wait_until


class FakeCeph:
    """Images by name; ``act_s``: how long an act takes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir(parents=True)
        body = Path(__file__).with_name("fake_ceph.py").read_text()
        for program in ("rbd", "rados", "ceph"):
            file = folder / "bin" / program
            file.write_text(f"#!{sys.executable} -I\n{body}")
            file.chmod(0o755)
        (folder / "calls").touch()
        self.write({"images": {}})

    @property
    def env(self) -> dict[str, str]:
        return {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "FAKE_CEPH": str(self.folder)}

    def read(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        return state

    def write(self, state: dict[str, Any]) -> None:
        (self.folder / "state.new2").write_text(json.dumps(state))
        (self.folder / "state.new2").rename(self.folder / "state.json")

    def set(self, **values: Any) -> None:
        self.write({**self.read(), **values})

    def image(self, name: str, *, primary: bool, mode: str = "snapshot", **more: Any) -> None:
        snapshot = {"id": 7, "state": "primary" if primary else "demoted", "complete": True}
        about = {"primary": primary, "mode": mode, "watchers": [], "snapshots": [snapshot], **more}
        state = self.read()
        self.write({**state, "images": {**state["images"], name: about}})

    def effects(self, on: str) -> int:
        """How often that image, or that address, was changed."""
        file = self.folder / "effects"
        lines = file.read_text().splitlines() if file.exists() else []
        return [json.loads(line)["on"] for line in lines].count(on)

    def most_at_once(self) -> int:
        """How many acts were under way at the same time, at most."""
        under_way = most = 0
        for line in (self.folder / "spans").read_text().splitlines():
            under_way += json.loads(line)["now"]
            most = max(most, under_way)
        return most

    def begun(self, on: str) -> Path:
        """The file that is there once the act on it goes on."""
        return self.folder / "begun" / on.replace("/", "-")

    def calls(self, *, acts_only: bool = True) -> list[list[str]]:
        """The argument lists of what was started; of the acts only those that change something."""
        lines = [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]
        changing = ("demote", "promote", "resync", "export-diff", "copy", "add", "rm")
        return [line for line in lines if not acts_only or any(word in changing for word in line) or "snapshot" in line]


@pytest.fixture
def ceph(tmp_path: Path) -> FakeCeph:
    return FakeCeph(tmp_path / "ceph")


@pytest.fixture
def program(tmp_path: Path, ceph: FakeCeph) -> Iterator[SiteProcess]:
    with SiteProcess(tmp_path, "--engine", "rbd", env=ceph.env) as program:
        yield program


def order(verb: str, image: str, op: str, *, primary: bool, fence: int = 1, **expect: Any) -> dict[str, Any]:
    """The fields of an act on an image of the fake Ceph."""
    if verb in ("demote", "resync"):
        expect.setdefault("watchers", "mirroring")
    if verb == "promote":
        newest = {"snap_id": 7, "state": "demoted", "complete": True, "primary_snap_id": None}
        expect.setdefault("newest_snapshot", newest)
    fields: dict[str, Any] = {
        "op": op,
        "group": "group-1",
        "fence": fence,
        "shown": f"rbd mirror image {verb} one/{image}",
        "pool": "one",
        "image": image,
        "expect": {"image_id": f"id-{image}", "global_id": f"g-{image}", "primary": primary, **expect},
    }
    return {**fields, "approval": "a" * 64} if verb == "force-promote" else fields


@pytest.fixture(scope="package")
def real_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The ceph.conf of site a."""
    folder = tmp_path_factory.mktemp("program") / "lab"
    conf = folder / "ceph" / "a" / "ceph.conf"
    with LabProcess("ceph", folder, vms=0) as lab:
        for site in ("a", "b"):
            lab.client.fail(site, "rbd-mirror-down")
        # nobody else shall make the snapshots that are counted
        rbd = ["rbd", "-c", str(conf), "mirror", "snapshot", "schedule"]
        for schedule in json.loads(subprocess.check_output([*rbd, "ls", "--pool", "one", "--format", "json"])):
            subprocess.run([*rbd, "remove", "--pool", "one", schedule["interval"]], check=True)
        watching = ["rados", "-c", str(conf), "-p", "one", "listwatchers", "rbd_mirroring"]
        wait_until("the dead daemons are forgotten", lambda: not subprocess.check_output(watching), 90, 1.0)
        yield conf
