"""What the site program keeps: receipts, fencing numbers, locks, its two logs. Survives SIGKILL and power loss.

A receipt is a file of its own. It appears by ``link`` (so that one operation id is begun once, whoever tries) and
changes by ``rename``; both after ``fsync`` of the file and before ``fsync`` of the directory. Locks are ``flock``: the
kernel drops them with the last process that holds them, however that ended.
"""

import contextlib
import errno
import fcntl
import json
import os
import threading
import time
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

from drportal.site_program.wire import Fault, Json

MOST_OPEN = 10000
MOST_KEPT = 5000
KEPT_S = 90 * 86400.0
# A receipt is written in less: what changed since then is told again, so that none is missed.
SETTLE_US = 60 * 1000000
LOG_BYTES = 8 << 20
LOGS_KEPT = 5
_RETIRED_KEPT = 200000
_OLD_EVERY_S = 3600.0


def at_point(point: str, verb: str) -> None:
    """Where the fault tests kill this process. Does nothing: they send a program in which it does."""


class Lock:
    """An exclusive lock by name. ``fd`` may be handed to a child, which then holds it as well."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.fd = -1

    def acquire(self, wait_s: float) -> bool:
        self.fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
            if time.monotonic() >= until:
                os.close(self.fd)
                self.fd = -1
                return False
            time.sleep(0.05)

    def holder(self) -> str:
        """The operation that took the lock last, also when it can't be had."""
        with open(self._path, "rb") as file:
            return file.read(200).decode("ascii", "replace").strip()

    def sign(self, op: str) -> None:
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, op.encode(), 0)

    def release(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Store:
    """One state directory, used by any number of processes at once. Raises Fault ``storage`` when it can't be used."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._retired: Dict[str, None] = {}
        self._retired_read, self._retired_file = 0, 0
        self._counted: Optional[Tuple[float, int]] = None
        self._tidied_at = 0.0
        self._past_receipts = False
        self._own_clients: Set[str] = set()
        self._mutex = threading.Lock()
        with self._written():
            for name in ("", "ops", "fences", "locks", "approvals", "deposits-used", "tmp"):
                os.makedirs(os.path.join(directory, name), mode=0o700, exist_ok=True)
            if os.stat(directory).st_uid != os.getuid():
                raise OSError(errno.EPERM, "%s belongs to somebody else" % directory)
            # Each time: whoever made them may have died before this, and a receipt is only as safe as its directory.
            self._sync("")
            self._sync(os.path.dirname(os.path.abspath(directory)))
            self._sweep()

    def _sweep(self) -> None:
        """Files that a killed process had not put into their place yet; nobody needs longer than this for it."""
        for name in os.listdir(self._path("tmp")):
            path = self._path("tmp", name)
            with contextlib.suppress(FileNotFoundError):
                kept_s = 7 * 86400 if name.endswith(".out") else 3600  # what a client prints may come late
                if os.path.getmtime(path) < time.time() - kept_s:
                    os.unlink(path)

    @contextlib.contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Fault("storage", "The site's record could not be written (%s). Nothing was begun." % error)

    def _path(self, *names: str) -> str:
        return os.path.join(self.directory, *names)

    def lock(self, name: str) -> Lock:
        return Lock(self._path("locks", name))

    @contextlib.contextmanager
    def _held(self, name: str, how: int = fcntl.LOCK_EX) -> Iterator[int]:
        """A short lock for the bookkeeping itself."""
        fd = os.open(self._path("locks", name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, how)
            yield fd
        finally:
            os.close(fd)

    def _temporary(self, content: Json) -> str:
        # By chance and not by process and time: hosts of one directory may each have a process of that number.
        path = self._path("tmp", os.urandom(12).hex())
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            data = json.dumps(content, sort_keys=True).encode()
            while data:
                data = data[os.write(fd, data) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        return path

    def _sync(self, folder: str) -> None:
        fd = os.open(self._path(folder), os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def put(self, folder: str, name: str, content: Json) -> None:
        """A file that is there, whole, whatever happens from now on. Raises Fault."""
        with self._written():
            os.rename(self._temporary(content), self._path(folder, name))
            self._sync(folder)

    # ---- fencing numbers

    def fence(self, group: str, number: int) -> None:
        """Raise the group's number to this one. Raises Fault ``stale-fence`` when it is higher already."""
        with self._written():
            if self._fence_of(group) < number:
                with self._held("group." + group):
                    if self._fence_of(group) < number:
                        self.put("fences", group, {"group": group, "fence": number, "at": time.time()})
        self._check_fence(group, number)

    def _fence_of(self, group: str) -> int:
        try:
            with open(self._path("fences", group), "rb") as file:
                return int(json.loads(file.read().decode())["fence"])
        except FileNotFoundError:
            return -1
        except (ValueError, KeyError, TypeError):
            raise Fault("storage", "The fencing number of %s can't be read. Nothing was begun." % group)

    def _check_fence(self, group: str, number: int) -> None:
        known = self._fence_of(group)
        if known > number:
            raise Fault(
                "stale-fence",
                "Another run of %s has taken over (its number is %d, this one's %d). Nothing was done."
                % (group, known, number),
                fence=known,
            )

    # ---- receipts

    def receipt(self, op: str) -> Optional[Json]:
        try:
            with open(self._path("ops", op), "rb") as file:
                found = json.loads(file.read().decode())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise Fault("storage", "The receipt of %s can't be read (%s). Nothing was done." % (op, error))
        if not isinstance(found, dict):
            raise Fault("storage", "The receipt of %s is not one. Nothing was done." % op)
        return found

    def begin(self, receipt: Json) -> bool:
        """Write the intent, unless the operation id has a receipt: then False. Raises Fault; nothing is begun then."""
        op, group = receipt["op"], receipt["group"]
        self._room()
        with self._written():
            # Shared: nobody raises the group's number between the look at it and the intent.
            with self._held("group." + group, fcntl.LOCK_SH):
                self._check_fence(group, receipt["fence"])
                return self._create(op, receipt)

    def bar(self, receipt: Json) -> bool:
        """The same for an operation id that shall never be begun."""
        with self._written():
            return self._create(receipt["op"], receipt)

    def _create(self, op: str, receipt: Json) -> bool:
        receipt["change"] = self._next_change()
        path = self._temporary(receipt)
        try:
            os.link(path, self._path("ops", op))
        except FileExistsError:
            return False
        finally:
            os.unlink(path)
        # Looked at after the link: a receipt's id is remembered before its file is removed.
        if self.was_retired(op):
            os.unlink(self._path("ops", op))
            raise Fault("conflict", "The operation %s was done and acknowledged long ago. Nothing was done." % op)
        self._sync("ops")
        return True

    def replace(self, receipt: Json) -> None:
        """Put the outcome in the intent's place. Raises OSError: the act has happened, so this is no refusal."""
        receipt["change"] = self._next_change()
        os.rename(self._temporary(receipt), self._path("ops", receipt["op"]))
        self._sync("ops")

    def _next_change(self) -> int:
        """Grows with every call in any process. Its file is not synced: after a power cut it goes on from the receipts,
        and by the clock."""
        with self._held("change") as fd:
            text = os.pread(fd, 30, 0)
            last = int(text) if text.isdigit() else 0
            if not self._past_receipts:
                last = max([last] + [int(receipt["change"]) for receipt in self._all()])
                self._past_receipts = True
            number = max(last + 1, int(time.time() * 1000000))
            os.pwrite(fd, b"%d" % number, 0)
            return number

    def receipts(self, since: int, limit: int) -> Tuple[List[Json], int, bool]:
        """Those changed after ``since`` in order; the ``since`` for the next call; whether there are more."""
        with self._held("change") as fd:
            text = os.pread(fd, 30, 0)
        settled = min(int(text) if text.isdigit() else 0, int(time.time() * 1000000)) - SETTLE_US
        found = sorted(
            (receipt for receipt in self._all() if receipt["change"] > since),
            key=lambda receipt: int(receipt["change"]),
        )
        told = found[:limit]
        rest = len(found) > limit
        last = told[-1]["change"] if told else since
        return told, last if rest else max(since, min(last, settled)), rest

    def _all(self) -> List[Json]:
        found = []
        for op in os.listdir(self._path("ops")):
            receipt = self.receipt(op)
            if receipt is not None:
                found.append(receipt)
        return found

    def begun(self) -> List[Json]:
        """The receipts of acts that go on, or whose process died."""
        return [receipt for receipt in self._all() if receipt["state"] == "begun"]

    def _room(self) -> None:
        """Raises Fault when too many receipts wait to be acknowledged. Counted once a minute: it is a rough limit."""
        if self._counted is None or time.monotonic() - self._counted[0] > 60:
            self._counted = (time.monotonic(), self._tidied())
        waiting = self._counted[1]
        if waiting >= MOST_OPEN:
            raise Fault(
                "receipts-full",
                "%d receipts wait for the portal to acknowledge them. Nothing was begun." % waiting,
                receipts=waiting,
            )

    def _tidied(self) -> int:
        """Remove what may go, and count those that wait to be acknowledged; 0 where there are too few files for either.

        Reading thousands of them takes a while, and what becomes old does so by the day.
        """
        lately = self._tidied_at and time.monotonic() - self._tidied_at < _OLD_EVERY_S
        if lately and len(os.listdir(self._path("ops"))) < min(MOST_KEPT, MOST_OPEN):
            return 0
        self._tidied_at = time.monotonic()
        return self._retire()

    def acknowledge(self, pairs: List[List[Any]]) -> Tuple[int, List[str]]:
        """How many were; and the ops that were not, because they are not there, go on, or have changed since."""
        done, other = 0, []
        for op, change in pairs:
            receipt = self.receipt(op)
            if receipt is None or receipt["change"] != change or receipt["state"] == "begun":
                other.append(op)
                continue
            done += 1
            if not receipt["acknowledged"]:
                receipt["acknowledged"] = True
                with self._written():
                    os.rename(self._temporary(receipt), self._path("ops", op))
        with self._written():
            self._sync("ops")
        self._counted = None
        return done, other

    def _retire(self) -> int:
        """Remove acknowledged receipts: the oldest past MOST_KEPT, and those past KEPT_S. How many are not."""
        with self._written(), self._held("retire"):
            receipts = self._all()
            done = sorted((r for r in receipts if r["acknowledged"]), key=lambda r: int(r["change"]))
            waiting = len(receipts) - len(done)
            too_many = len(done) - MOST_KEPT
            too_old = time.time() - KEPT_S
            going = [r["op"] for n, r in enumerate(done) if n < too_many or (r["ended_at"] or 0) < too_old]
            if not going:
                return waiting
            with open(self._path("retired"), "ab") as file:
                # A line that a full disk cut short must not swallow the next: each batch begins one of its own.
                file.write(("\n" + "".join(op + "\n" for op in going)).encode())
                file.flush()
                os.fsync(file.fileno())
            self._sync("")
            for op in going:
                os.unlink(self._path("ops", op))
            self._shorten_retired()
        return waiting

    def _shorten_retired(self) -> None:
        path = self._path("retired")
        with open(path, "rb") as file:
            lines = file.read().splitlines(True)
        if len(lines) > _RETIRED_KEPT:
            with open(path + ".new", "wb") as file:
                file.writelines(lines[len(lines) // 2 :])
                file.flush()
                os.fsync(file.fileno())
            os.rename(path + ".new", path)

    def was_retired(self, op: str) -> bool:
        """Whether the operation had a receipt that was acknowledged and removed."""
        with self._mutex:
            try:
                with open(self._path("retired"), "rb") as file:
                    about = os.fstat(file.fileno())
                    if about.st_ino != self._retired_file or about.st_size < self._retired_read:  # it was shortened
                        self._retired, self._retired_read, self._retired_file = {}, 0, about.st_ino
                    file.seek(self._retired_read)
                    more = file.read()
            except FileNotFoundError:
                return False
            whole = more.rfind(b"\n") + 1
            self._retired_read += whole
            self._retired.update(dict.fromkeys(more[:whole].decode().split()))
            return op in self._retired

    # ---- who we were

    def remember_client(self, client: str) -> None:
        """``FSID NUMBER`` of a client of this program, before it opens an image."""
        if client not in self.own_clients():
            with self._written(), self._held("clients-known"):
                with open(self._path("clients"), "a") as file:
                    file.write(client + "\n")
                self._own_clients.add(client)

    def own_clients(self) -> Set[str]:
        """``FSID NUMBER`` of each client of this program and of those before it."""
        try:
            with open(self._path("clients")) as file:
                self._own_clients.update(line for line in file.read().splitlines()[-1000:] if line.count(" ") == 1)
        except FileNotFoundError:
            pass
        return self._own_clients

    # ---- logs

    def log(self, name: str, entry: Json) -> None:
        """One line. A log that can't be written must not stop an act that has begun, so this never raises."""
        path = self._path(name)
        try:
            with self._held("log") as held:
                # Numbered, so that it can be told from where on a reader has not seen it; beyond any clock's moods.
                text = os.pread(held, 30, 0)
                number = max(int(text) + 1 if text.isdigit() else 0, int(time.time() * 1000000))
                os.pwrite(held, b"%d" % number, 0)
                about = dict(entry, at=round(time.time(), 3), pid=os.getpid(), number=number)
                line = json.dumps(about, sort_keys=True) + "\n"
                if os.path.exists(path) and os.path.getsize(path) > LOG_BYTES:
                    for number in range(LOGS_KEPT - 1, 0, -1):
                        if os.path.exists("%s.%d" % (path, number)):
                            os.rename("%s.%d" % (path, number), "%s.%d" % (path, number + 1))
                    os.rename(path, path + ".1")
                fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    written = os.write(fd, line.encode())
                    if written < len(line):  # a full disk; half a line would swallow the next
                        os.ftruncate(fd, os.fstat(fd).st_size - written)
                finally:
                    os.close(fd)
        except OSError:
            pass

    def logged(self, name: str) -> Iterator[Tuple[int, Json]]:
        """(its number, an entry), the newest first, through the files that were rotated away. Raises Fault."""
        path = self._path(name)
        try:
            with self._held("log", fcntl.LOCK_SH), contextlib.ExitStack() as opened:
                files = []
                for each in [path] + ["%s.%d" % (path, number) for number in range(1, LOGS_KEPT + 1)]:
                    if os.path.exists(each):
                        files.append(opened.enter_context(open(each, "rb")))
                kept = opened.pop_all()  # a descriptor follows its file through the next rotation
            with kept:
                for file in files:
                    for line in reversed(file.read().splitlines()):
                        try:
                            entry = json.loads(line.decode())
                            number = int(entry.get("number") or entry["at"] * 1000000)
                        except (ValueError, KeyError, TypeError, AttributeError):
                            continue  # cut off by a full disk
                        yield number, entry
        except OSError as error:
            raise Fault("storage", "The site's record of refused requests can't be read (%s)." % error)
