"""What was refused here since the portal asked last, told in groups: a flood of lines is a number, not an answer."""

from typing import Any, Dict, List, Tuple

from drportal.site_program.store import Store
from drportal.site_program.wire import Json

LOG = "refused.log"
_GROUPS = 50
_LINES = 20000  # looked at for one answer
_OPS = 200  # of one group
_SHOWN = 200  # characters of a line

Kind = Tuple[str, str, str, bool]


def refusals_since(store: Store, since: int) -> Json:
    """``groups`` of what was refused for the same reason, to the same key, from the same address; the newest first.

    ``more``: refused lines that no group counts. ``whole`` false: some are not in the log any more, or were too many.
    """
    groups: Dict[Kind, Json] = {}
    following, more, whole = since, 0, since == 0
    for seen, (number, entry) in enumerate(store.logged(LOG)):
        following = max(following, number)
        if number <= since:
            whole = True
            break
        if seen >= _LINES:
            whole = False
            break
        kind = _kind_of(entry)
        if kind in groups or len(groups) < _GROUPS:
            _count(groups.setdefault(kind, _begun(kind, entry)), entry)
        else:
            more += 1
    return {"groups": list(groups.values()), "more": more, "next": following, "whole": whole}


def _kind_of(entry: Json) -> Kind:
    address = (str(entry.get("client") or "").split() or [""])[0]
    return str(entry.get("code")), str(entry.get("rights") or ""), address, bool(entry.get("op"))


def _begun(kind: Kind, newest: Json) -> Json:
    code, rights, address, named = kind
    about = {"code": code, "rights": rights, "address": address, "named": named, "count": 0, "ops": []}
    line, text = (str(newest.get(name) or "")[:_SHOWN] for name in ("line", "text"))
    return dict(about, first_at=newest.get("at"), last_at=newest.get("at"), text=text, line=line)


def _count(group: Json, entry: Json) -> None:
    ops: List[Any] = group["ops"]
    group["count"] += 1
    group["first_at"] = entry.get("at")
    if entry.get("op") and entry["op"] not in ops and len(ops) < _OPS:
        ops.append(entry["op"])
