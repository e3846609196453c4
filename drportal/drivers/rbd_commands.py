"""Every command line that the portal sends to a site's Ceph: one builder each, for the driver and the screen alike.

Reads carry time limits of the Ceph client itself, because an ``rbd`` without them waits 300 s for a dead monitor and
for ever for a hung OSD (client_mount_timeout, rados_mon_op_timeout, rados_osd_op_timeout: Ceph client options). Acts
carry none: an act that gives up half-way leaves the outcome open.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256

from drportal.drivers.base import ImageRef
from drportal.drivers.names import checked_name
from drportal.drivers.orders import Warrant

Argv = tuple[str, ...]

READ_LIMITS: Argv = ("--client-mount-timeout", "5", "--rados-mon-op-timeout", "5", "--rados-osd-op-timeout", "5")
MIRRORING_WATCHERS: Argv = ("listwatchers", "rbd_mirroring")
AS_JSON: Argv = ("--format", "json")
# %z tells how to read rbd-mirror's last_update, which is written in the site's local time without a zone.
SITE_CLOCK: Argv = ("date", "+%FT%T%z")
FREED_FOR_S = 600
SHUT_OUT_FOR_S = 86_400  # a returned site's writers; let in again when its copy follows
KEPT_DIGITS = 16
_CLIENT_ADDRESS = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[0-9.]{7,15}):[0-9]{1,5}/[1-9][0-9]{0,9}")


@dataclass(frozen=True, slots=True)
class RbdCommands:
    """Builders for one site. ``ceph_user``: cephx name without ``client.`` (``rbd --id``); None: the site's default."""

    ceph_user: str | None = None

    def __post_init__(self) -> None:
        if self.ceph_user is not None:
            checked_name(self.ceph_user, "Ceph user")

    def _read(self, *words: str) -> Argv:
        return ("rbd", *READ_LIMITS, *self._identity(), *words, *AS_JSON)

    def _act(self, *words: str) -> Argv:
        return ("rbd", *self._identity(), *words)

    def _identity(self) -> Argv:
        return ("--id", self.ceph_user) if self.ceph_user is not None else ()

    def pool_info(self, pool: str) -> Argv:
        return self._read("mirror", "pool", "info", checked_name(pool, "pool"))

    def pool_status(self, pool: str) -> Argv:
        return self._read("mirror", "pool", "status", checked_name(pool, "pool"), "--verbose")

    def list_images(self, pool: str) -> Argv:
        return self._read("ls", "-l", checked_name(pool, "pool"))

    def info(self, ref: ImageRef) -> Argv:
        return self._read("info", str(ref))

    def image_status(self, ref: ImageRef) -> Argv:
        return self._read("mirror", "image", "status", str(ref))

    def journal_status(self, ref: ImageRef) -> Argv:
        return self._read("journal", "status", "--pool", ref.pool, "--image", ref.name)

    def snapshots(self, ref: ImageRef) -> Argv:
        return self._read("snap", "ls", "--all", str(ref))

    def watchers(self, ref: ImageRef) -> Argv:
        return self._read("status", str(ref))

    def schedules(self, pool: str) -> Argv:
        return self._read("mirror", "snapshot", "schedule", "ls", "--pool", checked_name(pool, "pool"), "--recursive")

    def mirror_daemons(self, pool: str) -> Argv:
        """Who watches the pool's ``rbd_mirroring`` object: the mirror daemons of both sites, and nobody else.

        ``rbd status`` does not tell a mirror daemon from a VM, and in snapshot mode the *peer's* daemon keeps each
        primary image open. Its client number is the same here and there (measured on 16.2.15).
        """
        return ("rados", *READ_LIMITS, *self._identity(), "-p", checked_name(pool, "pool"), *MIRRORING_WATCHERS)

    def version(self) -> Argv:
        return ("rbd", "--version")

    def demote(self, ref: ImageRef) -> Argv:
        return self._act("mirror", "image", "demote", str(ref))

    def promote(self, ref: ImageRef) -> Argv:
        return self._act("mirror", "image", "promote", str(ref))

    def force_promote(self, ref: ImageRef, warrant: Warrant) -> Argv:
        """The only place where the portal builds such a command: it takes a warrant, and ``act`` below has no word
        for it. TypeError without one."""
        if not isinstance(warrant, Warrant):
            raise TypeError("a forced promotion needs an approval. Nothing was built.")
        return self._act("mirror", "image", "promote", "--force", str(ref))

    def resync(self, ref: ImageRef) -> Argv:
        return self._act("mirror", "image", "resync", str(ref))

    def free(self, address: str) -> Argv:
        """Shut one client of Ceph out for ten minutes: what it has open is taken from it at once (``ceph osd
        blocklist``). ``address``: IP:PORT/NONCE of a mirror daemon, as ``rbd status`` tells it; ValueError if not.

        The daemon comes back by itself, as a new client, when its peer does (measured on 16.2.15).
        """
        return self._blocklist("add", address, str(FREED_FOR_S))

    def shut_out(self, address: str) -> Argv:
        """Shut a writer's client out of Ceph for a day. ValueError for what is no address of one client: never a whole
        host."""
        return self._blocklist("add", address, str(SHUT_OUT_FOR_S))

    def let_in(self, address: str) -> Argv:
        return self._blocklist("rm", address)

    def _blocklist(self, word: str, address: str, *more: str) -> Argv:
        if not _CLIENT_ADDRESS.fullmatch(address):
            raise ValueError(f"{address!r} is no client's address")
        return ("ceph", *self._identity(), "osd", "blocklist", word, address, *more)

    def salvage(self, ref: ImageRef) -> Argv:
        """What the site program makes of it; the file's name in its directory is its own."""
        return self._act("export-diff", "--no-progress", str(ref))

    def keep_copy(self, ref: ImageRef, name: str) -> tuple[Argv, Argv]:
        """Into the image ``name`` of the same pool, which has that name when it is whole.

        Without journaling: a pool may mirror whatever has it.
        """
        features = "layering,exclusive-lock,object-map,fast-diff,deep-flatten"
        kept = f"{ref.pool}/{name}"
        copy = self._act("copy", "--no-progress", "--image-feature", features, str(ref), f"{kept}.part")
        return copy, self._act("rename", f"{kept}.part", kept)

    def act(self, name: str, ref: ImageRef) -> Argv:
        """The command of an act by its name. Raises KeyError for a word that is not an act of this portal."""
        acts: dict[str, Callable[[ImageRef], Argv]] = {
            "demote": self.demote,
            "promote": self.promote,
            "resync": self.resync,
            "salvage": self.salvage,
        }
        return acts[name](ref)


def kept_name(image: str, operation_id: str) -> str:
    """What a kept copy is called: the site program makes the same of it, and refuses to be told another."""
    return f"{image[:64]}.kept-{sha256(operation_id.encode()).hexdigest()[:KEPT_DIGITS]}"


def command_line(argv: Argv) -> str:
    """One line a person can read, copy and run; byte for byte what goes over the wire."""
    return shlex.join(argv)


def one_line(commands: Iterable[Argv]) -> str:
    """Of an act that is several commands, each only after the one before it was done. Sites take one line."""
    return " && ".join(command_line(argv) for argv in commands)
