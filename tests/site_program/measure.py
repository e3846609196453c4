"""How long the site program takes beside plain ``rbd``: ``python -m tests.site_program.measure LAB`` (a real one, up).

Prints milliseconds per image, the median of some rounds that take turns. Both run at site a, without SSH; the images
that are used belong to no VM.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.site_program.conftest import order
from tests.site_program.running import SYSTEM_PYTHON, SiteProcess

ROUNDS = 3
PARTS = ["info", "journal", "snapshots", "status"]


def main(lab: Path) -> None:
    conf = str(lab / "ceph" / "a" / "ceph.conf")
    os.environ["CEPH_CONF"] = conf
    with tempfile.TemporaryDirectory() as folder:
        programs = {
            engine: SiteProcess(Path(folder), "--engine", engine, python=SYSTEM_PYTHON, state=engine)
            for engine in ("librbd", "rbd")
        }
        images = programs["librbd"].ask("observe-pool", pool="one", parts=["info"])["images"]
        names = [
            name
            for name in sorted(images)
            if name.startswith("one-100") and images[name]["info"]["mirroring"]["primary"]
        ]
        print(f"{len(images)} images, {len(names)} of them to act on, load {os.getloadavg()[0]:.1f}")
        taken: dict[str, list[float]] = {}
        for number in range(ROUNDS):
            for what, (count, work) in {**reading(programs, images), **acting(programs, names, images, number)}.items():
                started = time.monotonic()
                work()
                taken.setdefault(what, []).append((time.monotonic() - started) * 1000 / count)
        for what, times in taken.items():
            print(f"{what:60} {statistics.median(times):8.1f} ms per image")
        for program in programs.values():
            program.__exit__()


def rbd(*words: str) -> None:
    subprocess.run(["rbd", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def at_once(names: list[str], *words: str) -> None:
    given = "".join(f"one/{name}\n" for name in names).encode()
    subprocess.run(["xargs", "-P", "8", "-n", "1", "rbd", *words], input=given, stdout=subprocess.DEVNULL, check=True)


def reading(programs: dict[str, SiteProcess], images: dict[str, Any]) -> dict[str, tuple[int, Callable[[], object]]]:
    count, some = len(images), list(images)[:8]
    made: dict[str, tuple[int, Callable[[], object]]] = {
        "read: rbd mirror pool status --verbose": (count, lambda: rbd("mirror", "pool", "status", "one", "--verbose")),
        "read: rbd info, one after the other": (len(some), lambda: [rbd("info", f"one/{name}") for name in some]),
    }
    for engine, program in programs.items():
        made[f"read: program, {engine}: status"] = (
            count,
            lambda p=program: p.ask("observe-pool", pool="one", parts=["status"]),
        )
        made[f"read: program, {engine}: {' '.join(PARTS)}"] = (
            count,
            lambda p=program: p.ask("observe-pool", pool="one", parts=PARTS),
        )
    return made


def acting(
    programs: dict[str, SiteProcess], names: list[str], images: dict[str, Any], number: int
) -> dict[str, tuple[int, Callable[[], object]]]:
    """Each demotes and promotes all the images again, so that the next finds them as they were."""
    few = names[:8]
    made: dict[str, tuple[int, Callable[[], object]]] = {}
    for verb in ("demote", "promote"):
        made[f"{verb}: rbd, one after the other"] = (
            len(few),
            lambda verb=verb: [rbd("mirror", "image", verb, f"one/{name}") for name in few],
        )
    for verb in ("demote", "promote"):
        made[f"{verb}: xargs -P 8 rbd"] = (len(names), lambda verb=verb: at_once(names, "mirror", "image", verb))
    for engine, program in programs.items():
        for verb in ("demote", "promote"):
            made[f"{verb}: program, {engine}, checks and receipts on"] = (
                len(names),
                lambda p=program, e=engine, v=verb: all_of(p, v, names, images, f"{e}-{number}"),
            )
    return made


def all_of(program: SiteProcess, verb: str, names: list[str], images: dict[str, Any], batch: str) -> None:
    newest = {}
    if verb == "promote":
        seen = program.ask("observe-pool", pool="one", parts=["snapshots"], images=names)["images"]
        newest = {name: seen[name]["snapshots"][-1] for name in names if seen[name]["snapshots"]}
    sent = []
    for name in names:
        fields = order(verb, name, f"{verb}-{batch}-{name}", primary=verb == "demote")
        info = images[name]["info"]
        fields["expect"].update(image_id=info["id"], global_id=info["mirroring"]["global_id"])
        fields["expect"].pop("newest_snapshot", None)
        if name in newest and info["mirroring"]["mode"] == "snapshot":
            about = newest[name]["namespace"]
            found = {"snap_id": newest[name]["id"], "state": about["state"], "complete": about["complete"]}
            fields["expect"]["newest_snapshot"] = found
        sent.append(program.send(verb, **fields))
    for number in sent:
        answer = program.answer(number)
        assert answer["ok"] and answer["receipt"]["state"] == "done", json.dumps(answer)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
