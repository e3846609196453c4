"""The conversation: hello, requests in, answers out, and the end. Runs in the thread that the program starts with."""

import argparse
import hashlib
import json
import os
import platform
import pwd
import select
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, List, Optional

from drportal.site_program.acts import Acts, Settings
from drportal.site_program.clients import READERS, Clients
from drportal.site_program.connection import BINDINGS
from drportal.site_program.librbd import Librbd
from drportal.site_program.news import News
from drportal.site_program.reach import reach
from drportal.site_program.refusals import LOG, refusals_since
from drportal.site_program.store import MOST_OPEN, Store
from drportal.site_program.turns import Turns
from drportal.site_program.wire import (
    ACTS,
    IMAGE_PARTS,
    LINE_BYTES,
    LOOK_VERBS,
    MOST_AT_ONCE,
    POOL_PARTS,
    PROGRAM_VERSION,
    PROTOCOL,
    QUEUE,
    READ_VERBS,
    VERBS,
    Fault,
    Json,
    check_request,
    parsed_line,
    request_id,
    request_op,
)

BEAT_S = 10.0
IMAGES_PER_LINE = 500
RECEIPTS_PER_LINE = 200
LOGGED_BYTES = 400  # of a refused line
# Two dozen threads that mostly wait for Ceph and the disk: with Python's own 5 ms, one of them that reckons makes each
# of the others wait so long after every answer.
SWITCH_S = 0.0005
_CHUNK = 1 << 16


class Output:
    """Lines out, whole. A reader that has gone changes nothing for what is under way."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        self._gone = False

    def line(self, content: Json) -> None:
        data = json.dumps(content, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            try:
                while data and not self._gone:
                    data = data[os.write(self._fd, data) :]
            except OSError:
                self._gone = True

    def end(self) -> None:
        """Write nothing any more, so that the descriptor may be closed while answers are still being found."""
        with self._lock:
            self._gone = True


class Input:
    """Lines in. ``read`` waits for the next; b"" is the end; None a line that was too long and was skipped.

    ``skipped``: how the last of those began.
    """

    def __init__(self, fd: int, wake: int) -> None:
        self._fd, self._wake = fd, wake
        self._kept = b""
        self._skipping = False
        self.skipped = b""

    def read(self, idle_s: float) -> Optional[bytes]:
        """Raises TimeoutError when nothing came for so long."""
        while True:
            line, found, rest = self._kept.partition(b"\n")
            if found:
                self._kept = rest
                skipping, self._skipping = self._skipping, False
                if not skipping and len(line) <= LINE_BYTES:
                    return line or b" "
                if not skipping:
                    self.skipped = line[:LOGGED_BYTES]
                return None
            if len(self._kept) > LINE_BYTES:
                if not self._skipping:
                    self.skipped = self._kept[:LOGGED_BYTES]
                self._skipping, self._kept = True, b""
            ready = select.select([self._fd, self._wake], [], [], idle_s)[0]
            if not ready:
                raise TimeoutError
            if self._wake in ready:
                return b""
            more = os.read(self._fd, _CHUNK)
            if not more:
                return b""
            self._kept += more


class Server:
    """One conversation with the portal. ``engine``: how Ceph is asked; None: as the settings say. ``client``: as in
    SSH_CLIENT, where that is not set.
    """

    def __init__(
        self, settings: Settings, output: Output, text_hash: str, engine: Optional[Clients] = None, client: str = ""
    ) -> None:
        self._settings = settings
        self._client = client or os.environ.get("SSH_CLIENT", "")
        self._output = output
        self._text_hash = text_hash
        self._store = Store(settings.state)
        if engine is None:
            chosen = settings.engine or ("librbd" if BINDINGS else "rbd")
            engine = Librbd(settings.ceph_user) if chosen == "librbd" else Clients(settings.ceph_user)
        self._engine = engine
        # A witness has nothing to do with Ceph.
        self._ceph = None if settings.rights == "look" else self._engine.ceph_version()
        self._acts = Acts(settings, self._store, self._engine, lambda: self._closing)
        self._closing = False
        self._ended = threading.Event()
        self._waiting = 0
        self._running: Dict[int, Any] = {}
        self._lock = threading.Lock()
        self._turns = Turns(settings.acts_at_once)
        self._news = News()
        self.look: Callable[[List[Json]], List[Json]] = reach  # the lab has lines of its own
        self._pools = {
            "read": ThreadPoolExecutor(READERS),
            "ask": ThreadPoolExecutor(64),
        }

    # ---- the conversation

    def serve(self, lines: Input) -> None:
        """Until the input ends, then until no act is under way."""
        threading.Thread(target=self._beat, daemon=True).start()
        self._output.line(self.hello())
        while True:
            try:
                line = lines.read(float(self._settings.idle_s))
            except TimeoutError:
                if self._waiting:
                    continue
                break
            if line == b"":
                break
            if line is None:
                too_long = Fault("line-too-long", "A line may have %d bytes. It was skipped." % LINE_BYTES)
                self._refuse(None, too_long, lines.skipped)
            elif line.strip():
                self._take(line)
        self._closing = True
        self._turns.end()
        self._ended.set()
        for name in ("read", "ask"):
            self._pools[name].shutdown(wait=False)

    def _take(self, line: bytes) -> None:
        request: Json = {}
        try:
            request = parsed_line(line)
            verb = check_request(request)
            self._permit(verb, request)
            with self._lock:
                if self._waiting >= QUEUE:
                    raise Fault("busy", "%d requests wait already. Nothing was done." % QUEUE)
                self._waiting += 1
        except Fault as fault:
            self._refuse(request_id(request), fault, line, request_op(request))
            return
        if verb in ACTS:
            self._turns.submit(request.get("at_once", MOST_AT_ONCE), lambda: self._answer(verb, request))
            return
        kind = "ask" if verb in ("receipt", "receipts", "acknowledge", "refusals", "hello") else "read"
        self._pools[kind].submit(self._answer, verb, request)

    def _permit(self, verb: str, request: Json) -> None:
        if self._settings.rights == "look" and verb not in LOOK_VERBS:
            raise Fault("not-allowed", "This key may only look at addresses. Nothing was done.")
        if self._settings.rights != "act" and (verb not in READ_VERBS or request.get("bar")):
            raise Fault("not-allowed", "This key may only observe. Nothing was done.")
        pools = self._settings.pools
        if pools is not None and request.get("pool", pools[0]) not in pools:
            raise Fault("not-allowed", "This key may not reach pool %s. Nothing was done." % request["pool"])
        if verb not in ("hello", "reach", "receipt", "receipts", "acknowledge", "refusals") and self._ceph is None:
            raise Fault("not-allowed", "There is no Ceph client on this host. Nothing was done.")

    def _refuse(self, number: Optional[str], fault: Fault, line: bytes, op: str = "") -> None:
        """``op``: the operation that it names, if any."""
        entry = {"code": fault.code, "text": fault.text, "client": self._client, "rights": self._settings.rights}
        self._store.log(LOG, dict(entry, op=op, line=line[:LOGGED_BYTES].decode("utf-8", "backslashreplace")))
        self._output.line({"id": number, "ok": False, "error": fault.as_json()})

    def _answer(self, verb: str, request: Json) -> None:
        number = request["id"]
        started = time.monotonic()
        try:
            with self._lock:
                self._running[id(request)] = (number, started, verb in ACTS)
            self._output.line(dict(self._work(verb, request), id=number, ok=True))
        except Fault as fault:
            if verb in ACTS:
                told = json.dumps(request).encode()
                self._refuse(number, fault, told, request["op"])
            else:
                self._output.line({"id": number, "ok": False, "error": fault.as_json()})
        except Exception as error:  # the boundary: whatever it was, the portal must hear of it
            self._store.log(LOG, {"code": "internal", "text": repr(error), "verb": verb})
            text = "The site program failed: %s: %s." % (type(error).__name__, error)
            self._output.line({"id": number, "ok": False, "error": Fault("internal", text).as_json()})
        finally:
            with self._lock:
                self._running.pop(id(request), None)
                self._waiting -= 1

    def _beat(self) -> None:
        """Proof of life for who waits for an act."""
        while not self._ended.wait(BEAT_S):
            with self._lock:
                acting = [(number, started) for number, started, act in self._running.values() if act]
            for number, started in acting:
                self._output.line({"id": number, "more": True, "beat": round(time.monotonic() - started, 1)})

    # ---- the verbs

    def _work(self, verb: str, request: Json) -> Json:
        if verb in ACTS:
            return {"receipt": self._acts.perform(verb, request)}
        ways: Dict[str, Callable[[], Json]] = {
            "hello": lambda: {"hello": self.hello()},
            "observe-pool": lambda: self._observe_pool(request),
            "observe-image": lambda: {
                "image": self._engine.image(request["pool"], request["image"], request["parts"]),
                "site_clock": site_clock(),
            },
            "schedules": lambda: {"schedules": self._engine.schedules(request["pool"])},
            "measure": lambda: {
                "measured": self._engine.measure(request["pool"], request["image"], request.get("snap_id"))
            },
            "reach": lambda: {"reached": self.look(request["targets"])},
            "receipt": lambda: {"receipt": self._receipt(request)},
            "receipts": lambda: self._receipts(request),
            "acknowledge": lambda: self._acknowledge(request),
            "refusals": lambda: dict(refusals_since(self._store, request["since"]), address=self._client.split(" ")[0]),
        }
        return ways[verb]()

    def hello(self) -> Json:
        rights = self._settings.rights
        return {
            "hello": "drportal-site",
            "protocol": [PROTOCOL, PROTOCOL],
            "program": PROGRAM_VERSION,
            "sha256": self._text_hash,
            "engine": self._engine.name if self._ceph is not None else "none",
            "ceph": self._ceph,
            "python": platform.python_version(),
            "host": socket.gethostname(),
            "user": _user(),
            "rights": rights,
            "pools": self._settings.pools,
            "verbs": list({"act": VERBS, "read": READ_VERBS, "look": LOOK_VERBS}[rights]),
            "limits": {
                "line_bytes": LINE_BYTES,
                "queue": QUEUE,
                "acts_at_once": self._settings.acts_at_once,
                "reads_at_once": READERS,
                "receipts": MOST_OPEN,
                "idle_s": self._settings.idle_s,
            },
            "force_promote": self._settings.force_promote,
            "salvage": self._settings.salvage is not None,
            "news": True,
            "refusals": True,
            "state": self._settings.state,
            "site_clock": site_clock(),
        }

    def _observe_pool(self, request: Json) -> Json:
        """Parts of the pool and of its images at the same time; images go out in lines of a bounded length."""
        pool, parts, errors = request["pool"], request["parts"], {}
        of_images = [part for part in IMAGE_PARTS if part in parts]
        last: Json = {}
        with ThreadPoolExecutor(len(POOL_PARTS)) as others:
            asked = {part: others.submit(self._engine.pool_part, pool, part) for part in POOL_PARTS if part in parts}
            images = self._engine.images(pool, request.get("images"), of_images) if of_images else {}
            for part, answer in asked.items():
                try:
                    last[part] = answer.result()
                except Fault as fault:
                    errors[part] = fault.as_json()
        clock = site_clock()
        if "mirror-clients" in last:
            self._acts.mirroring(pool, last["mirror-clients"])
        if "news" in request:
            images, last = self._news.picked(request, images, last)
        names = list(images)
        while len(names) > IMAGES_PER_LINE:
            some, names = names[:IMAGES_PER_LINE], names[IMAGES_PER_LINE:]
            self._output.line({"id": request["id"], "more": True, "images": {name: images[name] for name in some}})
        return dict(last, images={name: images[name] for name in names}, errors=errors, site_clock=clock)

    def _receipt(self, request: Json) -> Json:
        until = time.monotonic() + request.get("wait_s", 0)
        while True:
            receipt = self._acts.known(request["op"])
            if receipt is None and request.get("bar"):
                receipt = self._acts.bar(request["op"])
            if receipt is None:
                raise Fault("no-receipt", "Nothing is known here of %s." % request["op"])
            if not receipt.get("alive") or time.monotonic() >= until:
                return receipt
            time.sleep(0.2)

    def _receipts(self, request: Json) -> Json:
        receipts, since, rest = self._store.receipts(request["since"], request["limit"])
        told: List[Json] = []
        for receipt in receipts:
            known = self._acts.known(receipt["op"]) if receipt["state"] == "begun" else receipt
            told.append(known or receipt)
        while len(told) > RECEIPTS_PER_LINE:
            some, told = told[:RECEIPTS_PER_LINE], told[RECEIPTS_PER_LINE:]
            self._output.line({"id": request["id"], "more": True, "receipts": some})
        return {"receipts": told, "next": since, "rest": rest}

    def _acknowledge(self, request: Json) -> Json:
        done, other = self._store.acknowledge(request["receipts"])
        return {"acknowledged": done, "unknown": other}


def site_clock() -> str:
    """As ``date +%FT%T%z``: the site's local time with its offset."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def settings_of(argv: List[str]) -> Settings:
    """The program's arguments. Exits with 2 when they are wrong."""
    parser = argparse.ArgumentParser(prog="drportal-site", allow_abbrev=False)
    parser.add_argument("--rights", choices=("look", "read", "act"), default="read")
    parser.add_argument("--pool", action="append")
    parser.add_argument("--ceph-user")
    parser.add_argument("--state", default=os.path.join(os.path.expanduser("~"), ".drportal-site"))
    parser.add_argument("--engine", choices=("librbd", "rbd"))
    parser.add_argument("--acts-at-once", type=int, choices=range(1, MOST_AT_ONCE + 1), default=16, metavar="N")
    parser.add_argument("--force-promote", choices=("approved", "deposited", "refused"), default="approved")
    parser.add_argument("--salvage")
    parser.add_argument("--idle-s", type=int, default=900)
    found = parser.parse_args(argv)
    if found.engine == "librbd" and not BINDINGS:
        parser.error("python3-rados and python3-rbd are not installed for this Python")
    return Settings(
        found.rights,
        found.pool,
        found.ceph_user,
        found.state,
        found.engine,
        found.acts_at_once,
        found.force_promote,
        found.salvage,
        found.idle_s,
    )


def main(argv: List[str]) -> None:
    """Never returns: the process ends at once, without waiting for reads of a cluster that may be dead."""
    settings = settings_of(argv)
    os.umask(0o077)
    sys.setswitchinterval(SWITCH_S)
    os.environ["LC_ALL"] = "C"
    woken, wake = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.write(wake, b"!"))
    for number in (signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    output = Output(1)
    text_hash = globals().get("TEXT_SHA256")
    if text_hash is None:
        with open(__file__, "rb") as file:
            text_hash = hashlib.sha256(file.read()).hexdigest()
    try:
        Server(settings, output, text_hash).serve(Input(0, woken))
    except Fault as fault:
        output.line({"hello": "drportal-site", "error": fault.as_json()})
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
