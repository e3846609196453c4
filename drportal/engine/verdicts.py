"""What both sides say together about one image.

Ceph's own health cannot see the worst state: with two primaries both clusters say ``up+stopped`` and "OK". So the
verdict is computed here, from both sides, by one pure function over a published table. A missing or old fact never
turns into a good word; it gives *cannot tell*.
"""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass, replace

from drportal.engine.facts import JournalFacts, Mode, RoleFacts, Side, SideFacts, SnapshotFacts, StatusFacts

CLOCK_SLACK_S = 2.0


class VerdictCode(enum.StrEnum):
    PROTECTED = "protected"
    PROTECTED_REVERSED = "protected_reversed"
    BEHIND = "behind"
    NOT_YET_PROTECTED = "not_yet_protected"
    BROKEN_MIRRORING = "broken_mirroring"
    HANDOVER_READY = "handover_ready"
    HANDOVER_NOT_PROPAGATED = "handover_not_propagated"
    TWO_PRIMARIES = "two_primaries"
    DIVERGED = "diverged"
    REPLICA_ONLY = "replica_only"
    SUSPECT_PRIMARY = "suspect_primary"
    RUNNING_UNPROTECTED = "running_unprotected"
    NOT_MIRRORED = "not_mirrored"
    ONE_WAY = "one_way"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True)
class VerdictPolicy:
    """``max_age_s``: roles, positions, snapshots and how long ago a status was fetched. ``status_max_age_s``: since its
    daemon wrote it.

    ``rpo_target_entries``: journal entries that may be behind; None: no target was agreed. Snapshot mode has no such
    figure: it is behind while the newest mirror snapshot of the primary is not complete at the copy.
    """

    max_age_s: float = 30.0
    status_max_age_s: float = 90.0
    rpo_target_entries: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """``allowed``: what may be begun. ``needs``: what is missing for a better word. ``promotable``: sides that hold all
    of the other's data.

    ``promotable`` is only filled for *handover ready*, and at most one of its sides may then be promoted.
    """

    code: VerdictCode
    primary_side: Side | None
    sentence: str
    allowed: tuple[str, ...]
    needs: tuple[str, ...]
    promotable: tuple[Side, ...] = ()


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One published row. The sides are written as they are at home on A; ``sentence`` names them ``{primary}`` and
    ``{replica}``."""

    code: VerdictCode
    a_primary: str
    b_primary: str
    seen: str
    allowed: tuple[str, ...]
    sentence: str


C = VerdictCode

VERDICT_TABLE: tuple[VerdictRow, ...] = (
    VerdictRow(
        C.PROTECTED,
        "yes",
        "no",
        "B replaying, within target",
        ("planned_failover", "drill"),
        "{primary} is primary and {replica} replays it, within the target.",
    ),
    VerdictRow(
        C.BEHIND,
        "yes",
        "no",
        "B replaying, beyond target",
        ("planned_failover", "drill"),
        "{primary} is primary and {replica} replays it, but is further behind than agreed.",
    ),
    VerdictRow(
        C.NOT_YET_PROTECTED,
        "yes",
        "no",
        "B syncing, starting, or not caught up once",
        (),
        "{primary} is primary; it is not shown that {replica} has a complete copy yet.",
    ),
    VerdictRow(
        C.BROKEN_MIRRORING,
        "yes",
        "no",
        "B stopped, unknown, error or down",
        ("repair",),
        "{primary} is primary, and {replica} does not follow.",
    ),
    VerdictRow(
        C.ONE_WAY,
        "yes",
        "no",
        "a peer that only sends or only receives",
        ("investigate",),
        "{primary} is primary, and mirroring is set up in one direction only: there would be no way back.",
    ),
    VerdictRow(
        C.HANDOVER_READY,
        "no",
        "no",
        "one side is shown to hold the other's demotion, whole",
        ("promote_one_side",),
        "Neither side is primary and the demotion has arrived whole. Exactly one side may be promoted, without force.",
    ),
    VerdictRow(
        C.HANDOVER_NOT_PROPAGATED,
        "no",
        "no",
        "otherwise",
        ("wait",),
        "Neither side is primary, and it is not shown that the demotion has arrived whole. Promote nothing.",
    ),
    VerdictRow(
        C.TWO_PRIMARIES,
        "yes",
        "yes",
        "anything",
        ("choose_survivor", "fence", "salvage", "demote_loser", "discard_and_recopy"),
        "TWO PRIMARIES: the image is writable at both sides, and Ceph shows both as healthy.",
    ),
    VerdictRow(
        C.PROTECTED_REVERSED,
        "no",
        "yes",
        "A replaying, within target",
        ("failback", "drill"),
        "{primary} is primary and {replica} (home) replays it, within the target.",
    ),
    VerdictRow(
        C.DIVERGED,
        "no",
        "yes",
        "A error, split-brain in state or description",
        ("salvage", "discard_and_recopy"),
        "{primary} is primary; the copy at {replica} has left its line and will not follow again: it may hold writes "
        "of its own that {primary} never had.",
    ),
    VerdictRow(
        C.REPLICA_ONLY,
        "?",
        "no",
        "A does not answer",
        ("disaster_failover",),
        "Only the copy at {replica} can be seen; {primary} does not answer.",
    ),
    VerdictRow(
        C.SUSPECT_PRIMARY,
        "?",
        "yes",
        "A does not answer, and was primary when last heard, or was never heard",
        ("operate", "return_quarantine"),
        "{primary} is primary and unprotected; {replica} does not answer and may come back as a second primary.",
    ),
    VerdictRow(
        C.RUNNING_UNPROTECTED,
        "yes",
        "?",
        "B does not answer, and was not primary when last heard",
        ("operate",),
        "{primary} is primary and unprotected; {replica} does not answer. No failover is possible.",
    ),
    VerdictRow(
        C.NOT_MIRRORED,
        "missing",
        "any",
        "image missing or not mirrored on a side, or two unlike images",
        ("investigate",),
        "The image is not mirrored between the two sides.",
    ),
    VerdictRow(
        C.CANNOT_TELL,
        "?",
        "?",
        "a fact that is missing or too old",
        (),
        "Cannot tell: what is known is missing or too old.",
    ),
)
_ROW = {row.code: row for row in VERDICT_TABLE}
_REVERSED_ALLOWED = ("failback", "drill")


def verdict_table_markdown() -> str:
    """The table for the docs."""
    lines = ["| A primary | B primary | seen | verdict | allowed | says |", "|---|---|---|---|---|---|"]
    for row in VERDICT_TABLE:
        word = row.code.replace("_", " ")
        allowed = ", ".join(act.replace("_", " ") for act in row.allowed) or "nothing"
        says = row.sentence.format(primary="the primary side", replica="the other side")
        lines.append(f"| {row.a_primary} | {row.b_primary} | {row.seen} | {word} | {allowed} | {says} |")
    return "\n".join(lines) + "\n"


def verdict(
    a: SideFacts,
    b: SideFacts,
    policy: VerdictPolicy,
    now: dt.datetime,
    *,
    home: Side = Side.A,
    names: tuple[str, str] = ("side A", "side B"),
) -> Verdict:
    """The portal's reading of one image. Swapping the sides (and ``home`` and ``names``) gives the same verdict,
    mirrored.

    ``names`` are the two sites' names, for the sentences.
    """
    return _Judge({Side.A: a, Side.B: b}, policy, now, home, {Side.A: names[0], Side.B: names[1]}).judge()


class _Role(enum.Enum):
    YES = enum.auto()
    NO = enum.auto()
    NOT_MIRRORED = enum.auto()
    SILENT = enum.auto()
    """The site does not answer."""
    UNREAD = enum.auto()
    """It answers, or was never asked, but the role is missing or too old."""


@dataclass(frozen=True, slots=True)
class _Judge:
    sides: dict[Side, SideFacts]
    policy: VerdictPolicy
    now: dt.datetime
    home: Side
    names: dict[Side, str]

    # --- facts, aged ---

    def _fresh(self, read_at: dt.datetime) -> bool:
        age_s = (self.now - read_at).total_seconds()
        return -CLOCK_SLACK_S <= age_s <= self.policy.max_age_s

    def _role(self, side: Side) -> _Role:
        facts = self.sides[side]
        if facts.reachable is False:
            return _Role.SILENT
        if facts.reachable is None or facts.role is None or not self._fresh(facts.role.read_at):
            return _Role.UNREAD
        if not facts.role.exists or facts.role.primary is None:
            return _Role.NOT_MIRRORED
        return _Role.YES if facts.role.primary else _Role.NO

    def _journal(self, side: Side) -> JournalFacts | None:
        journal = self.sides[side].journal
        return journal if journal is not None and self._fresh(journal.read_at) else None

    def _snapshots(self, side: Side) -> SnapshotFacts | None:
        snapshots = self.sides[side].snapshots
        return snapshots if snapshots is not None and self._fresh(snapshots.read_at) else None

    # --- words ---

    def _say(
        self,
        code: VerdictCode,
        primary: Side | None,
        detail: str = "",
        needs: tuple[str, ...] = (),
        *,
        seen_from: Side | None = None,
    ) -> Verdict:
        """``seen_from``: the side that plays "primary" in the sentence where no side is."""
        row = _ROW[code]
        lead = primary or seen_from or self.home
        sentence = row.sentence.format(primary=self.names[lead], replica=self.names[lead.other])
        return Verdict(code, primary, f"{sentence} {detail}".strip(), row.allowed, needs)

    def _unknown(self, *needs: str) -> Verdict:
        listed = tuple(sorted(needs))
        return replace(self._say(C.CANNOT_TELL, None, needs=listed), sentence=f"Cannot tell: {'; '.join(listed)}.")

    # --- the decision ---

    def judge(self) -> Verdict:
        roles = {side: self._role(side) for side in Side}
        primaries = [side for side in Side if roles[side] is _Role.YES]
        if len(primaries) == 2:
            return self._say(C.TWO_PRIMARIES, None, "Start nothing until one side is chosen and the other fenced.")
        absent = [side for side in Side if roles[side] is _Role.NOT_MIRRORED]
        if absent:
            return self._not_mirrored(absent, primaries)
        unread = [side for side in Side if roles[side] is _Role.UNREAD]
        if unread:
            return self._unknown(
                *(
                    f"the role at {self.names[side]} was not read in the last {self.policy.max_age_s:.0f} s"
                    for side in unread
                )
            )
        silent = [side for side in Side if roles[side] is _Role.SILENT]
        if silent:
            return self._one_answers(silent, primaries)
        if self._unlike():
            return self._say(
                C.NOT_MIRRORED, None, "The two sides show different mirroring ids: they are not copies of each other."
            )
        return self._primary_and_copy(primaries[0]) if primaries else self._both_demoted()

    def _unlike(self) -> bool:
        roles = [role for role in (self.sides[Side.A].role, self.sides[Side.B].role) if role is not None]
        return len({(role.global_id, role.mode) for role in roles}) > 1

    def _not_mirrored(self, absent: list[Side], primaries: list[Side]) -> Verdict:
        parts = []
        for side in absent:
            role = self.sides[side].role
            there = role is not None and role.exists
            parts.append(f"At {self.names[side]} it {'is not mirrored' if there else 'does not exist'}.")
        parts.sort()
        if primaries:
            parts.append(
                f"{self.names[primaries[0]]} is primary. While a copy is made anew it is missing for up to a minute."
            )
        return self._say(C.NOT_MIRRORED, primaries[0] if primaries else None, " ".join(parts))

    def _one_answers(self, silent: list[Side], primaries: list[Side]) -> Verdict:
        if len(silent) == 2:
            return self._unknown(*(f"{self.names[side]} does not answer" for side in silent))
        dead = silent[0]
        facts = self.sides[dead]
        since = f"Last heard {_when(facts.last_heard)}; silent since {_when(facts.unreachable_since)}."
        if not primaries:
            return self._say(C.REPLICA_ONLY, None, since, (f"an answer of {self.names[dead]}",), seen_from=dead)
        known_copy = facts.role is not None and (not facts.role.exists or facts.role.primary is False)
        code = C.RUNNING_UNPROTECTED if known_copy else C.SUSPECT_PRIMARY
        return self._say(code, primaries[0], since, (f"an answer of {self.names[dead]}",))

    def _both_demoted(self) -> Verdict:
        ready = tuple(side for side in Side if self._has_whole(side))
        if not ready:
            return self._say(
                C.HANDOVER_NOT_PROPAGATED,
                None,
                needs=("the position of both sides, read after both roles, equal or complete",),
            )
        where = " or ".join(sorted(self.names[side] for side in ready))
        return replace(self._say(C.HANDOVER_READY, None, f"It holds everything at {where}."), promotable=ready)

    def _has_whole(self, keeper: Side) -> bool:
        """``keeper`` is shown to hold all that the other side ever wrote, its demotion included."""
        demoted = keeper.other
        role = self.sides[demoted].role
        assert role is not None
        if role.mode is Mode.JOURNAL:
            journal = self._journal(demoted)
            return journal is not None and journal.read_at >= role.read_at and _equal(journal)
        mine, theirs = self._snapshots(keeper), self._snapshots(demoted)
        if (
            mine is None
            or theirs is None
            or min(mine.read_at, theirs.read_at) < role.read_at
            or not (mine.snaps and theirs.snaps)
        ):
            return False
        last, copy = theirs.snaps[-1], mine.snaps[-1]
        demotion = last.made_here and last.state == "demoted"
        return (
            demotion
            and not copy.made_here
            and copy.state == "demoted"
            and copy.complete is True
            and copy.primary_snap_id == last.snap_id
        )

    def _primary_and_copy(self, primary: Side) -> Verdict:
        copy = self.sides[primary.other]
        where = self.names[primary.other]
        status = copy.status
        if status is None or not self._fresh(status.read_at) or status.age_s is None or status.age_s < -CLOCK_SLACK_S:
            return self._unknown(
                f"the mirror status at {where}, or its age, was not read in the last {self.policy.max_age_s:.0f} s"
            )
        age_s = status.age_s + max((self.now - status.read_at).total_seconds(), 0.0)
        down = status.state.startswith("down+") or copy.daemon_healthy is False
        if age_s > self.policy.status_max_age_s and not down:
            return self._unknown(
                f"the mirror status at {where} was last written {age_s:.0f} s ago, and its mirror daemon writes every "
                "30 s: it may stand still. If this stays so, restart rbd-mirror there"
            )
        if _split_brain(status):
            return self._say(C.DIVERGED, primary, f"{where} says: {status.description}.")
        if any(facts.peer_direction not in (None, "rx-tx") for facts in self.sides.values()):
            return self._say(C.ONE_WAY, primary)
        if trouble := _trouble(status, copy.daemon_healthy):
            return self._say(trouble, primary, f"{where} says {status.state}: {_short(status.description)}.")
        return self._following(primary, status)

    def _following(self, primary: Side, status: StatusFacts) -> Verdict:
        """The copy's status says replaying, as it does before the first catch-up too."""
        role = self.sides[primary].role
        assert role is not None
        caught_up = self._caught_up(primary, role, status)
        if caught_up is None:
            return self._unknown(f"whether the copy at {self.names[primary.other]} has caught up once")
        if not caught_up:
            return self._say(
                C.NOT_YET_PROTECTED, primary, "It replays, but has not caught up since it became the copy."
            )
        behind = self._behind(primary, role, status)
        reversed_ = primary is not self.home
        if behind is None:
            return self._say(C.PROTECTED_REVERSED if reversed_ else C.PROTECTED, primary)
        made = self._say(C.BEHIND, primary, behind, ("the copy to catch up; the gate of a planned move waits for it",))
        return replace(made, allowed=_REVERSED_ALLOWED) if reversed_ else made

    def _caught_up(self, primary: Side, role: RoleFacts, status: StatusFacts) -> bool | None:
        """By the positions or snapshots where they were read, else by what the status knows of a position; None:
        neither."""
        journal, copies = self._journal(primary), self._snapshots(primary.other)
        if role.mode is Mode.JOURNAL and journal is not None:
            return journal.peer is not None
        if role.mode is Mode.SNAPSHOT and copies is not None:
            return any(snap.complete is True for snap in copies.since_own)
        return status.caught_up_once

    def _behind(self, primary: Side, role: RoleFacts, status: StatusFacts) -> str | None:
        """How far behind, in words, when that is more than agreed; else None."""
        if role.mode is Mode.JOURNAL:
            target = self.policy.rpo_target_entries
            journal = self._journal(primary)
            entries = status.entries_behind or 0
            if target is None or entries <= target or (journal is not None and _equal(journal)):
                return None
            return f"{entries} journal entries behind; agreed are {target}."
        made, copied = self._snapshots(primary), self._snapshots(primary.other)
        if made is None or copied is None or not made.snaps:
            return None
        newest = made.snaps[-1].snap_id
        if any(snap.primary_snap_id == newest and snap.complete is True for snap in copied.snaps):
            return None
        return f"Its newest mirror snapshot ({newest}) is not complete at the copy."


def _equal(journal: JournalFacts) -> bool:
    return journal.peer_registered and journal.local is not None and journal.local == journal.peer


def _split_brain(status: StatusFacts) -> bool:
    return "split-brain" in f"{status.state} {status.description}"


def _trouble(status: StatusFacts, daemon_healthy: bool | None) -> VerdictCode | None:
    """None when the copy follows. A status that does not exist yet is a copy that is being made, not one that broke."""
    if (
        status.syncing
        or status.state in {"up+syncing", "up+starting_replay", "up+starting"}
        or status.description == "status not found"
    ):
        return VerdictCode.NOT_YET_PROTECTED
    if daemon_healthy is False or status.state != "up+replaying":
        return VerdictCode.BROKEN_MIRRORING
    return None


def _short(description: str) -> str:
    return description.split(", {", 1)[0]


def _when(moment: dt.datetime | None) -> str:
    return "unknown" if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S UTC")
