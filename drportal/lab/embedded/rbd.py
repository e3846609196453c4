"""One site's `rbd`: argument parsing, the acts, and Ceph's words and exit codes for each refusal."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from drportal.lab.embedded import answers, plain
from drportal.lab.embedded.copies import JOURNAL, SNAPSHOT, Copy
from drportal.lab.embedded.pair import Pair, Refused
from drportal.lab.embedded.schedules import ALL_POOLS, BadSchedule
from drportal.lab.embedded.talk import default_log, errno_text
from drportal.lab.embedded.world import World

VERSION_TEXT = "ceph version 16.2.15 (618f440892089921c3e944a991122ddc44e60516) pacific (stable)\n"
_WITH_VALUE = {
    "--client-mount-timeout",
    "--rados-mon-op-timeout",
    "--rados-osd-op-timeout",
    "--id",
    "--name",
    "-n",
    "--conf",
    "-c",
    "--cluster",
    "--keyring",
    "-k",
    "--format",
    "--pool",
    "-p",
    "--image",
    "--size",
    "-s",
    "--image-feature",
    "--namespace",
    "-m",
    "--log-to-stderr",
}
_FLAGS = {"--verbose", "--all", "-a", "-l", "--long", "--force", "--version", "-v", "--no-progress"}
_FLAGS |= {"--recursive", "-R"}
_COMMANDS = (
    "mirror pool info",
    "mirror pool status",
    "mirror pool promote",
    "mirror pool demote",
    "mirror image status",
    "mirror image promote",
    "mirror image demote",
    "mirror image resync",
    "mirror image snapshot",
    "mirror image enable",
    "mirror image disable",
    "mirror snapshot schedule ls",
    "mirror snapshot schedule list",
    "mirror snapshot schedule add",
    "mirror snapshot schedule remove",
    "feature enable",
    "journal status",
    "snap ls",
    "status",
    "info",
    "ls",
    "create",
    "rm",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    exit_code: int
    stdout: str = ""
    stderr: str = ""


class Failure(Exception):
    """Ends a command with these words."""

    def __init__(self, exit_code: int, stderr: str, stdout: str = "") -> None:
        super().__init__(stderr)
        self.outcome = Outcome(exit_code, stdout, stderr)


@dataclass(slots=True)
class Call:
    command: str
    words: list[str]
    options: dict[str, str] = field(default_factory=dict)

    @property
    def json(self) -> bool:
        return self.options.get("--format") == "json"

    def has(self, *names: str) -> bool:
        return any(name in self.options for name in names)


def parse(argv: list[str]) -> Call:
    """argv without "rbd". Raises Failure as rbd would."""
    words: list[str] = []
    options: dict[str, str] = {}
    rest = iter(argv)
    for word in rest:
        name, has_value, value = word.partition("=")
        if name in _WITH_VALUE:
            options[name] = value if has_value else next(rest, "")
        elif word in _FLAGS:
            options[word] = ""
        elif word.startswith("-") and len(word) > 1:
            raise Failure(1, f"rbd: unrecognised option '{word}'\n")
        else:
            words.append(word)
    text = " ".join(words)
    command = next((known for known in _COMMANDS if text == known or text.startswith(known + " ")), "")
    if not command and "--version" not in options and "-v" not in options:
        raise Failure(1, f"error: unknown option '{text}'\n\n")
    return Call(command, words[len(command.split()) :] if command else words, options)


@dataclass(slots=True)
class Rbd:
    """The client program of one site. `sleep` is how waiting is done."""

    world: World
    site: str
    default_logging: bool = False
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def run(self, argv: list[str], *, in_library: bool = False) -> Outcome:
        """Answer `rbd ARGV`. Takes the time of a process start (or, `in_library`, that of the operation alone), or as
        long as a lock or a dead cluster makes it."""
        try:
            call = parse(argv)
            if not call.command:
                return Outcome(0, VERSION_TEXT)
            await self.sleep(self.world.timing.library_s if in_library else self.world.timing.command_s)
            if not self.world.site_up(self.site) and not await self._comes_back(call):
                log = default_log("dead cluster") if self.default_logging else ""
                return Outcome(110, "", log + "rbd: couldn't connect to the cluster!\n")
            return await self._dispatch(call)
        except Failure as failure:
            return failure.outcome

    async def _comes_back(self, call: Call) -> bool:
        """Whether the cluster answers again while the client waits for it (Ceph's own patience: 300 s)."""
        left_s = float(call.options.get("--client-mount-timeout", 300))
        while not self.world.site_up(self.site) and left_s > 0:
            await self.sleep(min(0.2, left_s))
            left_s -= 0.2
        return self.world.site_up(self.site)

    async def _dispatch(self, call: Call) -> Outcome:
        if call.command.startswith("mirror pool"):
            return await self._pool_command(call)
        if call.command.startswith("mirror snapshot schedule"):
            return self._schedule_command(call)
        if call.command == "ls":
            self._pool(call)
            rows = answers.ls(self.world, self.site)
            if call.has("-l", "--long"):
                return self._show(call, rows, plain.ls)
            names = [row["image"] for row in rows]
            return self._show(call, names, lambda all_names: "".join(f"{name}\n" for name in all_names))
        if call.command == "create":
            return self._create(call)
        return await self._image_command(call)

    def _show(self, call: Call, answer: Any, text: Callable[[Any], str]) -> Outcome:
        from drportal.lab.embedded.describe import compact

        return Outcome(0, compact(answer) + "\n" if call.json else text(answer))

    # ---- names

    def _pool(self, call: Call) -> None:
        spec = call.words[0] if call.words else call.options.get("--pool", call.options.get("-p", "rbd"))
        if len(call.words) > 1:
            raise Failure(1, "rbd: too many arguments\n")
        pool, _, namespace = spec.partition("/")
        self._check_pool(pool)
        if namespace:
            raise Failure(2, f"rbd: namespace '{namespace}' does not exist.\n")

    def _check_pool(self, pool: str) -> None:
        if pool != self.world.pool:
            raise Failure(2, f"rbd: error opening pool '{pool}': (2) No such file or directory\n")

    def _image_name(self, call: Call) -> str:
        spec = call.words[0] if call.words else call.options.get("--image", "")
        if not spec:
            raise Failure(22, "rbd: image name was not specified\n")
        most = {"mirror image enable": 2, "feature enable": 99}.get(call.command, 1)
        if len(call.words) > most:
            raise Failure(1, "rbd: too many arguments\n")
        pool, slash, name = spec.rpartition("/")
        pool = pool if slash else call.options.get("--pool", call.options.get("-p", "rbd"))
        pool, _, namespace = pool.partition("/")
        self._check_pool(pool)
        if namespace:
            raise Failure(2, f"rbd: namespace '{namespace}' does not exist.\n")
        return name

    def _pair(self, name: str) -> Pair:
        try:
            pair = self.world.pair(name)
            pair.copy(self.site)
        except Refused as refused:
            text = f"rbd: error opening image {name}: (2) No such file or directory\n"
            raise Failure(2, text) from refused
        return pair

    # ---- pools

    async def _pool_command(self, call: Call) -> Outcome:
        self._pool(call)
        if call.command == "mirror pool info":
            return self._show(call, answers.pool_info(self.world, self.site), plain.pool_info)
        if call.command == "mirror pool status":
            answer = answers.pool_status(self.world, self.site, verbose=call.has("--verbose"))
            return self._show(call, answer, plain.pool_status)
        promote = call.command == "mirror pool promote"
        done, errors = 0, ""
        for pair in [p for p in self.world.pairs_at(self.site) if p.copies[self.site].role is not None]:
            try:
                if promote and not pair.writable(self.site):
                    await self._wait_for_lock(pair.name, call.has("--force"))
                    self._pair(pair.name).promote(self.site, self.world.clock(), force=call.has("--force"))
                    done += 1
                elif not promote and pair.writable(self.site):
                    pair.demote(self.site, self.world.clock())
                    done += 1
            except Refused as refused:
                text = errno_text(refused.exit_code)
                errors += default_log(f"{refused.why}, pool") if self.default_logging else ""
                errors += f"rbd: failed to promote image {pair.name}: ({refused.exit_code}) {text}\n"
        word = "Promoted" if promote else "Demoted"
        return Outcome(16 if errors else 0, f"{word} {done} mirrored images\n", errors)

    # ---- schedules

    def _schedule_command(self, call: Call) -> Outcome:
        """By the manager, so that its words come as they are."""
        verb, known = call.command.rpartition(" ")[2], self.world.sites[self.site].schedules
        try:
            level = self._level(call)
            interval, start = [*call.words, "", ""][:2]
            if verb == "add":
                known.add(level, interval, start)
            elif verb == "remove":
                known.remove(level, interval, start)
        except BadSchedule as bad:
            word = "list" if verb == "ls" else verb
            text = f"rbd: rbd mirror snapshot schedule {word} failed: (22) Invalid argument: {bad}\n"
            raise Failure(22, text) from None
        if verb in ("add", "remove"):
            return Outcome(0)
        if call.has("--recursive", "-R"):
            return self._show(call, known.listed(level), plain.schedules)
        items = known.items(level)
        return self._show(call, items, plain.schedule) if items else Outcome(0)

    def _level(self, call: Call) -> str:
        pool, image = call.options.get("--pool", call.options.get("-p", "")), call.options.get("--image", "")
        if not pool:
            return ALL_POOLS
        if pool != self.world.pool:
            raise BadSchedule(f"Invalid level spec {pool}/{image}: pool {pool} does not exist")
        if image and (image not in self.world.pairs or self.site not in self.world.pairs[image].copies):
            raise BadSchedule(f"Invalid level spec {pool}/{image}: image {image} does not exist")
        return f"{pool}/{image}" if image else pool

    # ---- images

    def _create(self, call: Call) -> Outcome:
        name = self._image_name(call)
        size = call.options.get("--size", call.options.get("-s", ""))
        factor = {"B": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}.get(size[-1:].upper(), 0)
        digits = size[:-1] if factor else size
        if not digits.isdigit():
            raise Failure(22, "rbd: must specify --size <M/G/T>\n")
        try:
            self.world.create(self.site, name, int(digits) * (factor or 2**20))
        except Refused as refused:
            raise Failure(17, f"rbd: create error: (17) File exists\n{default_log(refused.why)}") from refused
        return Outcome(0)

    async def _image_command(self, call: Call) -> Outcome:
        name = self._image_name(call)
        self._pair(name)
        shown = self._read(call, name)
        if shown is not None:
            return shown
        force = call.has("--force")
        if call.command == "mirror image promote":
            await self._wait_for_lock(name, force)
        return self._act(call, name, force)

    def _read(self, call: Call, name: str) -> Outcome | None:
        world, site, pair = self.world, self.site, self._pair(name)
        match call.command:
            case "info":
                return self._show(call, answers.info(world, pair, site), plain.info)
            case "status":
                return self._show(call, answers.watchers(world, pair, site), plain.watchers)
            case "snap ls":
                return self._show(
                    call, answers.snaps(world, pair, site) if call.has("--all", "-a") else [], plain.snaps
                )
            case "journal status":
                try:
                    answer = answers.journal(world, pair, site, world.clock())
                except Refused as refused:
                    raise Failure(22, f"rbd: journaling is not enabled for image {name}\n") from refused
                return self._show(call, answer, plain.journal)
            case "mirror image status":
                try:
                    return self._show(call, answers.image_status(world, pair, site), plain.image_status)
                except Refused as refused:
                    raise Failure(22, "rbd: mirroring not enabled on the image\n") from refused
        return None

    async def _wait_for_lock(self, name: str, force: bool) -> None:
        while True:
            now = self.world.clock()
            until = self._pair(name).blocked_until(self.site, now, force=force)
            if until <= now:
                return
            await self.sleep(1.0 if math.isinf(until) else min(until - now, 1.0))

    def _act(self, call: Call, name: str, force: bool) -> Outcome:
        """At one instant, on the state of now."""
        pair, now = self._pair(name), self.world.clock()
        said = ""
        try:
            match call.command:
                case "mirror image promote":
                    pair.promote(self.site, now, force=force)
                    said = "Image promoted to primary\n"
                case "mirror image demote":
                    pair.demote(self.site, now)
                    said = "Image demoted to non-primary\n"
                case "mirror image resync":
                    pair.resync(self.site, now)
                    said = "Flagged image for resync from primary\n"
                case "mirror image snapshot":
                    said = f"Snapshot ID: {pair.mirror_snapshot(self.site, now)}\n"
                case "mirror image enable":
                    pair.enable(self.site, call.words[1] if call.words[1:] == [SNAPSHOT] else JOURNAL, now)
                    said = "Mirroring enabled\n"
                case "mirror image disable":
                    pair.disable(self.site, now)
                    said = "Mirroring disabled\n"
                case "feature enable":
                    self._enable_features(pair.copy(self.site), call.words[1:])
                case "rm":
                    pair.remove(self.site, now)
        except Refused as refused:
            return self._refusal(call.command, refused)
        return Outcome(0, said)

    def _enable_features(self, copy: Copy, names: list[str]) -> None:
        if {*answers.PLAIN_FEATURES, *copy.switched_on} & set(names):
            raise Failure(22, "rbd: failed to update image features: (22) Invalid argument\n")
        copy.switched_on += names

    def _refusal(self, command: str, refused: Refused) -> Outcome:
        log = default_log(refused.why) if self.default_logging else ""
        if command == "rm":
            return Outcome(refused.exit_code, "", _RM_REFUSED)
        if refused.why in _OWN_WORDS:
            return Outcome(refused.exit_code, "", _OWN_WORDS[refused.why])
        return Outcome(refused.exit_code, "", log + _WORDS.get(command, ""))


_OWN_WORDS = {
    "not mirrored": "rbd: mirroring not enabled on the image\n",
    "not snapshot mode": "rbd: snapshot based mirroring not enabled on the image\n",
}
_WORDS = {
    "mirror image promote": "rbd: error promoting image to primary\n",
    "mirror image demote": "rbd: error demoting image to non-primary\n",
    "mirror image resync": "rbd: error flagging image resync\n",
    "mirror image snapshot": "rbd: error creating snapshot: (22) Invalid argument\n",
}
_RM_REFUSED = (
    "\rRemoving image: 0% complete...failed.\nrbd: error: image still has watchers\nThis means the image is still open "
    "or the client using it crashed. Try again after closing/unmapping it or waiting 30s for the crashed client to "
    "timeout.\n"
)
