"""A site dies on real Ceph while its VMs write: two people at two browsers force them to the other, it returns, what it
alone held is saved, it is made whole, and all goes home.

Both modes of mirroring in one run (web and app in journal mode, db in snapshot mode), each held to what its own copy
had been sent. Beside the portal a log of what the guests were told is written, and a witness of both clusters.
"""

from __future__ import annotations

import threading
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from drportal.lab.control import LabClient, LabError
from tests.end_to_end.accessible import require_axe
from tests.end_to_end.browser import browser, new_page, shots, sign_in
from tests.end_to_end.test_disaster_in_the_browser import approve, ask, bring_home, protected
from tests.end_to_end.test_in_the_browser import IMAGES, read, written
from tests.stack import LabProcess, PortalClient, PortalStack, wait_until
from tests.witness import PrimaryWitness

KEPT = 256  # a guest's newest writes that its disk still shows
BAND = f"Two primaries: {len(IMAGES)} images can be written at both sites"


class WriteLoad:
    """Each image's guest writes on and on; ``told`` is the number of its newest write that was acknowledged."""

    def __init__(self, lab: LabClient, site: str, pause_s: float = 0.5) -> None:
        self._lab, self._site, self._pause_s = lab, site, pause_s
        self._stop = threading.Event()
        self.told = dict.fromkeys(IMAGES, 0)
        self._threads = [threading.Thread(target=self._write, args=(name,), daemon=True) for name in IMAGES]

    def __enter__(self) -> WriteLoad:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(150)

    def _write(self, name: str) -> None:
        for number in count(1):
            if self._stop.wait(self._pause_s):
                return
            try:
                self._lab.guest_write(self._site, name, number)
            except LabError:
                return  # the site is dead: this one nobody was told of
            self.told[name] = number


def held(lab: LabClient, site: str) -> dict[str, dict[str, Any]]:
    return {name: lab.held(site, name) for name in IMAGES}


def short(copies: dict[str, dict[str, Any]]) -> dict[str, tuple[str, list[int]]]:
    """The content by its hash, and the newest writes in it: a failure that a person can read."""
    return {name: (copy["sha256"], copy["writes"][-3:]) for name, copy in copies.items()}


def replicated(lab: LabClient) -> dict[str, dict[str, Any]]:
    """What B holds once its daemon has done all it can with what it had fetched: a copied snapshot is marked as whole
    only some seconds later."""
    seen: list[dict[str, dict[str, Any]]] = [held(lab, "b")]

    def at_rest() -> bool:
        seen.append(held(lab, "b"))
        return seen[-1] == seen[-2]

    wait_until("site b's copies have come to rest", at_rest, 60, 3.0)
    return seen[-1]


def assert_is_a_moment_of_the_past(copies: dict[str, dict[str, Any]], told: dict[str, int]) -> dict[str, int]:
    """Each copy holds every write up to one, and none after it. Returns that one of each."""
    newest = {}
    for name, copy in copies.items():
        writes = copy["writes"]
        newest[name] = writes[-1] if writes else 0
        assert 0 < newest[name] <= told[name] + 1, f"{name}: {newest[name]}, told {told[name]}"
        assert writes == list(range(max(1, newest[name] - KEPT + 1), newest[name] + 1)), f"{name}: {writes}"
    return newest


def assert_saved(lab: LabClient, before: dict[str, dict[str, Any]], newest: dict[str, int]) -> int:
    """What the lost site alone held is in the files that were saved. Returns how many writes that are."""
    directory, lost = Path(lab.description.sites["a"].salvage), 0
    for name, copy in before.items():
        (file,) = directory.glob(f"{name}.*.rbd-diff")
        data = file.read_bytes()
        only_there = [number for number in copy["writes"] if number > newest[name]]
        missing = [number for number in only_there if f"{name} {number:010} ".encode() not in data]
        assert not missing, f"{file} lacks writes {missing}"
        lost += len(only_there)
    return lost


def everybody_runs_at(lab: LabClient, site: str) -> None:
    running = {
        key: sorted(vm["name"] for vm in there["vms"].values() if vm["state"] == "RUNNING")
        for key, there in lab.status()["sites"].items()
    }
    assert running == {"a": [], "b": [], site: ["app-1", "db-1", "web-1"]}


def both_sides_protected(lab: LabClient, viewer: PortalClient) -> None:
    def equal_and_said_so() -> bool:
        verdicts = {image["verdict"] for image in viewer.get("/pairs/1/images")["items"]}
        return verdicts == {"protected"} and held(lab, "a") == held(lab, "b")

    wait_until("both sides hold the same, and the portal says protected", equal_and_said_so, 240, 3.0)


def force_to_b(operator: Page, approver: Page, pictures: Path) -> float:
    """Returns when the approver was about to decide."""
    expect(operator.get_by_text("Not reachable").first).to_be_visible(timeout=90_000)
    ask(operator, pictures)
    decided_at = time.time()
    approve(approver, pictures)
    expect(approver.get_by_text("Completed", exact=True).first).to_be_visible(timeout=300_000)
    return decided_at


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("kind", [pytest.param("ceph", marks=pytest.mark.ceph)])
def test_a_lost_site_s_group_is_forced_made_whole_and_brought_home(
    kind: str, tmp_path: Path, require_ceph: None, require_browser: None
) -> None:
    require_axe()
    pictures = shots(tmp_path) / "lost"
    with (
        LabProcess(kind, tmp_path / "lab", vms=3, mode="mixed") as process,
        PortalStack(tmp_path, process) as portal,
        browser() as chrome,
        new_page(chrome, portal.base_url) as operator,
        new_page(chrome, portal.base_url) as approver,
    ):
        lab, viewer = process.client, portal.client("viewer")
        protected(portal)
        sign_in(operator, "operator")
        sign_in(approver, "approver")
        with WriteLoad(lab, "a") as load:
            wait_until("some of the load is at b", lambda: all(c["writes"] for c in held(lab, "b").values()), 150, 3.0)
            lab.fail("a", "site-down", power="lost")
        sent = replicated(lab)
        newest = assert_is_a_moment_of_the_past(sent, load.told)

        with PrimaryWitness(lab) as witness:
            decided_at = force_to_b(operator, approver, pictures)
        assert not witness.running_twice and not witness.blind
        assert {name for _, name in witness.two_primaries} == set(IMAGES), "A's copies were primary when it died"
        assert min(at for at, _ in witness.two_primaries) > decided_at, "nothing was forced before the yes"
        assert viewer.get("/plans/1")["active_site"] == "site-b"
        everybody_runs_at(lab, "b")
        assert short(held(lab, "b")) == short(sent), "what was forced is what was replicated, no more and no less"
        away = written(lab, "b", "away")

        lab.restore("a")
        operator.goto("/")
        expect(operator.get_by_text(BAND)).to_be_visible(timeout=180_000)
        wait_until("its quarantine has seen it", lambda: viewer.get("/overview")["returned"], 60, 1.0)
        diverged = held(lab, "a")
        for name, copy in diverged.items():
            assert load.told[name] in copy["writes"], f"{name}: an acknowledged write is not even at home"
        with PrimaryWitness(lab) as witness:
            bring_home(operator, pictures)
        assert not witness.running_twice and not witness.blind
        print(f"writes that were only at the lost site, all saved: {assert_saved(lab, diverged, newest)}")
        assert read(lab, "a") == away
        everybody_runs_at(lab, "a")
        assert viewer.get("/plans/1")["active_site"] == "site-a"
        assert not viewer.get("/overview")["returned"], "nothing of it is a suspect any more"
        both_sides_protected(lab, viewer)
        assert read(lab, "b") == away
        assert portal.client("manager").get("/audit/verify")["ok"] is True
