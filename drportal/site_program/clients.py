"""Ceph through its own clients: the engine ``rbd``, and what the engine ``librbd`` can't do without them.

Answers are in the shapes that ``rbd --format json`` prints (rbd(8)). A read runs under Ceph's own limits and is killed
when those do not help; an act has neither limit nor killer, writes to a file that outlives us, and holds the image's
lock by itself.
"""

import functools
import json
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple

from drportal.site_program.encoding import decoded_resync
from drportal.site_program.measuring import MEASURE_WITHIN_S, counted, too_long
from drportal.site_program.wire import Fault, Json

READ_LIMITS = ["--client-mount-timeout", "5", "--rados-mon-op-timeout", "5", "--rados-osd-op-timeout", "5"]
READ_DEADLINE_S = 15.0
READERS = 8
SHUT_OUT = (107, 108)  # ENOTCONN, ESHUTDOWN: on Ceph's client blocklist. A new client is not on it
ACT_WORDS = {
    "demote": ["mirror", "image", "demote"],
    "promote": ["mirror", "image", "promote"],
    "force-promote": ["mirror", "image", "promote", "--force"],
    "resync": ["mirror", "image", "resync"],
    "mirror-snapshot": ["mirror", "image", "snapshot"],
}


def unreachable(text: str, exit_status: int = 110) -> Fault:
    return Fault("unreachable", "Ceph did not answer (%s). Nothing was changed." % text[-300:], exit=exit_status)


def read_fault(exit_status: int, text: str) -> Fault:
    """What a failed read means: not-found, unreachable, or refused. ``text`` is Ceph's own."""
    if "couldn't connect" in text or exit_status in (108, 110, -110, 107):
        return unreachable(text, abs(exit_status))
    if exit_status == 2:
        return Fault("not-found", "There is no such pool or image here: %s. Nothing was changed." % text[-300:])
    reason = "no-rights" if exit_status in (1, 13) and "ermi" in text else "other"
    if exit_status == 22 and ("mirroring not enabled" in text or "mirroring is not enabled" in text):
        reason = "not-mirrored"
    return Fault("refused", "Ceph refused (exit %d): %s" % (exit_status, text[-300:]), exit=exit_status, reason=reason)


def in_parallel(work: Callable[[Any], Any], of: Iterable[Any]) -> List[Any]:
    """``work`` on each; an exception becomes its own result, so that one image's trouble does not hide another's."""

    def careful(one: Any) -> Any:
        try:
            return work(one)
        except Fault as fault:
            return fault

    with ThreadPoolExecutor(READERS) as readers:
        return list(readers.map(careful, of))


def _object_of(text: str) -> Json:
    try:
        return dict(json.loads(text or "{}"))
    except (ValueError, TypeError):
        raise Fault("refused", "rbd answered something else than JSON: %.200r" % text, exit=0, reason="other")


def asks_for_resync(key: str, value: str) -> bool:
    """Of an image's metadata: what rbd-mirror is told in snapshot mode."""
    try:
        return key.startswith(".rbd_mirror.") and json.loads(value).get("resync_requested") is True
    except (ValueError, AttributeError):
        return False


class Held:
    """One image during an act: what is true of it, and the act itself."""

    def __init__(self, clients: "Clients", pool: str, image: str, output: str) -> None:
        self._clients, self._pool, self._image, self._output = clients, pool, image, output

    def info(self) -> Json:
        return self._clients.info(self._pool, self._image)

    def snapshots(self) -> List[Json]:
        return self._clients.snapshots(self._pool, self._image)

    def watchers(self) -> List[Json]:
        return self._clients.watchers(self._pool, self._image)

    def act(self, verb: str, lock: int) -> Tuple[int, str]:
        """(exit status, what Ceph said). Waits however long it takes."""
        words = ACT_WORDS[verb] + ["%s/%s" % (self._pool, self._image)]
        return self._clients.run_act("rbd", words, self._output, lock)

    def close(self) -> None:
        """Nothing is held open."""


class Clients:
    """The engine ``rbd``. Raises Fault: not-found, unreachable, refused."""

    name = "rbd"

    def __init__(self, ceph_user: Optional[str]) -> None:
        self._identity = ["--id", ceph_user] if ceph_user else []

    # ---- running a client

    def _argv(self, program: str, words: Sequence[str], limits: bool) -> List[str]:
        return [program] + (READ_LIMITS if limits else []) + self._identity + list(words)

    def read(self, program: str, *words: str, deadline_s: float = READ_DEADLINE_S) -> str:
        """The standard output of a client that changes nothing."""
        argv = self._argv(program, words, True)
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            raise Fault("refused", "%s can't be started here: %s." % (program, error), exit=127, reason="other")
        try:
            out, err = process.communicate(timeout=deadline_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise unreachable("%s did not end in %d s" % (program, deadline_s))
        if process.returncode:
            text = (err.decode("utf-8", "replace") + out.decode("utf-8", "replace")).strip()
            raise read_fault(process.returncode, text)
        return out.decode("utf-8", "replace")

    def read_json(self, *words: str) -> Any:
        text = self.read("rbd", *(list(words) + ["--format", "json"]))
        try:
            return json.loads(text)
        except ValueError:
            raise Fault("refused", "rbd answered something else than JSON: %.200r" % text, exit=0, reason="other")

    def run_act(self, program: str, words: Sequence[str], output: str, lock: int) -> Tuple[int, str]:
        """A client that changes something: never signalled, and going on when we are gone.

        What it says is left in the file ``output``, for whoever has to find out when we are gone.
        """
        with open(output, "w+b") as file:
            process = subprocess.Popen(
                self._argv(program, words, False),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                pass_fds=(lock,),
            )
            exit_status = process.wait()
            file.seek(0)
            text = file.read(4000).decode("utf-8", "replace").strip()
        return exit_status, text

    def ceph_version(self) -> Optional[str]:
        """``16.2.15``; None when there is no client. Asks no cluster."""
        try:
            done = subprocess.Popen(
                ["rbd", "--version"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            out = done.communicate(timeout=READ_DEADLINE_S)[0]
        except (OSError, subprocess.TimeoutExpired):
            return None
        found = re.search(r"ceph version (\S+)", out.decode("utf-8", "replace"))
        return found.group(1) if found else None

    # ---- one image

    def info(self, pool: str, image: str) -> Json:
        found = self.read_json("info", "%s/%s" % (pool, image))
        if not isinstance(found, dict) or found.get("name") != image:
            raise Fault("refused", "rbd info spoke of another image than %s." % image, exit=0, reason="other")
        return found

    def snapshots(self, pool: str, image: str) -> List[Json]:
        return list(self.read_json("snap", "ls", "--all", "%s/%s" % (pool, image)))

    def watchers(self, pool: str, image: str) -> List[Json]:
        return list(self.read_json("status", "%s/%s" % (pool, image))["watchers"])

    def _journal(self, pool: str, image: str) -> Optional[Json]:
        try:
            return dict(self.read_json("journal", "status", "--pool", pool, "--image", image))
        except Fault as fault:
            if fault.code == "refused" and "journaling" not in self.info(pool, image).get("features", ()):
                return None
            raise

    def _status(self, pool: str, image: str) -> Json:
        return dict(self.read_json("mirror", "image", "status", "%s/%s" % (pool, image)))

    def image(self, pool: str, image: str, parts: Sequence[str]) -> Json:
        """The parts of one image, each or its error; the role first."""
        readers: List[Tuple[str, Callable[[str, str], Any]]] = [
            ("info", self.info),
            ("journal", self._journal),
            ("snapshots", self.snapshots),
            ("watchers", lambda pool, image: {"watchers": self.watchers(pool, image)}),
            ("status", self._status),
        ]
        return self.gathered([(part, functools.partial(read, pool, image)) for part, read in readers if part in parts])

    @staticmethod
    def gathered(readers: Sequence[Tuple[str, Callable[[], Any]]]) -> Json:
        """Part -> what its reader gave (None: left out), and ``errors``. ``absent`` when there is no such image."""
        found: Json = {}
        errors: Dict[str, Json] = {}
        silent: Optional[Fault] = None
        for part, read in readers:
            if silent is not None:  # it would not answer the next question either, and each waits its time
                errors[part] = silent.as_json()
                continue
            try:
                value = read()
                if value is not None:
                    found[part] = value
            except Fault as fault:
                if fault.code == "not-found" and not found:
                    return {"absent": True}
                errors[part] = fault.as_json()
                if fault.code == "unreachable":
                    silent = fault
            except (KeyError, TypeError, ValueError, IndexError) as error:
                text = "Ceph's answer can't be read (%s: %s)." % (type(error).__name__, error)
                errors[part] = Fault("refused", text, exit=0, reason="other").as_json()
        if errors:
            found["errors"] = errors
        return found

    def measure(self, pool: str, image: str, snap_id: Optional[int]) -> Json:
        """What this copy holds that its peer never had: since what every client of its journal has acknowledged, or
        since one of its mirror snapshots."""
        if snap_id is not None:
            raise Fault("not-allowed", "The rbd client can't compare an image with a mirror snapshot; python3-rbd can.")
        words = ("journal", "inspect", "--verbose", "--pool", pool, "--image", image)
        began = time.monotonic()
        try:
            return counted(self.read("rbd", *words, deadline_s=MEASURE_WITHIN_S))
        except Fault as fault:
            if fault.code == "unreachable" and time.monotonic() - began >= MEASURE_WITHIN_S:
                raise too_long("Reading the journal")  # it answers, and says more than can be read in time
            raise

    def resync_requested(self, pool: str, image: str, mode: str) -> bool:
        """Whether the copy here is to be discarded as soon as a peer is primary."""
        if mode == "snapshot":
            # It prints nothing at all, not even in JSON, for an image without metadata.
            text = self.read("rbd", "image-meta", "list", "%s/%s" % (pool, image), "--format", "json").strip()
            return any(asks_for_resync(key, value) for key, value in _object_of(text).items())
        for client in (self._journal(pool, image) or {"registered_clients": []})["registered_clients"]:
            if client["id"] == "":
                # a hexdump: offset, bytes, and the same as text between bars
                rows = [row.split("|")[0].split()[1:] for row in client["data"].splitlines()]
                return decoded_resync(bytes(int(byte, 16) for row in rows for byte in row))
        raise Fault("refused", "The journal of %s has no client of its own." % image, exit=0, reason="other")

    def hold(self, pool: str, image: str, output: str) -> Held:
        return Held(self, pool, image, output)

    # ---- a pool

    def mirrored(self, pool: str) -> List[str]:
        """The names of all mirrored images."""
        return [entry["name"] for entry in self._verbose(pool)["images"]]

    def _verbose(self, pool: str) -> Json:
        found = dict(self.read_json("mirror", "pool", "status", pool, "--verbose"))
        found.setdefault("images", [])
        return found

    def images(self, pool: str, names: Optional[Sequence[str]], parts: Sequence[str]) -> Dict[str, Json]:
        """The parts of many images."""
        statuses: Dict[str, Json] = {}
        if names is None or ("status" in parts and len(names) > 4):
            statuses = {entry["name"]: entry for entry in self._verbose(pool)["images"]}
        wanted = list(statuses) if names is None else list(names)
        single = [part for part in parts if part != "status" or not statuses]
        found = dict(zip(wanted, in_parallel(lambda name: self.image(pool, name, single), wanted)))
        for name, image in found.items():
            if isinstance(image, Fault):
                found[name] = {"errors": {part: image.as_json() for part in single}}
            elif "status" in parts and name in statuses and not image.get("absent"):
                image["status"] = statuses[name]
        return found

    def pool_part(self, pool: str, part: str) -> Any:
        """One of wire.POOL_PARTS."""
        if part == "mirror-clients":
            return self.mirror_clients(pool)
        if part == "listing":
            rows = self.read_json("ls", "-l", pool)
            return [row for row in rows if "snapshot" not in row]
        return self._pool(pool)

    def _pool(self, pool: str) -> Json:
        verbose = self._verbose(pool)
        return {
            "info": self.read_json("mirror", "pool", "info", pool),
            "summary": verbose["summary"],
            "daemons": verbose.get("daemons") or [],
        }

    def room(self, pool: str) -> int:
        """Bytes that still go into it, by Ceph's reckoning and the pool's quota."""
        text = self.read("ceph", "df", "detail", "--format", "json")
        try:
            told = next(one["stats"] for one in json.loads(text)["pools"] if one["name"] == pool)
            quota = int(told.get("quota_bytes") or 0)
            left = [int(told["max_avail"])] + ([quota - int(told["stored"])] if quota else [])
        except (ValueError, KeyError, TypeError, StopIteration):
            raise Fault("refused", "Ceph did not tell how much room pool %s has." % pool, exit=0, reason="other")
        return max(0, min(left))

    def schedules(self, pool: str) -> List[Json]:
        """What Ceph's manager takes mirror snapshots by. Asked by the client with both engines: it is the manager that
        answers, which may hang alone, and a client that waits for it can be ended."""
        words = ("mirror", "snapshot", "schedule", "ls", "--pool", pool, "--recursive")
        return list(self.read_json(*words))

    def mirror_clients(self, pool: str) -> List[str]:
        """Who watches ``rbd_mirroring``: the mirror daemons of this site and of its peers."""
        found = []
        for line in self.read("rados", "-p", pool, "listwatchers", "rbd_mirroring").splitlines():
            match = re.match(r"watcher=\S+ client\.(\d+) cookie=\d+$", line.strip())
            if match is None:
                raise Fault("refused", "rados listwatchers said %.100r." % line, exit=0, reason="other")
            found.append(match.group(1))
        return sorted(set(found))

    def mirror_addresses(self, pool: str) -> List[str]:
        text = self.read("rados", "-p", pool, "listwatchers", "rbd_mirroring")
        return re.findall(r"watcher=(\S+) client", text)

    def own_addresses(self) -> List[str]:
        return []

    def acting_client(self) -> Optional[str]:
        """``FSID NUMBER`` of the client that holds images open for us; None where every act has one of its own."""
        return None

    # ---- Ceph's client blocklist

    def blocklist(self, op: str, address: str, expire_s: int, output: str, lock: int) -> Tuple[int, str]:
        """An act: ``add`` or ``rm`` one address. (exit status, what Ceph said); 22 may come of a word that it lacks."""
        last = [str(expire_s)] if op == "add" else []
        for word in BLOCKLIST_WORDS:
            exit_status, text = self.run_act("ceph", ["osd", word, op, address] + last, output, lock)
            if exit_status != 22:
                break
        return exit_status, text

    def blocklisted(self) -> List[str]:
        """``ADDRESS until TIME`` each."""
        for word in BLOCKLIST_WORDS:
            try:
                return listed_clients(self.read("ceph", "osd", word, "ls", "--format", "json"))
            except Fault as fault:
                if fault.code != "refused" or word == BLOCKLIST_WORDS[-1]:
                    raise
        raise AssertionError


BLOCKLIST_WORDS = ("blocklist", "blacklist")  # the second is its name before Ceph 16


def listed_clients(text: str) -> List[str]:
    """Of ``osd blocklist ls``: a list of clients; a newer Ceph prints one of ranges right behind it."""
    try:
        entries = json.JSONDecoder().raw_decode(text.strip() or "[]")[0]
        return ["%s until %s" % (entry["addr"], entry["until"]) for entry in entries]
    except (ValueError, KeyError, TypeError):
        raise Fault("refused", "Ceph told its blocklist in an unknown way: %.200r" % text, exit=0, reason="other")
