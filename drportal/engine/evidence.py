"""What changed between the evidence that was frozen and a look taken now, and the loss that was said before the act.

Evidence is JSON: ``{"images": {key: {field: value}}, "vms": {…}}``. The table says which differences take a request's
ground away, and which are only shown: after a loss the words and ages of a status go on changing by themselves.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LAST_WORDS_S = 60.0
"""A mirror daemon tells on a beat of 30 s how far it is, so it tells once more after its peer is dead (measured on Ceph
16.2.15); when contact was lost is known to some 20 s. What it tells later than this it has heard from a living site."""


class Counts(enum.StrEnum):
    """When a difference is material; stable, for the page."""

    ALWAYS = "always"
    WHEN_TOLD = "when told"  # not told any more is no move: what was frozen stands
    WHEN_IT_ANSWERS = "when it answers"  # a silence that ends; one that goes deeper was to be expected
    WHEN_SOMEBODY_COMES = "when somebody comes"  # who goes leaves the copy as it was
    WHEN_IT_GOES_ON = "when it goes on"  # a copy that still receives has a living peer
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Row:
    field: str
    counts: Counts
    why: str


SITE_ROWS = (
    Row("plan_version", Counts.ALWAYS, "the yes is to this version of the plan"),
    Row("commands", Counts.ALWAYS, "the yes is to these commands"),
    Row("ssh", Counts.WHEN_IT_ANSWERS, "a site that answers is not gone"),
    Row("ceph", Counts.WHEN_IT_ANSWERS, "a site that answers is not gone"),
    Row("opennebula", Counts.WHEN_IT_ANSWERS, "its VMs may be running"),
    Row("seen_alive", Counts.WHEN_IT_ANSWERS, "somebody gets an answer from it"),
    Row("standing", Counts.NEVER, "a viewpoint that came or went proves neither life nor death"),
)
IMAGE_ROWS = (
    Row("name", Counts.ALWAYS, "another image"),
    Row("mode", Counts.ALWAYS, "another way of mirroring"),
    Row("global_id", Counts.ALWAYS, "another image under this name"),
    Row("image_id", Counts.ALWAYS, "another image under this name"),
    Row("exists_here", Counts.ALWAYS, "there is no such copy, or none could be read"),
    Row("primary_here", Counts.ALWAYS, "somebody promoted or demoted the copy"),
    Row("other_side_answers", Counts.WHEN_IT_ANSWERS, "nothing is forced while the other side can be read"),
    Row("other_side_primary", Counts.WHEN_TOLD, "the other side was read"),
    Row("opened_by", Counts.WHEN_SOMEBODY_COMES, "somebody has the copy open who had not"),
    Row("whole_copy", Counts.WHEN_TOLD, "the copy is whole, or is not, other than it was said"),
    Row("replayed_position", Counts.WHEN_IT_GOES_ON, "the copy still receives, so the other side still writes"),
    Row("newest_complete_snapshot", Counts.WHEN_IT_GOES_ON, "the copy still receives, so the other side still writes"),
    Row("status", Counts.NEVER, "words of a mirror daemon that has lost its peer"),
    Row("entries_behind", Counts.NEVER, "an estimate of that daemon"),
    Row("verdict", Counts.NEVER, "read from all that stands here"),
    Row("loss_s", Counts.NEVER, "when contact was lost is found out some seconds later"),
    Row("protected_until", Counts.NEVER, "the bound of the loss; it can only have become smaller"),
)


def evidence_table_markdown() -> str:
    """For docs/architecture.md."""
    lines = ["| of | what | a difference is material | because |", "|---|---|---|---|"]
    for of, rows in (("the request and the site", SITE_ROWS), ("each image", IMAGE_ROWS)):
        lines += [f"| {of} | {row.field.replace('_', ' ')} | {row.counts} | {row.why} |" for row in rows]
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Bound:
    """What a yes is bound to beside the evidence."""

    plan_version: int
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """``then``/``now`` None: the image (or the field) was not there. ``material``: what was asked for is not so any
    more; ``why``: why it is, or is not."""

    subject: str
    field: str
    then: Any
    now: Any
    material: bool
    why: str


def differences(
    then: Mapping[str, Any], now: Mapping[str, Any], bound_then: Bound | None = None, bound_now: Bound | None = None
) -> tuple[Difference, ...]:
    """Every difference between two collections of evidence that the table names: the site's first, then the images' in
    order of their keys. Ages and times of reading are none."""
    source = str(now.get("source", ""))
    found = _rows(SITE_ROWS, source, _of_site(then, bound_then), _of_site(now, bound_now), then)
    before, after = then["images"], now["images"]
    for key in sorted(before.keys() | after.keys()):
        was, is_ = before.get(key), after.get(key)
        name = str((is_ or was)["name"])
        if was is None or is_ is None:
            why = "what was asked for is about other images"
            found.append(Difference(name, "image", was and was["name"], is_ and is_["name"], True, why))
        else:
            found += _rows(IMAGE_ROWS, name, was, is_, then)
    return tuple(found)


def moved(found: Sequence[Difference]) -> tuple[Difference, ...]:
    """Those that take the ground from what was asked for."""
    return tuple(one for one in found if one.material)


def _of_site(content: Mapping[str, Any], bound: Bound | None) -> dict[str, Any]:
    """Evidence that was taken before there was a second view has none."""
    view = content.get("second_view") or {}
    ways = {way: said[0] for way, said in content.get("source_reachable", {}).items()}
    asked = {"plan_version": bound.plan_version, "commands": list(bound.commands)} if bound else {}
    return {**asked, **ways, "seen_alive": bool(view.get("alive")), "standing": view.get("standing")}


def _rows(
    rows: Sequence[Row], subject: str, was: Mapping[str, Any], is_: Mapping[str, Any], then: Mapping[str, Any]
) -> list[Difference]:
    return [
        Difference(
            subject, row.field, was.get(row.field), is_.get(row.field), _is_material(row, was, is_, then), row.why
        )
        for row in rows
        if was.get(row.field) != is_.get(row.field)
    ]


def _is_material(row: Row, was: Mapping[str, Any], is_: Mapping[str, Any], then: Mapping[str, Any]) -> bool:
    before, after = was.get(row.field), is_.get(row.field)
    match row.counts:
        case Counts.ALWAYS:
            return True
        case Counts.WHEN_TOLD:
            return after is not None and (before is not None or bool(after))
        case Counts.WHEN_IT_ANSWERS:
            return bool(after)
        case Counts.WHEN_SOMEBODY_COMES:
            return bool(_clients(after) - _clients(before) - set(was.get("mirroring") or ()))
        case Counts.WHEN_IT_GOES_ON:
            return after is not None and _goes_on(before, after, was, is_, then)
        case Counts.NEVER:
            return False


def _clients(opened_by: Sequence[str] | None) -> set[str]:
    """Of ``client.4711 at 10.0.0.9:0/1`` the number. A dead mirror daemon's watch of an image may outlive its watch of
    the pool, by which it is known: then it looks like somebody else's."""
    return {one.split(" ")[0].removeprefix("client.") for one in opened_by or ()}


def _goes_on(before: Any, after: Any, was: Mapping[str, Any], is_: Mapping[str, Any], then: Mapping[str, Any]) -> bool:
    """Whether the copy has received something since, or is another one. What it had fetched already, and says or
    finishes only now, is neither."""
    if before is not None and _ordered(after) < _ordered(before):
        return True
    if isinstance(after, int):
        return after not in (was.get("copying_snapshots") or ())
    told_at, lost_at = is_.get("told_at"), then.get("lost_at") or then.get("taken_at")
    if told_at is None or lost_at is None:
        return True
    return (dt.datetime.fromisoformat(told_at) - dt.datetime.fromisoformat(lost_at)).total_seconds() > LAST_WORDS_S


def _ordered(position: Any) -> tuple[int, ...]:
    """``tag.entry`` of a journal, or a snapshot's id."""
    return tuple(int(part) for part in str(position).split("."))


@dataclass(frozen=True, slots=True)
class Loss:
    """``seconds``: the writes of at most that long before contact was lost are missing at the copy; None: no bound."""

    seconds: float | None
    sentence: str


def image_loss(point_at: dt.datetime | None, silent_since: dt.datetime | None) -> Loss:
    """The bound of one image. ``point_at``: whatever was acknowledged before is shown to be at the copy (``exposure``).

    ``silent_since``: when the other side was first found silent. Whatever it wrote after that is lost too, and nobody
    here can know whether it wrote: that is said, not computed.
    """
    if point_at is None:
        return Loss(None, "No bound: it was never shown up to when the copy is whole.")
    if silent_since is None:
        return Loss(None, f"The copy is whole up to {point_at:%H:%M:%S} UTC; when contact was lost is not known.")
    seconds = max(0.0, (silent_since - point_at).total_seconds())
    return Loss(
        seconds,
        f"The copy is whole up to {point_at:%Y-%m-%d %H:%M:%S} UTC: at most the writes of the {seconds:.0f} s before "
        "contact was lost, and whatever the other side has written since.",
    )


def spread_s(points: Sequence[dt.datetime | None]) -> float | None:
    """How far apart the points of one VM's disks are, seconds: its guest would see disks of different times.

    None where a point is not known.
    """
    known = [point for point in points if point is not None]
    if not known or len(known) < len(points):
        return None
    return (max(known) - min(known)).total_seconds()
