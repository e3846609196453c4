"""The rights that `manage.py site caps` tells administrators to give: enough for every verb, and not for what else
there is in a cluster. On real Ceph, through both engines."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from drportal.drivers.site_caps import RIGHTS, USERS, caps_command
from tests.site_program.running import SYSTEM_PYTHON, SiteProcess
from tests.site_program.worlds import CASES, Case, CephWorld, ended

DEMOTION = Case("demote", "snapshot")


class LeastWorld(CephWorld):
    """The administrator prepares and counts; the program runs as one of the two users."""

    def __init__(self, folder: Path, conf: Path, engine: str) -> None:
        super().__init__(folder, conf, engine)
        self.confs = {USERS[rights]: self._conf_of(USERS[rights], rights) for rights in RIGHTS}

    def _conf_of(self, user: str, rights: str) -> Path:
        # The quotes in it are for a shell, as an administrator would paste it.
        command, env = caps_command(user, rights, ["one"]), {**os.environ, "CEPH_CONF": str(self.conf)}
        made = subprocess.run(command, shell=True, check=True, capture_output=True, text=True, env=env)
        keyring, conf = self.folder / f"{user}.keyring", self.folder / f"{user}.conf"
        keyring.write_text(made.stdout)
        kept = [line for line in self.conf.read_text().splitlines() if not re.match(r"\s*keyring\s*=", line)]
        conf.write_text("\n".join([*kept, f"[client.{user}]", f"keyring = {keyring}", ""]))
        return conf

    def as_user(self, user: str, rights: str, **options: Any) -> SiteProcess:
        arguments = ("--engine", self.engine, "--ceph-user", user, "--salvage", str(self.folder / "salvage"))
        env = {"CEPH_CONF": str(self.confs[user]), "TEST_CALLS": str(self.folder / "started")}
        return SiteProcess(self.folder, *arguments, env=env, python=SYSTEM_PYTHON, rights=rights, state=user, **options)

    def refused(self, user: str, *argv: str) -> bool:
        env = {**os.environ, "CEPH_CONF": str(self.confs[user])}
        command = [argv[0], "--id", user, *argv[1:]]
        return subprocess.run(command, capture_output=True, env=env, timeout=60).returncode != 0


@pytest.mark.ceph
@pytest.mark.slow
@pytest.mark.parametrize("engine", ["librbd", "rbd"])
def test_the_documented_rights_are_enough_and_no_more(real_lab: Path, tmp_path: Path, engine: str) -> None:
    world = LeastWorld(tmp_path / "work", real_lab, engine)
    assert set(world.confs) == {"drportal-read", "drportal-act"}
    images = set()  # the clusters are shared, and hold many more
    with world.as_user("drportal-act", "act") as acting:
        for case in CASES:
            fields = world.prepared(case)
            images |= {fields["image"]} if "image" in fields else set()
            answer = acting.ask(case.verb, **fields, wait_s=60)
            assert answer["ok"], (case, answer)
            assert ended(acting, fields["op"])["state"] == "done", case
            assert world.effects(case, fields) == 1, case
    parts = ["pool", "mirror-clients", "info", "status", "journal", "snapshots", "watchers"]
    with world.as_user("drportal-read", "read") as reading:
        answer = reading.ask("observe-pool", pool="one", parts=parts, images=sorted(images))
        assert answer["ok"] is (engine == "librbd"), "the rbd client wants to watch, and so to write"
        # Of the manager, which goes by the caps for it alone. (The lab's own schedule is taken away for these tests.)
        assert reading.ask("schedules", pool="one")["schedules"] == []
    if engine == "rbd":
        with world.as_user("drportal-act", "read") as reading:
            answer = reading.ask("observe-pool", pool="one", parts=parts, images=sorted(images))
    assert answer["ok"], answer
    assert not answer.get("errors"), answer
    image = f"one/{world.prepared(DEMOTION)['image']}"
    world.run("ceph", "osd", "pool", "create", f"other-{engine}", "1")
    for user in world.confs:
        assert world.refused(user, "rados", "-p", f"other-{engine}", "ls"), "another tenant's pool"
        assert world.refused(user, "ceph", "auth", "ls"), "other people's keys"
        assert world.refused(user, "ceph", "osd", "pool", "create", "mine", "1")
    assert world.refused("drportal-read", "rbd", "mirror", "image", "demote", image)
    assert world.refused("drportal-read", "rbd", "resize", "--size", "8", image)
    assert world.effects(DEMOTION, {"image": image.partition("/")[2]}) == 0
    world.end()
