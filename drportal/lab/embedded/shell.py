"""What a site's shell answers: a fixed list of commands, never a real process."""

from __future__ import annotations

import asyncio
import datetime as dt
import shlex
from dataclasses import dataclass, field

from drportal.lab.embedded import answers
from drportal.lab.embedded.rbd import VERSION_TEXT, Outcome, Rbd


@dataclass(slots=True)
class CommandFault:
    """One active fault on commands whose text contains `match`; `left` 0 means until restored."""

    name: str
    match: str = ""
    left: int = 0
    exit_code: int = 1
    stderr: str = ""
    seconds: float = 3600.0


ACTS = frozenset({"demote", "promote", "resync", "snapshot", "enable", "disable", "create", "rm"})


@dataclass(frozen=True, slots=True)
class Act:
    """A command that changes images, as it ended here; whether anybody heard of it is another matter."""

    at: float
    command: str
    exit_code: int


@dataclass(slots=True)
class Shell:
    """One site's command line. `acts`: what has ended so far, oldest first; `others`: the same of what changes no image
    (exports and the client blocklist), as the site program carries it out."""

    rbd: Rbd
    faults: list[CommandFault] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    others: list[Act] = field(default_factory=list)

    def take(self, name: str, text: str) -> CommandFault | None:
        """The first such fault that matches, counted down."""
        for fault in self.faults:
            if fault.name == name and fault.match in text:
                if fault.left:
                    fault.left -= 1
                    if not fault.left:
                        self.faults.remove(fault)
                return fault
        return None

    async def run(self, text: str, *, in_library: bool = False) -> Outcome:
        """`in_library`: no process is started for it, and it takes that much less."""
        try:
            argv = shlex.split(text)
        except ValueError as error:
            return Outcome(2, "", f"sh: 1: Syntax error: {error}\n")
        limit_s: float | None = None
        if argv[:1] == ["timeout"]:
            argv = argv[1:]
            if argv[:1] == ["-k"]:
                argv = argv[2:]
            try:
                limit_s = float(argv[0])
            except (IndexError, ValueError):
                return Outcome(125, "", "timeout: invalid time interval\n")
            argv = argv[1:]
        if limit_s is None:
            return await self._program(text, argv, in_library)
        try:
            return await asyncio.wait_for(self._program(text, argv, in_library), limit_s)
        except TimeoutError:
            return Outcome(124)

    async def _program(self, text: str, argv: list[str], in_library: bool) -> Outcome:
        hang = self.take("command-hangs", text)
        if hang is not None:
            await asyncio.sleep(hang.seconds)
        failure = self.take("command-fails", text)
        if failure is not None:
            return Outcome(failure.exit_code, "", failure.stderr)
        now = dt.datetime.fromtimestamp(self.rbd.world.clock(), dt.UTC)
        match argv:
            case ["rbd", *rest]:
                outcome = await self.rbd.run(rest, in_library=in_library)
                if ACTS & set(rest) and "schedule" not in rest:  # a snapshot schedule is not the image's
                    self.acts.append(Act(now.timestamp(), text, outcome.exit_code))
                return outcome
            case ["rados", *rest] if rest[-4:] == ["-p", self.rbd.world.pool, "listwatchers", "rbd_mirroring"]:
                return Outcome(0, answers.mirroring_watchers(self.rbd.world, self.rbd.site))
            case ["ceph", *rest] if rest[-5:-2] == ["osd", "blocklist", "add"] and rest[-1].isdigit():
                world, address, expire_s = self.rbd.world, rest[-2], int(rest[-1])
                world.blocklist(self.rbd.site, address, expire_s)
                until = answers.short_stamp(world.clock() + expire_s)
                return Outcome(0, "", f"blocklisting {address} until {until} ({expire_s} sec)\n")
            case ["ceph", "--version" | "-v"]:
                return Outcome(0, VERSION_TEXT)
            case ["true"]:
                return Outcome(0)
            case ["date", "-u", "+%s"] | ["date", "+%s"]:
                return Outcome(0, f"{int(now.timestamp())}\n")
            case ["date", "+%FT%T%z"] | ["date", "-u", "+%FT%T%z"]:
                return Outcome(0, now.strftime("%Y-%m-%dT%H:%M:%S+0000\n"))
            case []:
                return Outcome(0)
        return Outcome(127, "", f"sh: 1: {argv[0]}: not found\n")
