"""The exposure that is shown, held against what a loss of the site at that moment really costs: on real Ceph, images of
both modes side by side.

A guest's writes are numbered, and the time is kept at which it was told of each. *Since 12:00:00* claims that whatever
was acknowledged before is at the copy; the copy itself says what is.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from drportal.inventory.discovery import discover
from drportal.inventory.exposure import FLUSH_EVERY_S
from drportal.inventory.introduce import introduce
from drportal.inventory.models import MirroredImage
from drportal.lab.control import LabClient, LabError
from tests.conftest import Person
from tests.inventory.test_polling import polling_now, until
from tests.stack import LabProcess

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.ceph, pytest.mark.slow]

QUIET, STEADY, BURST = (0, 0.1), (1, 0.2), (200, 0.0)  # writes a call, pause after it
TOO_LATE_S = 0.5  # a call and its answer: the guest may have been told so much before we were


class Guest:
    """Of one image: writes on as fast as it is told to, and knows when each write was acknowledged."""

    def __init__(self, lab: LabClient, image: str) -> None:
        self.lab, self.image, self.pace = lab, image, QUIET
        self._told: list[tuple[int, dt.datetime]] = []
        self._number, self._end = 1, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Guest:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._end.is_set():
            count, pause_s = self.pace
            if count:
                try:
                    self.write(count)
                except LabError:
                    return  # the site is dead: of this one nobody was told
            self._end.wait(pause_s)

    def write(self, count: int) -> None:
        self.lab.guest_write("a", self.image, self._number, count)
        self._told.append((self._number + count - 1, dt.datetime.now(dt.UTC)))
        self._number += count

    def first_lost(self, held: dict[str, Any]) -> dt.datetime | None:
        """When the first of the acknowledged writes that are not in this copy was acknowledged."""
        newest = held["writes"][-1] if held["writes"] else 0
        return next((at for number, at in list(self._told) if number > newest), None)


@pytest.fixture(scope="module")
def real_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabClient]:
    """Of web-1, in journal mode, and db-1, two disks in snapshot mode with a schedule of a minute."""
    with LabProcess("ceph", tmp_path_factory.mktemp("truth") / "lab", vms=2) as lab:
        yield lab.client


class Moments:
    """Looks at page and copies at the same moment, and keeps what was found: (when, mode, shown, lost) in seconds."""

    def __init__(self, lab: LabClient, guests: list[Guest], viewer: Person) -> None:
        self.lab, self.guests, self.viewer = lab, guests, viewer
        self.rows = {row.name: row for row in MirroredImage.objects.all()}
        self.found: list[tuple[dt.datetime, str, float | None, float]] = []

    def shown(self, guest: Guest) -> dict[str, Any]:
        exposure: dict[str, Any] = self.viewer.read(f"/images/{self.rows[guest.image].pk}")["exposure"]
        return exposure

    def look(self, what: str, *, freeze: bool = True) -> None:
        """``freeze``: the copy's daemon, so that the copy stays as the loss of the site would find it."""
        before = [self.shown(guest) for guest in self.guests]
        if freeze:
            self.lab.fail("b", "rbd-mirror-hung")
        now = dt.datetime.now(dt.UTC)
        copies = [self.lab.held("b", guest.image) for guest in self.guests]
        after = [self.shown(guest) for guest in self.guests]
        if freeze:
            self.lab.restore("b", "rbd-mirror-hung")
        for guest, held, *both in zip(self.guests, copies, before, after, strict=True):
            self.hold_against(what, guest, guest.first_lost(held), now, both)

    def worst_of_the_day(self) -> dict[str, float]:
        """By mode, as the chart has it."""
        rows = [self.rows[guest.image] for guest in self.guests]
        return {row.mode: self.viewer.read(f"/images/{row.pk}/exposure")["worst"]["day"]["seconds"] for row in rows}

    def hold_against(
        self, what: str, guest: Guest, lost: dt.datetime | None, now: dt.datetime, shown: list[dict[str, Any]]
    ) -> None:
        lost_s = max(0.0, (now - lost).total_seconds()) if lost else 0.0
        for one in shown:
            assert one["kind"] != "nothing", f"{what}: {guest.image} is written to"
            since = dt.datetime.fromisoformat(one["since"]) if one["kind"] == "measured" else None
            shown_s = (now - since).total_seconds() if since else None
            self.found.append((now, self.rows[guest.image].mode, shown_s, lost_s))
            print(f"{what}: {guest.image} ({self.rows[guest.image].mode}) shown {shown_s}, lost {lost_s:.1f}")
            assert since is None or lost is None or since <= lost + dt.timedelta(seconds=TOO_LATE_S), (
                f"{what}: {guest.image} shows {shown_s:.1f} s, and a loss of the site would cost {lost_s:.1f} s"
            )


async def test_the_portal_never_shows_less_than_a_loss_at_that_moment_costs(
    real_lab: LabClient, transactional_db: None, viewer: Person
) -> None:
    names = ("one-10", "one-11")
    await sync_to_async(lambda: discover(introduce(real_lab.description).pk))()
    with Guest(real_lab, names[0]) as journal, Guest(real_lab, names[1]) as snapshot:
        guests = [journal, snapshot]
        moments = await sync_to_async(lambda: Moments(real_lab, guests, viewer))()

        async def look(what: str, after_s: float, **how: bool) -> None:
            await asyncio.sleep(after_s)
            await sync_to_async(moments.look)(what, **how)

        def write_at(pace: tuple[int, float]) -> None:
            for guest in guests:
                guest.pace = pace

        async with polling_now(1.0):
            await until("both are measured", lambda: all(moments.shown(one)["kind"] == "measured" for one in guests))
            for guest in guests:
                guest.write(1)
            await look("idle, but for one write", 1.0)
            write_at(STEADY)
            for _ in range(3):
                await look("written to", 9.0)
            write_at(BURST)
            for _ in range(2):
                await look("written to without a pause", 5.0)
            write_at(STEADY)
            for _ in range(2):
                await look("after the rush", 10.0)
            real_lab.fail("b", "rbd-mirror-down")
            await look("the daemon is dead", 12.0, freeze=False)
            real_lab.restore("b", "rbd-mirror-down")
            for after_s in (40.0, 8.0):  # its dead predecessor's watch has to expire first
                await look("the daemon is back", after_s)
            shown = await sync_to_async(lambda: [moments.shown(guest) for guest in guests])()
            real_lab.fail("a", "site-down")
            at = dt.datetime.now(dt.UTC)
            await look("the site is dead", 35.0, freeze=False)
            await asyncio.to_thread(force_at_b, real_lab, names)
            for guest, one in zip(guests, shown, strict=True):
                lost = guest.first_lost(real_lab.held("b", guest.image))
                moments.hold_against("forced", guest, lost, at, [one])
        worst = await sync_to_async(moments.worst_of_the_day)()
        written_down = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=FLUSH_EVERY_S + 5)
    for mode in ("journal", "snapshot"):
        ours = [(shown_s, lost_s) for _, of, shown_s, lost_s in moments.found if of == mode]
        assert sum(shown_s is not None for shown_s, _ in ours) > len(ours) // 2, "most often there is a figure"
        assert max(lost_s for _, lost_s in ours) > 5, "there was something to lose"
        drawn = [lost_s for now, of, _, lost_s in moments.found if of == mode and now < written_down]
        assert worst[mode] >= max(drawn), "nor does the curve"


def force_at_b(lab: LabClient, names: tuple[str, ...]) -> None:
    """As a person at a shell would: the daemon, which clings to its dead peer, is taken away first."""
    conf = Path(lab.directory) / "ceph" / "b" / "ceph.conf"
    lab.fail("b", "rbd-mirror-down")
    for name in names:
        words = ["rbd", "-c", str(conf), "mirror", "image", "promote", "--force", f"one/{name}"]
        subprocess.run(words, check=True, timeout=120, capture_output=True)
