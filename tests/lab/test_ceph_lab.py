"""The real lab: two Ceph clusters, sshd and OpenNebula's lab side, as the portal and the tests will meet them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drportal.lab.ceph import commands
from drportal.lab.ceph.lab import CephLabOptions, extra_images, planned_vms
from drportal.lab.control import LabClient, LabError
from tests.bench.peers import run_peer, ssh_config
from tests.stack import ROOT, LabProcess, wait_until

LIMITS = "timeout -k 5 10 rbd --client-mount-timeout 5 --rados-mon-op-timeout 5 --rados-osd-op-timeout 5"
WEB, DB, APP = "one-10", "one-11", "one-13"  # first disks of web-1 (journal), db-1 (snapshot), app-1 (journal)


@pytest.fixture(scope="module")
def ceph() -> None:
    missing = commands.missing_packages()
    if missing and os.environ.get("DRPORTAL_REQUIRE_CEPH") == "1":
        pytest.fail(f"real Ceph is required here; install it with: apt-get install {' '.join(missing)}")
    if missing:
        pytest.skip("ceph packages are not installed")


@pytest.fixture(scope="module")
def lab(ceph: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabClient]:
    with LabProcess("ceph", tmp_path_factory.mktemp("ceph") / "lab", vms=3, mode="mixed") as process:
        yield process.client


def ssh(lab: LabClient, site: str, command: str, patience_s: float = 20) -> subprocess.CompletedProcess[str]:
    with ssh_config({"site": lab.description.sites[site].ssh}) as config:
        words = ["ssh", "-F", str(config), "-o", "ConnectTimeout=4", "-o", "ControlPath=none", "site", command]
        return subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=patience_s)


def read(lab: LabClient, site: str, words: str) -> Any:
    done = ssh(lab, site, f"{LIMITS} {words} --format json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def open_nebula(lab: LabClient, site: str, method: str, *args: Any) -> Any:
    access = lab.description.sites[site].opennebula
    answer = xmlrpc.client.ServerProxy(access.url).one.__getattr__(method)(
        f"{access.username}:{access.password}", *args
    )
    assert isinstance(answer, list)
    assert answer[0], answer
    return answer[1]


def vm_id(lab: LabClient, name: str) -> int:
    return next(int(number) for number, vm in lab.status()["sites"]["a"]["vms"].items() if vm["name"] == name)


def change_vm(lab: LabClient, name: str, action: str, state: str) -> None:
    number = vm_id(lab, name)
    open_nebula(lab, "a", "vm.action", action, number)
    wait_until(f"{name} is {state}", lambda: lab.status()["sites"]["a"]["vms"][str(number)]["state"] == state, 30)


def watchers(lab: LabClient, site: str, image: str) -> int:
    return len(read(lab, site, f"status one/{image}")["watchers"])


def left_over(folder: Path) -> list[str]:
    """Programs whose command line names the lab's folder."""
    lines = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if f"{folder}/ceph" in words:
                lines.append(words)
    return lines


def test_it_names_the_packages_it_lacks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands.shutil, "which", lambda program, path=None: None)
    assert commands.main(["up", str(tmp_path / "lab"), "--kind", "ceph"]) == 2
    said = capsys.readouterr().err
    assert "apt-get install" in said
    assert "ceph-mon ceph-osd" in said
    assert not (tmp_path / "lab").exists()


def test_vms_and_images_follow_the_pattern_of_both_labs() -> None:
    vms = planned_vms(CephLabOptions(vms=4, mode="mixed"))
    assert [vm.name for vm in vms] == ["web-1", "db-1", "app-1", "web-2"]
    assert vms[1].disks == (("one-11", "snapshot"), ("one-12", "snapshot"))
    assert vms[3].disks == (("one-15", "journal"),)
    assert [mode for _, mode in extra_images(CephLabOptions(images=3, mode="mixed"))] == [
        "journal",
        "snapshot",
        "journal",
    ]


@pytest.mark.ceph
@pytest.mark.slow
class TestOneLab:
    def test_both_sites_answer_over_ssh_with_the_pinned_key(self, lab: LabClient) -> None:
        assert read(lab, "a", f"info one/{WEB}")["mirroring"]["primary"] is True
        assert read(lab, "b", f"info one/{WEB}")["mirroring"]["primary"] is False
        assert read(lab, "a", f"info one/{DB}")["mirroring"]["mode"] == "snapshot"
        assert len(lab.status()["sites"]["a"]["images"]) == 5

    def test_a_running_vm_holds_its_image_open_until_it_is_off(self, lab: LabClient) -> None:
        assert watchers(lab, "a", WEB) == 1
        change_vm(lab, "web-1", "poweroff-hard", "POWEROFF")
        assert watchers(lab, "a", WEB) == 0
        change_vm(lab, "web-1", "resume", "RUNNING")
        assert watchers(lab, "a", WEB) == 1

    def test_data_depend_on_the_seed_only_and_reach_the_other_side(self, lab: LabClient) -> None:
        lab.write("a", APP, seed="one")
        first = lab.checksum("a", APP)
        lab.write("a", APP, seed="two")
        assert lab.checksum("a", APP) != first
        lab.write("a", APP, seed="one")
        assert lab.checksum("a", APP) == first
        wait_until("the data are at site b", lambda: lab.checksum("b", APP) == first, 60, 1)

    def test_it_refuses_to_write_to_a_copy(self, lab: LabClient) -> None:
        before = lab.checksum("b", WEB)
        with pytest.raises(LabError, match="is not primary at site b"):
            lab.write("b", WEB, seed="no")
        assert lab.checksum("b", WEB) == before

    def test_it_refuses_what_only_the_embedded_lab_can_do(self, lab: LabClient) -> None:
        with pytest.raises(LabError, match="only the embedded lab can"):
            lab.fail("a", "slow-replay")
        with pytest.raises(LabError, match="has no fault 'earthquake'"):
            lab.fail("a", "earthquake")
        assert lab.status()["sites"]["a"]["faults"] == {}

    def test_a_mirror_daemon_can_die_or_hang_and_come_back(self, lab: LabClient) -> None:
        for fault, state in (("rbd-mirror-down", "dead"), ("rbd-mirror-hung", "hung")):
            began = time.monotonic()
            lab.fail("b", fault)
            assert lab.status()["sites"]["b"]["rbd_mirror"] == state
            lab.restore("b", fault)
            assert lab.status()["sites"]["b"]["rbd_mirror"] == "running"
            assert time.monotonic() - began < 10

    def test_another_host_key_is_refused_by_who_pinned_the_old_one(self, lab: LabClient) -> None:
        lab.fail("b", "wrong-host-key")
        refused = ssh(lab, "b", "true")
        assert refused.returncode == 255
        assert "verification failed" in refused.stderr
        lab.restore("b", "wrong-host-key")
        assert ssh(lab, "b", "true").returncode == 0

    def test_front_end_faults_are_passed_on(self, lab: LabClient) -> None:
        lab.fail("a", "opennebula-down")
        with pytest.raises(ConnectionRefusedError):
            open_nebula(lab, "a", "system.version")
        lab.restore("a", "opennebula-down")
        assert open_nebula(lab, "a", "system.version")

    def test_a_dead_site_refuses_everything_and_comes_back_with_its_vms(self, lab: LabClient) -> None:
        before = lab.checksum("a", WEB)
        lab.fail("a", "site-down")
        assert lab.status()["sites"]["a"]["alive"] is False
        assert ssh(lab, "a", "true").returncode == 255
        with pytest.raises(ConnectionRefusedError):
            open_nebula(lab, "a", "system.version")
        with pytest.raises(LabError, match="nobody can read or write there"):
            lab.checksum("a", WEB)
        lab.restore("a")
        assert lab.status()["sites"]["a"]["alive"] is True
        assert lab.checksum("a", WEB) == before
        assert open_nebula(lab, "a", "system.version")
        wait_until("the dead hypervisor's watch has expired", lambda: watchers(lab, "a", WEB) == 1, 60, 1)

    def test_a_hung_site_accepts_and_never_answers(self, lab: LabClient) -> None:
        lab.fail("b", "site-hung")
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                ssh(lab, "b", "true", patience_s=3)
        finally:
            lab.restore("b")
        assert read(lab, "b", f"info one/{WEB}")["mirroring"]["primary"] is False

    def test_the_shell_programs_move_images_of_both_modes(self, lab: LabClient) -> None:
        images = ["one-11", "one-12", "one-13", "one-14"]
        for vm in ("db-1", "app-1"):
            change_vm(lab, vm, "poweroff-hard", "POWEROFF")
        for image in images:
            lab.write("a", image, seed=f"moved {image}")
        before = {image: lab.checksum("a", image) for image in images}
        assert run_peer(lab, "xargs", images, "a", "b") > 0
        assert {image: lab.checksum("b", image) for image in images} == before
        roles = {site: lab.status()["sites"][site]["images"] for site in ("a", "b")}
        assert [roles["a"][image]["primary"] for image in images] == [False] * 4
        assert [roles["b"][image]["primary"] for image in images] == [True] * 4


@pytest.mark.ceph
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_when_the_process_ends(ceph: None, tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "lab"
    words = [sys.executable, "-m", "drportal.lab", "up", str(folder), "--kind", "ceph", "--vms", "0"]
    with (tmp_path / "log").open("wb") as out:
        process = subprocess.Popen(words, cwd=ROOT, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        wait_until("the lab is up", lambda: (folder / "lab.json").exists() or process.poll() is not None, 60)
        assert process.poll() is None, (tmp_path / "log").read_text()
        assert len(left_over(folder)) >= 10
        process.send_signal(number)
        process.wait(30)
        wait_until("its programs are gone", lambda: not left_over(folder), 10)
    finally:
        process.kill()
        process.wait()
    if number != signal.SIGKILL:
        assert not (folder / "lab.json").exists()
        assert not (folder / "ceph").exists()
