"""Stands in for ``rbd``, ``rados`` and ``ceph`` where a test is about the site program and not about Ceph.

Written under those names into a directory at the front of PATH. ``FAKE_CEPH`` names a directory with ``state.json``;
every call's argument list goes to ``calls`` there, every change that it made to ``effects``. An act first makes a file
in ``begun``, takes half of ``act_s``, has its effect, and takes the other half. Standard library only: it runs under
the program's own Python.
"""

import datetime
import fcntl
import json
import os
import sys
import time
from pathlib import Path

HOME = Path(os.environ["FAKE_CEPH"])
LIMITS = ("--client-mount-timeout", "--rados-mon-op-timeout", "--rados-osd-op-timeout", "--id", "--format")


def main() -> int:
    program, words = Path(sys.argv[0]).name, []
    rest = iter(sys.argv[1:])
    for word in rest:
        if word in LIMITS:
            next(rest)
        else:
            words.append(word)
    with (HOME / "calls").open("a") as calls:
        calls.write(json.dumps([program, *sys.argv[1:]]) + "\n")
    if words == ["--version"]:
        print("ceph version 16.2.15 (fake) pacific (stable)")
        return 0
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        state = json.loads((HOME / "state.json").read_text())
    if state.get("down"):
        print("rbd: couldn't connect to the cluster!", file=sys.stderr)
        return 1
    act = ACTS.get(" ".join(words[:3]))
    if act is not None:
        return carried_out(words[-1].rpartition("/")[2], lambda state: on_image(act, words, state))
    if words[0] == "copy":
        return carried_out(words[-2].rpartition("/")[2], lambda state: copied(words, state))
    if words[0] == "rename":
        return renamed(words)
    if words[0] == "export-diff":
        return carried_out(words[-2].rpartition("/")[2], lambda state: exported(words))
    if words[:2] == ["osd", "blocklist"] and words[2] != "ls":
        return carried_out(words[3], lambda state: blocklist(words))
    return answered(program, words, state)


def demote(image: dict) -> int:
    if not image["primary"]:
        return 22
    image["primary"] = False
    image["snapshots"].append({"id": image["snapshots"][-1]["id"] + 1, "state": "demoted", "complete": True})
    return 0


def promote(image: dict) -> int:
    if image["primary"]:
        return 22
    image["primary"] = True
    return 0


def resync(image: dict) -> int:
    image["resync"] = True
    return 22 if image["primary"] else 0


def snapshot(image: dict) -> int:
    image["snapshots"].append({"id": image["snapshots"][-1]["id"] + 1, "state": "primary", "complete": True})
    print("Snapshot ID:", image["snapshots"][-1]["id"])
    return 0


ACTS = {
    "mirror image demote": demote,
    "mirror image promote": promote,
    "mirror image resync": resync,
    "mirror image snapshot": snapshot,
}


def told(file: str, **about: object) -> None:
    with (HOME / file).open("a") as lines:
        lines.write(json.dumps(about) + "\n")


def carried_out(on: str, act) -> int:
    """The effect comes in the middle of the time that the command takes. ``on``: an image's name, or an address."""
    half = json.loads((HOME / "state.json").read_text()).get("act_s", 0.0) / 2
    told("spans", on=on, now=1)
    (HOME / "begun").mkdir(exist_ok=True)
    (HOME / "begun" / on.replace("/", "-")).touch()
    time.sleep(half)
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = json.loads((HOME / "state.json").read_text())
        end = state.get("refuses") or act(state)
        if end == 0:
            told("effects", on=on)
        if state.pop("down_after", None):
            state["down"] = True
        (HOME / "state.new").write_text(json.dumps(state))
        (HOME / "state.new").rename(HOME / "state.json")
        if state.get("ends_with"):  # it is done, and told otherwise
            print("rbd: as the test wants it", file=sys.stderr)
            end = state["ends_with"]
    time.sleep(half)
    told("spans", on=on, now=-1)
    return end


def on_image(act, words: list, state: dict) -> int:
    return act(state["images"][words[-1].rpartition("/")[2]])


def exported(words: list) -> int:
    Path(words[-1]).write_bytes(b"a diff")
    return 0


def copied(words: list, state: dict) -> int:
    new = words[-1].rpartition("/")[2]
    if new in state["images"]:
        return 17
    state["images"][new] = {"primary": None, "mode": "", "watchers": [], "snapshots": []}
    return 0


def renamed(words: list) -> int:
    """At once, and no effect on the image that was copied."""
    old, new = (word.rpartition("/")[2] for word in words[-2:])
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = json.loads((HOME / "state.json").read_text())
        state["images"][new] = state["images"].pop(old)
        (HOME / "state.new").write_text(json.dumps(state))
        (HOME / "state.new").rename(HOME / "state.json")
    return 0


def answered(program: str, words: list, state: dict) -> int:
    if program == "rados":
        for client in state.get("mirroring", [4109]):
            print(f"watcher=127.0.0.1:0/{client} client.{client} cookie=1")
        return 0
    if words[:1] == ["df"]:
        told = {"max_avail": state.get("room", 1 << 40), "stored": 5, "quota_bytes": state.get("quota", 0)}
        print(json.dumps({"pools": [{"name": "one", "stats": told}]}))
        return 0
    if program == "ceph":
        print(json.dumps([{"addr": address, "until": until} for address, until in blocklisted().items()]))
        return 0
    name = words[-1].rpartition("/")[2]
    if words[:2] == ["mirror", "pool"]:
        listed = [{"name": name} for name in state["images"]]
        print(json.dumps({"summary": {"health": "OK"}, "daemons": [], "images": listed}))
        return 0
    if name not in state["images"]:
        print(f"rbd: error opening image {name}: (2) No such file or directory", file=sys.stderr)
        return 2
    said = shown(words, name, state["images"][name])
    print(json.dumps(said) if said else "")  # as rbd image-meta does where there is none
    return 0


def shown(words: list, name: str, image: dict) -> object:
    if words[0] == "info" and image["primary"] is None:
        return {"name": name, "id": "id-" + name, "size": 4, "features": ["layering"]}
    if words[0] == "info":
        mirroring = {"mode": image["mode"], "state": "enabled", "global_id": "g-" + name, "primary": image["primary"]}
        return {"name": name, "id": "id-" + name, "size": 4, "features": ["journaling"], "mirroring": mirroring}
    if words[0] == "snap":
        return [
            {"id": one["id"], "name": ".mirror.primary.x", "namespace": {"type": "mirror", **one}}
            for one in image["snapshots"]
        ]
    if words[0] == "status":
        there = [(client, f"127.0.0.1:0/{client}") for client in image["watchers"]]
        shut_out = blocklisted()
        return {"watchers": [{"address": a, "client": c, "cookie": 1} for c, a in there if a not in shut_out]}
    if words[0] == "du":
        return {"images": [{"name": name, "used_size": image.get("used", 4)}]}
    if words[0] == "journal":
        return {"registered_clients": [{"id": "", "data": journal_data(image), "state": "connected"}]}
    asked = {".rbd_mirror.peer": '{"resync_requested": true}'} if image.get("resync") else {}
    return asked if words[0] == "image-meta" else {}


def journal_data(image: dict) -> str:
    """As ``rbd journal status`` shows what the image's own client keeps: a hexdump."""
    flag = "01" if image.get("resync") else "00"
    return (
        "00000000  02 01 0d 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n"
        f"00000010  00 00 {flag}                                          |...|\n00000013\n"
    )


def blocklisted() -> dict:
    """Address -> until when."""
    file = HOME / "blocklist"
    return json.loads(file.read_text()) if file.exists() else {}


def blocklist(words: list) -> int:
    listed = blocklisted()
    if listed.pop(words[3], None) is None and words[2] == "rm":
        print(words[3] + " isn't blocklisted", file=sys.stderr)
    if words[2] == "add":
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=int(words[4]))
        listed[words[3]] = until.isoformat() + "+0000"
    (HOME / "blocklist").write_text(json.dumps(listed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
