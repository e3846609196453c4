"""What the site's own people deposit, so that the portal's word alone forces no promotion: each for one act on each
image that it names. Who has used it is on the disk before the act's intent is."""

import hashlib
import json
import os
import time
from typing import Any, Dict, Optional

from drportal.site_program.store import KEPT_S, Store
from drportal.site_program.wire import Fault

DEPOSIT_HOLDS_S = 86400.0


def deposited(store: Store, approval: str, image: str) -> bool:
    """Whether the site's own people have deposited it, for this image, and not too long ago."""
    try:
        with open(os.path.join(store.directory, "approvals", approval)) as file:
            fresh = os.fstat(file.fileno()).st_mtime > time.time() - DEPOSIT_HOLDS_S
            return fresh and image in file.read().split()
    except (OSError, UnicodeDecodeError):
        return False


def check_deposit(store: Store, approval: str, image: str) -> None:
    """Raises Fault ``not-allowed`` where there is none."""
    if not deposited(store, approval, image):
        text = "The site's people have not deposited this approval for %s today. Nothing was done."
        raise Fault("not-allowed", text % image)


def use_deposit(store: Store, approval: str, image: str, op: str) -> None:
    """Under the image's lock, before the intent of ``op``. Raises Fault where another act has had it.

    One that had no effect gives it back: a refused attempt may be repeated, under the new id that the portal gives it.
    """
    check_deposit(store, approval, image)
    used = used_by(store, approval, image)
    if used == op:
        return
    if used is not None and not _had_no_effect(store, used):
        text = "The deposit of this approval has been used for %s already (by %s). Nothing was done."
        raise Fault("not-allowed", text % (image, used), op=used)
    store.put("deposits-used", _file_of(approval, image), {"approval": approval, "image": image, "op": op})
    _forget_old(store)


def _file_of(approval: str, image: str) -> str:
    """One and the same whatever the image is called, and never too long for a file's name."""
    return hashlib.sha256(("%s %s" % (approval, image)).encode()).hexdigest()


def used_by(store: Store, approval: str, image: str) -> Optional[str]:
    """The operation that has it. Raises Fault where that can't be read."""
    try:
        with open(os.path.join(store.directory, "deposits-used", _file_of(approval, image)), "rb") as file:
            found: Dict[str, Any] = json.loads(file.read().decode())
            return str(found["op"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise Fault("storage", "Whether the deposit for %s has been used can't be read. Nothing was done." % image)


def _had_no_effect(store: Store, op: str) -> bool:
    """Without a receipt it was never begun: its process died between the two, and the lock is ours now."""
    receipt = store.receipt(op)
    if receipt is None:
        return not store.was_retired(op)
    return bool(receipt["state"] == "not-done")


def _forget_old(store: Store) -> None:
    """Those of long ago: the files that they belong to have ended after a day."""
    folder = os.path.join(store.directory, "deposits-used")
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        try:
            if os.path.getmtime(path) < time.time() - KEPT_S:
                os.unlink(path)
        except FileNotFoundError:
            continue
