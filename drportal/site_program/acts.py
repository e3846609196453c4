"""One act: looked at again under the image's lock, intent, act, outcome. And what became of one whose process died."""

import contextlib
import os
import threading
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from drportal.site_program.clients import SHUT_OUT, Clients, Held
from drportal.site_program.copies import check_name, check_pool, keep, kept_copy, left_behind
from drportal.site_program.deposits import check_deposit, use_deposit
from drportal.site_program.exports import check_folder, export, written
from drportal.site_program.freeing import check_daemons, free
from drportal.site_program.judging import OWN_WORDS, reached, reason_of, role_of
from drportal.site_program.store import Lock, Store, at_point
from drportal.site_program.wire import PROGRAM_VERSION, Fault, Json, content_hash

AGREE_AFTER_S = 1.0
_LOOK_AGAIN_S = (0.2, 0.5, 1.0)
_READ_AGAIN_S = (0.5, 2.0, 5.0)
_AS_ASKED = ("op", "pool", "image", "group", "fence", "shown", "approval", "addresses")
_RECEIPT_FIELDS = _AS_ASKED + (
    ("verb", "image_id", "global_id", "content", "state", "how", "exit", "reason", "text", "before", "after")
    + ("begun_at", "ended_at", "change", "acknowledged", "program", "engine", "client")
)


class Settings(NamedTuple):
    """What the program was started with."""

    rights: str
    pools: Optional[List[str]]
    ceph_user: Optional[str]
    state: str
    engine: Optional[str]
    acts_at_once: int
    force_promote: str
    salvage: Optional[str]
    idle_s: int


def _differs(failed: str, expected: Any, seen: Any, sentence: str) -> Fault:
    return Fault("precondition", sentence + " Nothing was done.", failed=failed, expected=expected, seen=seen)


def _named(request: Json) -> str:
    return "%s/%s" % (request["pool"], request["image"])


Outcome = Tuple[int, str, Optional[Json], Optional[bool]]  # exit, text, state after, whether that is the goal


class Acts:
    """``closing()``: the input has ended, and nothing may be begun any more."""

    def __init__(self, settings: Settings, store: Store, engine: Clients, closing: Callable[[], bool]) -> None:
        self._settings = settings
        self._store = store
        self._engine = engine
        self._closing = closing
        self._mirroring: Dict[str, Set[str]] = {}
        self._orphans: Optional[Dict[str, Set[str]]] = None
        self._mutex, self._asking = threading.Lock(), threading.Lock()

    def mirroring(self, pool: str, clients: List[str]) -> None:
        """Who was just seen to be a mirror daemon there. Client numbers are never used again."""
        with self._asking:
            self._mirroring.setdefault(pool, set()).update(clients)

    # ---- asking for receipts

    def known(self, op: str) -> Optional[Json]:
        """The receipt of an operation, with ``alive``; settled first if its process has died."""
        receipt = self._store.receipt(op)
        if receipt is None or receipt["state"] != "begun":
            return receipt
        lock = self._store.lock(self._lock_name(receipt))
        if not lock.acquire(0):
            return dict(receipt, alive=True)
        try:
            return self._settle(op)
        finally:
            lock.release()

    def bar(self, op: str) -> Optional[Json]:
        """Make sure that an operation nobody has begun never will be: its receipt, or the one that was quicker."""
        now = time.time()
        receipt: Json = dict.fromkeys(_RECEIPT_FIELDS)
        receipt.update(
            op=op, state="not-done", how="barred", text="Barred before it was begun.", begun_at=now, ended_at=now
        )
        receipt.update(acknowledged=False, program=PROGRAM_VERSION, client=os.environ.get("SSH_CLIENT", ""))
        if not self._store.bar(receipt):
            return self.known(op)
        self._log("barred", receipt)
        return receipt

    def _settle(self, op: str) -> Optional[Json]:
        """Under the lock: a receipt that still says ``begun`` is that of a process that died."""
        receipt = self._store.receipt(op)
        if receipt is None or receipt["state"] != "begun":
            return receipt
        try:
            now = self._state_twice(receipt)
        except Fault as fault:
            return dict(receipt, alive=False, text=fault.text)
        goal = reached(receipt, now, self._said(op))
        receipt["state"] = "unknown" if goal is None else "done" if goal else "not-done"
        receipt.update(how="found", after=now, ended_at=time.time())
        if receipt["exit"] is None:
            died = "The process that acted died; this was read afterwards."
            receipt["text"] = ("%s %s" % (died, left_behind(now))).strip()
        elif receipt["state"] != "done":
            receipt["reason"] = reason_of(receipt["verb"], receipt["exit"], now)
        try:
            self._store.replace(receipt)
        except OSError as error:
            return dict(receipt, text="%s It could not be written down (%s)." % (receipt["text"], error))
        self._forget_words(op)
        self._log("settled", receipt)
        return receipt

    # ---- the words of the client that acts: in a file, which outlives us

    def _words(self, op: str) -> str:
        return os.path.join(self._settings.state, "tmp", op + ".out")

    def _said(self, op: str) -> str:
        try:
            with open(self._words(op), "rb") as file:
                return file.read(4000).decode("utf-8", "replace")
        except OSError:
            return ""

    def _forget_words(self, op: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._words(op))

    # ---- the state, read

    def _state_twice(self, receipt: Json) -> Json:
        """A killed client's last words may still be under way: only two equal readings count. Raises Fault."""
        first = self._state_now(receipt)
        for _ in range(5):
            time.sleep(AGREE_AFTER_S)
            second = self._state_now(receipt)
            if first == second:
                return first
            first = second
        raise Fault("unreachable", "The state does not come to rest.")

    def _state_now(self, receipt: Json) -> Json:
        if receipt["image"] is None or receipt["verb"] == "free":
            return {"blocklisted": self._listed(receipt["addresses"])}
        if receipt["verb"] == "salvage-export" and self._settings.salvage is not None:
            return written(self._settings.salvage, receipt) or {}
        if receipt["verb"] == "salvage-copy":
            return kept_copy(self._engine, receipt)
        pool, image = receipt["pool"], receipt["image"]
        try:
            state = role_of(self._engine.info(pool, image), lambda: self._engine.snapshots(pool, image))
            return self._with_resync(receipt["verb"], pool, image, state)
        except Fault as fault:
            if fault.code == "not-found":
                return {"absent": True}
            raise

    def _with_resync(self, verb: str, pool: str, image: str, state: Json) -> Json:
        if verb == "resync" and state["mode"] is not None:
            state["resync_requested"] = self._engine.resync_requested(pool, image, state["mode"])
        return state

    # ---- acting

    def perform(self, verb: str, request: Json) -> Json:
        """The receipt of the act. Raises Fault when this request began nothing."""
        earlier = self._earlier(request)
        if earlier is not None:
            return earlier
        self._allowed(verb, request)
        self._store.fence(request["group"], request["fence"])
        name = self._lock_name(request)
        lock = self._store.lock(name)
        # A client that another thread is just starting holds our locks too, until it runs: that is no act.
        if not lock.acquire(max(0.5, float(request.get("wait_s", 0)))):
            earlier = self._earlier(request)
            if earlier is not None:
                return earlier
            raise Fault("busy", "Another operation acts there now. Nothing was done.", op=lock.holder())
        try:
            self._store.fence(request["group"], request["fence"])  # it may have risen while we waited
            self._settle_others(name, lock)
            earlier = self._earlier(request)
            if earlier is not None:
                return earlier
            if verb in ("fence", "unfence"):
                return self._blocklist(verb, request, lock)
            return self._on_image(verb, request, lock)
        finally:
            lock.release()

    def _settle_others(self, name: str, lock: Lock) -> None:
        """Before the state is changed again: what became of the acts before this one can't be told afterwards.

        The lock's file names the last of them; after a power cut it may not, and then the receipts do.
        """
        with self._mutex:
            if self._orphans is None:
                self._orphans = {}
                for receipt in self._store.begun():
                    self._orphans.setdefault(self._lock_name(receipt), set()).add(receipt["op"])
            waiting = self._orphans.pop(name, set())
        for op in waiting | {lock.holder()}:
            settled = self._settle(op) if op else None
            if settled is not None and settled["state"] == "begun":
                with self._mutex:
                    self._orphans.setdefault(name, set()).update(waiting)
                raise Fault("unreachable", "What became of %s can't be read yet. Nothing was done." % op, op=op)

    def _earlier(self, request: Json) -> Optional[Json]:
        receipt = self.known(request["op"])
        if receipt is None:
            if self._store.was_retired(request["op"]):
                raise Fault("conflict", "This operation was done and acknowledged long ago. Nothing was done.")
            return None
        if receipt["how"] == "barred":
            raise Fault("barred", "This operation was barred before it was begun. Nothing was done.")
        if receipt["content"] != content_hash(request):
            raise Fault("conflict", "This operation id belongs to another act. Nothing was done.", verb=receipt["verb"])
        return receipt

    @staticmethod
    def _lock_name(request: Json) -> str:
        if request.get("image") is None:
            return "clients"
        image_id = request["expect"]["image_id"] if "expect" in request else request["image_id"]
        return "image.%s.%s" % (request["pool"], image_id)

    def _allowed(self, verb: str, request: Json) -> None:
        if verb == "force-promote":
            way = self._settings.force_promote
            if way == "refused":
                raise Fault("not-allowed", "This site lets nobody force a promotion from afar. Nothing was done.")
            if way == "deposited":
                check_deposit(self._store, request["approval"], _named(request))
        if verb == "salvage-export" and self._settings.salvage is None:
            raise Fault("not-allowed", "This site names no directory for exports. Nothing was done.")

    def _on_image(self, verb: str, request: Json, lock: Lock) -> Json:
        output = self._words(request["op"])
        with self._holding(request, output) as held:
            before = self._checked(verb, request, held)
            if verb == "free":
                addresses, expire_s = request["addresses"], request["expire_s"]
                check_daemons(held, addresses, set(self._engine.mirror_clients(request["pool"])))
                before = {"blocklisted": self._listed(addresses)}
                before["watching"] = sorted({one["address"] for one in held.watchers()} & set(addresses))
            self._check_room(verb, request)
            receipt = self._begin(verb, request, lock, before)

            def deed() -> Outcome:
                exit_status, text = held.act(verb, lock.fd)
                after = self._after(receipt, exit_status, held)
                return exit_status, text, after, None if after is None else reached(receipt, after, text)

            def salvage() -> Outcome:
                folder = str(self._settings.salvage)
                exit_status, text, found = export(self._engine, folder, output, receipt, lock.fd)
                return exit_status, text, found, exit_status == 0

            def kept() -> Outcome:
                exit_status, text, found = keep(self._engine, output, receipt, lock.fd)
                return exit_status, text, found, None if found is None else reached(receipt, found, text)

            def freed() -> Outcome:
                return free(self._engine, held, addresses, expire_s, output, lock.fd)

            others = {"salvage-export": salvage, "salvage-copy": kept, "free": freed}
            return self._carry_out(verb, receipt, others.get(verb, deed))

    def _check_room(self, verb: str, request: Json) -> None:
        """Before anything is begun that may be hours long."""
        if verb == "salvage-export":
            check_folder(self._engine, str(self._settings.salvage), request["pool"], request["image"])
        if verb == "salvage-copy":
            check_name(request)
            check_pool(self._engine, request["pool"], request["image"])

    def _carry_out(self, verb: str, receipt: Json, deed: Callable[[], Outcome]) -> Json:
        """Begun, so the receipt is the answer whatever goes wrong now; it stays `begun` until it can be settled."""
        try:
            at_point("before-act", verb)
            at_point("during-act", verb)
            outcome = deed()
            at_point("after-act", verb)
            return self._end(verb, receipt, *outcome)
        except Exception as error:
            self._log("lost", dict(receipt, text=repr(error)))
            return dict(receipt, alive=False, text="%s: %s" % (type(error).__name__, error))

    @contextlib.contextmanager
    def _holding(self, request: Json, output: str) -> Iterator[Held]:
        held = self._held(request, output)
        try:
            yield held
        finally:
            held.close()

    def _held(self, request: Json, output: str) -> Held:
        for again in (True, False):
            ours = self._engine.acting_client()
            if ours is not None:
                self._store.remember_client(ours)
            try:
                return self._engine.hold(request["pool"], request["image"], output)
            except Fault as fault:
                if fault.facts.get("exit") not in SHUT_OUT or not again:  # a new client is not shut out
                    raise
        raise AssertionError

    def _checked(self, verb: str, request: Json, held: Held) -> Json:
        """The state before, if it is what the request expects. Raises Fault."""
        expect = request["expect"]
        state = role_of(held.info(), held.snapshots)
        if state["image_id"] != expect["image_id"]:
            raise _differs("image_id", expect["image_id"], state["image_id"], "There is another image of this name.")
        if state["primary"] is None:
            raise _differs("mirrored", True, False, "The image is not mirrored.")
        if state["global_id"] != expect["global_id"]:
            raise _differs("global_id", expect["global_id"], state["global_id"], "It is another mirrored image.")
        if state["primary"] is not expect["primary"]:
            word = "is" if state["primary"] else "is not"
            raise _differs("primary", expect["primary"], state["primary"], "The image %s primary here." % word)
        self._check_snapshot(verb, expect, state)
        self._check_watchers(request["pool"], expect.get("watchers", "any"), held)
        return state

    @staticmethod
    def _check_snapshot(verb: str, expect: Json, state: Json) -> None:
        newest = state["newest_snapshot"]
        if verb == "mirror-snapshot" and state["mode"] != "snapshot":
            raise _differs("mode", "snapshot", state["mode"], "The image is not mirrored by snapshots.")
        if verb == "promote" and state["mode"] == "snapshot":
            if "newest_snapshot" not in expect:
                raise _differs(
                    "newest_snapshot", None, newest, "In snapshot mode a promote must name what it rests on."
                )
            if newest is None or newest["complete"] is not True:
                raise _differs("newest_snapshot", True, newest, "The newest mirror snapshot is not complete here.")
        for field, value in expect.get("newest_snapshot", {}).items():
            if newest is None or newest[field] != value:
                raise _differs("newest_snapshot", expect["newest_snapshot"], newest, "It is another mirror snapshot.")

    def _check_watchers(self, pool: str, allowed: Any, held: Held) -> None:
        if allowed == "any":
            return
        named = set() if allowed == "mirroring" else set(allowed)
        # The snapshot schedule of Ceph's manager opens each image for a moment: look again before refusing.
        for pause in _LOOK_AGAIN_S + (0.0,):
            foreign = self._foreign(pool, held, named)
            if not foreign:
                return
            time.sleep(pause)
        who = ", ".join("client.%s at %s" % (one["client"], one["address"]) for one in foreign[:5])
        raise _differs("watchers", allowed, foreign[:20], "Somebody has the image open: %s." % who)

    def _foreign(self, pool: str, held: Held, named: Set[str]) -> List[Json]:
        """Those who have the image open and are neither named nor a mirror daemon."""
        # Our own kind: the watch of a program that was killed lasts half a minute, and the image's lock is ours.
        ours = self._engine.acting_client()
        if ours is not None:
            fsid = ours.split()[0]
            named = named | {one.split()[1] for one in self._store.own_clients() if one.split()[0] == fsid}
        watchers = held.watchers()
        foreign = [one for one in watchers if str(one["client"]) not in named | self._mirroring.get(pool, set())]
        if foreign:
            with self._asking:  # what was a mirror daemon's once may be remembered (``mirroring``)
                known = self._mirroring.setdefault(pool, set())
                if any(str(one["client"]) not in known for one in foreign):
                    known.update(self._engine.mirror_clients(pool))
            foreign = [one for one in foreign if str(one["client"]) not in known]
        return foreign

    def _begin(self, verb: str, request: Json, lock: Lock, before: Optional[Json]) -> Json:
        """The intent, written. Raises Fault: nothing is begun then."""
        expect = request.get("expect") or {}
        receipt: Json = dict.fromkeys(_RECEIPT_FIELDS)
        receipt.update({field: request[field] for field in _AS_ASKED if field in request})
        receipt.update(verb=verb, image_id=expect.get("image_id"), global_id=expect.get("global_id"))
        receipt.update(content=content_hash(request), state="begun", text="", before=before, begun_at=time.time())
        receipt.update(acknowledged=False, program=PROGRAM_VERSION, engine=self._engine.name)
        receipt.update(client=os.environ.get("SSH_CLIENT", ""))
        at_point("before-intent", verb)
        if self._closing():
            raise Fault("ending", "The connection has ended. Nothing was done.")
        if verb == "force-promote" and self._settings.force_promote == "deposited":
            use_deposit(self._store, request["approval"], _named(request), request["op"])
        lock.sign(request["op"])
        if not self._store.begin(receipt):
            raise Fault("busy", "The same operation is being begun elsewhere. Ask for its receipt.", op=request["op"])
        at_point("after-intent", verb)
        self._log("begun", receipt)
        return receipt

    def _after(self, receipt: Json, exit_status: int, held: Optional[Held] = None) -> Optional[Json]:
        """None: it can't be read now. ``held``: the image as it was open for the act, which is the quickest to ask."""
        pool, image = receipt["pool"], receipt["image"]
        if held is not None and exit_status in OWN_WORDS:
            with contextlib.suppress(Fault):
                return self._with_resync(receipt["verb"], pool, image, role_of(held.info(), held.snapshots))
        for pause in _READ_AGAIN_S + (None,):
            with contextlib.suppress(Fault):
                return self._state_now(receipt) if exit_status in OWN_WORDS else self._state_twice(receipt)
            if pause is not None:
                time.sleep(pause)
        return None

    def _end(
        self, verb: str, receipt: Json, exit_status: int, text: str, after: Optional[Json], goal: Optional[bool]
    ) -> Json:
        """Judge, and write the outcome. ``goal``: whether the state is now what the act brings about, if that shows."""
        receipt.update(exit=exit_status, text=text[-2000:])
        if exit_status == 0:
            state = "unknown" if goal is False else "done"
        elif goal is None and after is None:
            return self._undecided(receipt)
        else:
            state = "unknown" if goal is None else "done" if goal else "not-done"
        if state == "unknown" and not text:
            receipt["text"] = "Ceph answered that it is done, and the state has not changed."
        receipt.update(state=state, how="answered", after=after, ended_at=time.time())
        receipt["reason"] = None if state == "done" else reason_of(verb, exit_status, after)
        at_point("before-receipt", verb)
        self._write_down(receipt)
        self._forget_words(receipt["op"])
        self._log("ended", receipt)
        at_point("before-answer", verb)
        return receipt

    def _undecided(self, receipt: Json) -> Json:
        """Ceph refused, or lost it, and does not tell the state: it stays `begun` until somebody asks and that is read.

        The exit status alone decides nothing: 22 and 16 may be the answer to what was done before.
        """
        receipt["text"] = ("%s (exit %d; the state can't be read.)" % (receipt["text"], receipt["exit"])).strip()
        self._write_down(receipt)
        self._log("undecided", receipt)
        return dict(receipt, alive=False)

    def _write_down(self, receipt: Json) -> None:
        """The act has happened: a full disk must not hide that, so it is tried for a while."""
        for pause in (0.1, 1.0, 5.0, None):
            try:
                self._store.replace(receipt)
                return
            except OSError as error:
                if pause is None:
                    receipt["text"] = "%s (The receipt could not be written: %s.)" % (receipt["text"], error)
                    return
                time.sleep(pause)

    def _log(self, what: str, receipt: Json) -> None:
        fields = ("op", "verb", "pool", "image", "image_id", "group", "fence", "state", "how", "exit", "reason", "text")
        self._store.log(
            "acts.log", dict({field: receipt[field] for field in fields}, what=what, client=receipt["client"])
        )

    # ---- fences

    def _listed(self, addresses: List[str]) -> List[str]:
        return [entry for entry in self._engine.blocklisted() if entry.split(" ")[0] in addresses]

    def _blocklist(self, verb: str, request: Json, lock: Lock) -> Json:
        addresses = request["addresses"]
        if verb == "fence":
            ours = set(self._engine.mirror_addresses(request["pool"])) | set(self._engine.own_addresses())
            hosts = {address.rpartition(":")[0] for address in addresses if address.endswith(":0/0")}
            for address in ours:
                if address in addresses or address.rpartition(":")[0] in hosts:
                    raise _differs("addresses", addresses, address, "%s is a mirror daemon's or our own." % address)
        before = {"blocklisted": self._listed(addresses)}
        receipt = self._begin(verb, request, lock, before)

        def deed() -> Outcome:
            word, expire_s = ("add", request["expire_s"]) if verb == "fence" else ("rm", 0)
            output = self._words(receipt["op"])
            answers = [self._engine.blocklist(word, address, expire_s, output, lock.fd) for address in addresses]
            exit_status, text = max(answers, key=lambda answer: answer[0] != 0)
            now = self._after(receipt, exit_status)
            return exit_status, text, now, None if now is None else reached(receipt, now, text)

        return self._carry_out(verb, receipt, deed)
