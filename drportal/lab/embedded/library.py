"""The lab's model as the site program's engine: what python3-rbd is to it on a real host.

The program runs in threads of its own; every question and every act is answered in the lab's event loop, the only
place where the model may be touched, and the lab's fault switches bite there as they do for the `rbd` commands that
ask and do the same.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from drportal.lab.embedded import answers
from drportal.lab.embedded.copies import SNAPSHOT
from drportal.lab.embedded.pair import Pair, Refused
from drportal.lab.embedded.shell import Act, Shell
from drportal.site_program.clients import ACT_WORDS, READ_DEADLINE_S, Clients, Held, read_fault, unreachable
from drportal.site_program.measuring import BLOCK_BYTES
from drportal.site_program.wire import Fault, Json

T = TypeVar("T")
_DEAD_CLUSTER_S = 5.0  # what the program's own limit on a read makes it
_PARTS = {
    "info": "info",
    "journal": "journal status",
    "snapshots": "snap ls --all",
    "watchers": "status",
    "status": "mirror image status",
}
_OF_INFO = ("name", "id", "size", "features", "parent", "mirroring")


class LabLibrary(Clients):
    """One conversation's engine. `drop` cuts the connection that the conversation runs over.

    Like a process that is killed, it does nothing any more after `end`: whoever waits for it gets an exception.
    """

    name = "librbd"

    def __init__(self, shell: Shell, loop: asyncio.AbstractEventLoop, drop: Callable[[], None]) -> None:
        super().__init__(None)
        self._shell = shell
        self._world = shell.rbd.world
        self._site = shell.rbd.site
        self._loop = loop
        self._drop = drop
        self._ended = False
        self._tasks: set[asyncio.Task[Any]] = set()

    def end(self) -> None:
        """In the event loop."""
        self._ended = True
        for task in self._tasks:
            task.cancel()

    # ---- from the program's threads into the lab's loop, and the faults there

    def _in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        done: concurrent.futures.Future[T] = asyncio.run_coroutine_threadsafe(self._counted(work), self._loop)
        return done.result()

    async def _counted(self, work: Coroutine[Any, Any, T]) -> T:
        if self._ended:
            work.close()
            raise RuntimeError("the lab has stopped")
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            return await work
        finally:
            self._tasks.discard(task)

    def _asked(self, command: str, question: Callable[[], T]) -> T:
        """The answer to what `rbd COMMAND` asks. Raises Fault."""
        return self._in_loop(self._answered(f"rbd {command}", question))

    async def _answered(self, text: str, question: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(READ_DEADLINE_S):
                hang = self._shell.take("command-hangs", text)
                if hang is not None:
                    await asyncio.sleep(hang.seconds)
                failure = self._shell.take("command-fails", text)
                if failure is not None:
                    raise read_fault(failure.exit_code, failure.stderr.strip())
                if not self._world.site_up(self._site):
                    await asyncio.sleep(_DEAD_CLUSTER_S)
                    raise unreachable("error connecting to the cluster")
        except TimeoutError:
            raise unreachable(f"no answer in {READ_DEADLINE_S:.0f} s") from None
        answer = question()
        if self._shell.take("command-succeeds-but-connection-drops", text) is not None:
            self._drop()
        return answer

    def _pair(self, pool: str, image: str) -> Pair:
        if pool != self._world.pool:
            raise read_fault(2, f"error opening pool '{pool}'")
        try:
            pair = self._world.pair(image)
            pair.copy(self._site)
        except Refused:
            raise read_fault(2, f"error opening image {image}") from None
        return pair

    def _checked_pool(self, pool: str) -> None:
        if pool != self._world.pool:
            raise read_fault(2, f"error opening pool '{pool}'")

    # ---- one image

    def _part(self, part: str, pair: Pair) -> Any:
        """In the loop. None: the image has no such part."""
        world, site = self._world, self._site
        match part:
            case "info":
                found = answers.info(world, pair, site)
                return {field: found[field] for field in _OF_INFO if field in found}
            case "journal":
                try:
                    return answers.journal(world, pair, site, pair.at)
                except Refused:
                    return None
            case "snapshots":
                return answers.snaps(world, pair, site)
            case "watchers":
                return answers.watchers(world, pair, site)
        try:
            return answers.image_status(world, pair, site)
        except Refused:
            raise read_fault(22, "mirroring not enabled on the image") from None

    def _asked_part(self, part: str, pool: str, image: str) -> Any:
        return self._asked(f"{_PARTS[part]} {pool}/{image}", lambda: self._part(part, self._pair(pool, image)))

    def info(self, pool: str, image: str) -> Json:
        return dict(self._asked_part("info", pool, image))

    def snapshots(self, pool: str, image: str) -> list[Json]:
        return list(self._asked_part("snapshots", pool, image))

    def watchers(self, pool: str, image: str) -> list[Json]:
        return list(self._asked_part("watchers", pool, image)["watchers"])

    def _journal(self, pool: str, image: str) -> Json | None:
        found: Json | None = self._asked_part("journal", pool, image)
        return found

    def _status(self, pool: str, image: str) -> Json:
        return dict(self._asked_part("status", pool, image))

    def resync_requested(self, pool: str, image: str, mode: str) -> bool:
        command = "image-meta list" if mode == SNAPSHOT else "journal status"
        return self._asked(f"{command} {pool}/{image}", lambda: self._pair(pool, image).copies[self._site].resync)

    def images(self, pool: str, names: Sequence[str] | None, parts: Sequence[str]) -> dict[str, Json]:
        """All in one step of the loop, unless a fault may bite one of them and not the others."""
        if self._shell.faults:
            return super().images(pool, names, parts)
        return self._asked(f"mirror pool status {pool} --verbose", lambda: self._all(pool, names, parts))

    def _all(self, pool: str, names: Sequence[str] | None, parts: Sequence[str]) -> dict[str, Json]:
        self._checked_pool(pool)
        wanted = self._mirrored_names() if names is None else names
        return {name: self._of_image(pool, name, parts) for name in wanted}

    def _of_image(self, pool: str, name: str, parts: Sequence[str]) -> Json:
        try:
            pair = self._pair(pool, name)
        except Fault:
            return {"absent": True}
        return self.gathered([(part, partial(self._part, part, pair)) for part in _PARTS if part in parts])

    def measure(self, pool: str, image: str, snap_id: int | None) -> Json:
        command = f"journal inspect {pool}/{image}" if snap_id is None else f"diff {pool}/{image}"
        return self._asked(command, lambda: self._unshared(self._pair(pool, image), snap_id))

    def _unshared(self, pair: Pair, snap_id: int | None) -> Json:
        """In the loop. The model's entries are of one block each, whatever they say."""
        copy = pair.copy(self._site)
        length = copy.log.length_at(pair.at)
        if snap_id is None:
            entries = copy.log.data_between(answers.peer_index(pair, self._site, pair.at), length)
            return {"entries": entries, "bytes": entries * BLOCK_BYTES, "how": "journal"}
        snap = next((snap for snap in copy.snaps if snap.id == snap_id), None)
        if snap is None:
            raise read_fault(2, "no such snapshot")
        entries = copy.log.data_between(snap.index, length)
        return {"entries": None, "bytes": entries * BLOCK_BYTES, "how": "blocks"}

    # ---- the pool

    def _mirrored_names(self) -> list[str]:
        return [pair.name for pair in self._world.pairs_at(self._site) if pair.copies[self._site].role is not None]

    def _verbose(self, pool: str) -> Json:
        def question() -> Json:
            self._checked_pool(pool)
            return answers.pool_status(self._world, self._site, verbose=True)

        return self._asked(f"mirror pool status {pool} --verbose", question)

    def pool_part(self, pool: str, part: str) -> Any:
        if part != "listing":
            return super().pool_part(pool, part)

        def question() -> list[Json]:
            self._checked_pool(pool)
            return answers.ls(self._world, self._site)

        return self._asked(f"ls -l {pool}", question)

    def _pool(self, pool: str) -> Json:
        verbose = self._verbose(pool)
        info = self._asked(f"mirror pool info {pool}", lambda: answers.pool_info(self._world, self._site))
        return {"info": info, "summary": verbose["summary"], "daemons": verbose["daemons"]}

    def read(self, program: str, *words: str, deadline_s: float = READ_DEADLINE_S) -> str:
        """Only schedules, who watches `rbd_mirroring`, `rbd du` and `ceph df`: all else is asked of the model above."""
        if words[:1] == ("du",):
            pool, _, image = words[1].partition("/")
            used = self._asked(" ".join(words), lambda: self._pair(pool, image).size_bytes)
            return json.dumps({"images": [{"name": image, "used_size": used}]})
        if words[:1] == ("df",):
            room = self._asked("df", lambda: self._world.room_bytes)
            return json.dumps({"pools": [{"name": self._world.pool, "stats": {"max_avail": room}}]})
        if words[:3] == ("mirror", "snapshot", "schedule"):
            return self._in_loop(self._by_client(f"rbd --client-mount-timeout 5 {' '.join(words)}"))
        if words[:1] != ("-p",) or words[2:] != ("listwatchers", "rbd_mirroring"):
            raise Fault("refused", f"The lab has no {program} {' '.join(words)}.", exit=127, reason="other")

        def question() -> str:
            self._checked_pool(words[1])
            return answers.mirroring_watchers(self._world, self._site)

        return self._asked(f"{program} {' '.join(words)}", question)

    async def _by_client(self, text: str) -> str:
        """Of what the program itself asks by the `rbd` client. Raises Fault."""
        try:
            async with asyncio.timeout(READ_DEADLINE_S):
                outcome = await self._shell.run(text)
        except TimeoutError:
            raise unreachable(f"rbd did not end in {READ_DEADLINE_S:.0f} s") from None
        if outcome.exit_code:
            raise read_fault(outcome.exit_code, outcome.stderr.strip())
        return outcome.stdout

    def ceph_version(self) -> str | None:
        return answers.VERSION

    # ---- acts

    def hold(self, pool: str, image: str, output: str) -> Held:
        return _HeldByLibrary(self, pool, image, output)

    def run_act(self, program: str, words: Sequence[str], output: str, lock: int) -> tuple[int, str]:
        """`rbd export-diff`, `copy` and `rename`, as the program calls them."""
        command, (source, target) = words[0], words[-2:]
        pool, _, image = source.partition("/")

        def carried_out() -> str:
            """Of an export the content, which the file names, as the model has no bytes."""
            pair = self._pair(pool, image)
            self._note(f"rbd {command} {source}")
            if command == "copy":
                self._world.copy_image(self._site, image, target.partition("/")[2])
            if command == "rename":
                self._world.rename(self._site, image, target.partition("/")[2])
            return str(pair.content(self._site, self._world.clock())) if command == "export-diff" else ""

        if command not in ("export-diff", "copy", "rename"):
            raise Fault("refused", f"The lab has no {program} {command}.", exit=127, reason="other")
        try:
            held = self._asked(f"{command} {source}", carried_out)
        except Fault as fault:
            return int(fault.facts.get("exit", 110)), fault.text
        except Refused as refused:
            return refused.exit_code, refused.why
        if command == "export-diff":
            Path(target).write_text(f"rbd diff of the lab: {source} at site {self._site}: {held}\n")
        return 0, ""

    def act(self, verb: str, pool: str, image: str) -> tuple[int, str]:
        return self._in_loop(self._acted(f"rbd {' '.join(ACT_WORDS[verb])} {pool}/{image}"))

    async def _acted(self, text: str) -> tuple[int, str]:
        outcome = await self._shell.run(text, in_library=True)
        if self._shell.take("command-succeeds-but-connection-drops", text) is not None:
            self._drop()
        return outcome.exit_code, (outcome.stderr or outcome.stdout).strip()

    # ---- Ceph's client blocklist

    def blocklist(self, op: str, address: str, expire_s: int, output: str, lock: int) -> tuple[int, str]:
        return self._in_loop(self._blocklisting(op, address, expire_s))

    async def _blocklisting(self, op: str, address: str, expire_s: int) -> tuple[int, str]:
        """An act: however long it takes, nobody gives it up."""
        text = f"ceph osd blocklist {op} {address}"
        hang = self._shell.take("command-hangs", text)
        if hang is not None:
            await asyncio.sleep(hang.seconds)
        failure = self._shell.take("command-fails", text)
        if failure is not None:
            return failure.exit_code, failure.stderr.strip()
        said = ""
        if op == "add":
            self._world.blocklist(self._site, address, expire_s)
        elif self._world.sites[self._site].blocklist.pop(address, None) is None:
            said = f"{address} isn't blocklisted"  # with exit 0, as Ceph says it
        self._note(text)
        if self._shell.take("command-succeeds-but-connection-drops", text) is not None:
            self._drop()
        return 0, said

    def _note(self, text: str) -> None:
        """In the loop."""
        self._shell.others.append(Act(self._world.clock(), text, 0))

    def blocklisted(self) -> list[str]:
        found = self._asked("ceph osd blocklist ls", lambda: self._world.blocklisted(self._site))
        return [f"{address} until {answers.short_stamp(until)}" for address, until in found.items()]


class _HeldByLibrary(Held):
    def act(self, verb: str, lock: int) -> tuple[int, str]:
        library = self._clients
        assert isinstance(library, LabLibrary)
        exit_status, said = library.act(verb, self._pool, self._image)
        if verb == "mirror-snapshot":  # by the `rbd` client at a real site: what it says outlives the program
            Path(self._output).write_text(said)
        return exit_status, said
