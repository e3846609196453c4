"""Salvage: what an image holds, kept as another image of the same pool before the copy is given up.

It is made under a name that says that it is not whole, and renamed when it is. Nothing here removes an image: what a
copy that failed leaves behind is named, for people to remove. Without journaling, so that a pool that mirrors whatever
has it does not mirror this one.
"""

import hashlib
from typing import Optional, Tuple

from drportal.site_program.clients import Clients
from drportal.site_program.exports import SPARE_BYTES, used_bytes
from drportal.site_program.wire import Fault, Json

_KEPT_FEATURES = "layering,exclusive-lock,object-map,fast-diff,deep-flatten"


def kept_name(receipt: Json) -> str:
    """Of the operation, which is one act for ever: no second copy has it."""
    return "%s.kept-%s" % (receipt["image"][:64], hashlib.sha256(receipt["op"].encode()).hexdigest()[:16])


def _half_name(receipt: Json) -> str:
    return kept_name(receipt) + ".part"


def check_name(receipt: Json) -> None:
    """What was shown to people is what is made. (An older portal shows the image alone.) Raises Fault."""
    shown = [word for word in receipt["shown"].split() if ".kept-" in word]
    kept = "%s/%s" % (receipt["pool"], kept_name(receipt))
    if shown and set(shown) != {kept, kept + ".part"}:
        text = "The copy would be called %s, and %s was shown. Nothing was done." % (kept, shown[-1])
        raise Fault("precondition", text, failed="name", expected=kept, seen=shown[-1])


def check_pool(engine: Clients, pool: str, image: str) -> None:
    """Raises Fault."""
    needed, room = used_bytes(engine, pool, image) + SPARE_BYTES, engine.room(pool)
    if room < needed:
        text = "Pool %s has room for %d bytes, and the copy needs %d. Nothing was done." % (pool, room, needed)
        raise Fault("precondition", text, failed="room", expected=needed, seen=room)


def keep(engine: Clients, output: str, receipt: Json, lock: int) -> Tuple[int, str, Optional[Json]]:
    """(exit status, what was said, what is there now)."""
    pool, part, kept = receipt["pool"], _half_name(receipt), kept_name(receipt)
    source = "%s/%s" % (pool, receipt["image"])
    words = ["copy", "--no-progress", "--image-feature", _KEPT_FEATURES, source, "%s/%s" % (pool, part)]
    exit_status, text = engine.run_act("rbd", words, output, lock)
    if not exit_status:
        words = ["rename", "%s/%s" % (pool, part), "%s/%s" % (pool, kept)]
        exit_status, text = engine.run_act("rbd", words, output, lock)
    found = kept_copy(engine, receipt)
    return exit_status, ("%s %s" % (text, left_behind(found))).strip(), found


def kept_copy(engine: Clients, receipt: Json) -> Json:
    """The copy of an operation if it is whole, or what a broken one left. Raises Fault."""
    pool = receipt["pool"]
    info = _info_or_none(engine, pool, kept_name(receipt))
    if info is None:
        half = _info_or_none(engine, pool, _half_name(receipt)) is not None
        return {"left": "%s/%s" % (pool, _half_name(receipt))} if half else {}
    mirrored = (info.get("mirroring") or {}).get("state", "disabled") != "disabled"
    name = "%s/%s" % (pool, info["name"])
    return {"copy": name, "copy_id": info["id"], "bytes": info["size"], "mirrored": mirrored}


def _info_or_none(engine: Clients, pool: str, image: str) -> Optional[Json]:
    try:
        return engine.info(pool, image)
    except Fault as fault:
        if fault.code == "not-found":
            return None
        raise


def left_behind(found: Json) -> str:
    """Empty, or what people have to remove."""
    return "Half a copy is left: rbd rm %s" % found["left"] if "left" in found else ""
