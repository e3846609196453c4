"""Salvage: what an image holds, written beside the cluster before the copy is given up.

A diff from nothing, which leaves out what was never written (``rbd import-diff`` reads it). The file has its name when
it is whole, and its SHA-256 lies beside it in the form of ``sha256sum``.
"""

import contextlib
import hashlib
import os
from typing import Optional, Tuple

from drportal.site_program.clients import Clients
from drportal.site_program.wire import Fault, Json

SPARE_BYTES = 1 << 30


def _final(folder: str, receipt: Json) -> str:
    return os.path.join(folder, "%s.%s.rbd-diff" % (receipt["image"], receipt["op"].replace(":", "-")))


def used_bytes(engine: Clients, pool: str, image: str) -> int:
    return sum(int(one["used_size"]) for one in engine.read_json("du", "%s/%s" % (pool, image))["images"])


def check_folder(engine: Clients, folder: str, pool: str, image: str) -> None:
    """Raises Fault."""
    try:
        space = os.statvfs(folder)
    except OSError as error:
        text = "The directory for salvage can't be used: %s. Nothing was done." % error
        raise Fault("precondition", text, failed="directory", expected=folder, seen=None)
    needed, room = used_bytes(engine, pool, image) + SPARE_BYTES, space.f_bavail * space.f_frsize
    if room < needed:
        text = "%s has room for %d bytes, and the export may need %d. Nothing was done." % (folder, room, needed)
        raise Fault("precondition", text, failed="room", expected=needed, seen=room)


def export(engine: Clients, folder: str, output: str, receipt: Json, lock: int) -> Tuple[int, str, Optional[Json]]:
    """(exit status, what was said, what was written). All of it is on the disk: the copy may be discarded next.

    ``output``: where the client's words go meanwhile.
    """
    image = "%s/%s" % (receipt["pool"], receipt["image"])
    final = _final(folder, receipt)
    part = final + ".part"
    exit_status, text = engine.run_act("rbd", ["export-diff", "--no-progress", image, part], output, lock)
    if exit_status:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        return exit_status, text, None
    digest = hashlib.sha256()
    with open(part, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
        os.fsync(file.fileno())
    with open(final + ".sha256", "w") as file_of_sum:
        file_of_sum.write("%s  %s\n" % (digest.hexdigest(), os.path.basename(final)))
        file_of_sum.flush()
        os.fsync(file_of_sum.fileno())
    _sync(folder)  # before the name that says that it is whole
    os.rename(part, final)
    return 0, text, written(folder, receipt)


def _sync(folder: str) -> None:
    """The names in it."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def written(folder: str, receipt: Json) -> Optional[Json]:
    """The export of an operation, if it is there and whole. What a dead one left half-way is removed."""
    final = _final(folder, receipt)
    if not os.path.exists(final):
        for left in (final + ".part", final + ".sha256"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(left)
        return None
    _sync(folder)  # whoever renamed it may have died before this
    with open(final + ".sha256") as file:
        return {"path": final, "bytes": os.path.getsize(final), "sha256": file.read().split()[0]}
