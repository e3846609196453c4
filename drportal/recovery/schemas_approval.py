"""What goes in and out of the disaster door and of an approval's page."""

from __future__ import annotations

import datetime as dt
from typing import Any

from ninja import Field, Schema

from drportal.inventory.schemas_site import SightOut
from drportal.people.schemas import ProofIn


class Way(Schema):
    """One of the ways to a site (``ssh``, ``ceph``, ``opennebula``). ``ok`` null: cannot tell. ``asked_at``: null in
    evidence from before the portal asked itself; that has what the poller knew."""

    way: str
    ok: bool | None
    since: dt.datetime | None
    sentence: str
    asked_at: dt.datetime | None = None


class LastHeard(Schema):
    """The newest positions that were heard of either side before contact was lost, with their times.

    ``before_lost_s``: how long before contact was lost the silent side was heard last.
    """

    there: str | None = None
    there_at: dt.datetime | None = None
    here: str | None = None
    here_at: dt.datetime | None = None
    heard_at: dt.datetime | None = None
    before_lost_s: float | None = None


class ImageEvidence(Schema):
    """One image as read, and what was last heard of its other side. Null: could not be told (``trouble``: why)."""

    name: str
    mode: str | None
    exists_here: bool | None
    primary_here: bool | None
    other_side_answers: bool
    other_side_primary: bool | None = None
    whole_copy: bool | None
    newest_complete_snapshot: int | None = None
    replayed_position: str | None = None
    entries_behind: int | None = None
    opened_by: list[str] | None = None
    last_heard: LastHeard = LastHeard()
    status: str | None = None
    status_age_s: float | None = None
    verdict: str | None = None
    protected_until: dt.datetime | None = None
    loss_s: float | None = None
    loss: str = ""
    trouble: list[str] = []


class VmSpread(Schema):
    """``spread_s``: how far apart in time the last replicated points of the VM's disks are; null: not known."""

    name: str
    spread_s: float | None


class View(Schema):
    """``alive``: something there spoke. ``listens``: a connection was accepted."""

    what: str
    address: str
    alive: bool
    listens: bool
    sentence: str


class WitnessSees(Schema):
    """``trouble``: why it gave no view."""

    name: str
    trouble: str
    views: list[View]


class SecondView(Schema):
    """What the other site's host and the witnesses see of the silent one. ``asked``: that site; ``trouble``: why it
    gave no view. ``contact``: answers, unreachable, or down, which only all places together say; empty: of evidence
    that was taken before it was told."""

    standing: str
    contact: str = ""
    sentence: str
    alive: bool
    asked: str
    trouble: str
    views: list[View]
    witnesses: list[WitnessSees] = []


class EvidenceOut(Schema):
    """``lost_at``: when contact was lost, as the poller found it. ``second_view`` null: the evidence was taken before
    there was one."""

    taken_at: dt.datetime
    lost_at: dt.datetime | None
    ways: list[Way]
    second_view: SecondView | None
    sights: list[SightOut]
    images: list[ImageEvidence]
    vms: list[VmSpread]


class DisasterDoor(Schema):
    """``blockers`` empty: it may be asked for. ``notes``: what it will not save, and what will have no way back.
    ``button``: what the act is called, with its numbers. ``fence_rung``: what the plan wants. ``evidence_sha256``: of
    what was read, frozen; a request that names it is bound to it."""

    plan_version: int
    source_site: str
    target_site: str
    phrase: str
    button: str
    blockers: list[str]
    notes: list[str]
    fence_rung: int
    evidence: EvidenceOut
    evidence_sha256: str


class DisasterIn(Schema):
    """``attestation``: who made sure, and how, that nothing runs at the lost site any more. ``evidence_sha256``: as the
    door gave it; empty: what the request itself reads is frozen.

    ``attested_rung``: 5 power or network cut, 1 VMs seen to be off. ``deviation``: why it goes on below the plan's.
    """

    plan_version: int
    phrase: str = Field(max_length=300)
    reason: str = Field(max_length=2000)
    attestation: str = Field(max_length=2000)
    attested_rung: int = 5
    deviation: str = Field(default="", max_length=2000)
    request_key: str = Field(min_length=8, max_length=64)
    evidence_sha256: str = Field("", max_length=64)


class NewApprovalIn(Schema):
    """As ``DisasterIn``, in the middle of a run."""

    reason: str = Field(max_length=2000)
    attestation: str = Field(max_length=2000)
    attested_rung: int = 5
    deviation: str = Field(default="", max_length=2000)


class ApproveIn(ProofIn):
    """That it is you, now. The hashes are of what the approver was shown."""

    evidence_sha256: str = Field(max_length=64)
    commands_sha256: str = Field(max_length=64)


class GlassIn(ApproveIn):
    """``reason``: why nobody else can say yes."""

    phrase: str = Field(max_length=300)
    reason: str = Field(max_length=2000)


class SaidIn(Schema):
    text: str = Field(max_length=2000)


class Said(Schema):
    name: str
    word: str
    text: str
    at: dt.datetime


class Difference(Schema):
    """``material``: what was asked for is not so any more; ``why``: why it is, or is not."""

    subject: str
    field: str
    then: Any
    now: Any
    material: bool
    why: str


class ApprovalSummary(Schema):
    id: int
    run_id: int
    plan_id: int
    plan: str
    source_site: str
    target_site: str
    state: str
    sentence: str
    requested_by: str
    created_at: dt.datetime
    expires_at: dt.datetime
    expired: bool
    needed: int
    images: int
    glass: bool


class Approval(ApprovalSummary):
    """``glass_phrase``: what is typed to go on alone; empty where nobody may.

    ``sha256``: of all that the approval is bound to, as the site's receipts keep it. ``deposit``: what the target
    site's own people type there before the last yes, where that site asks for it; else empty.

    ``notes``: as at the disaster door.

    ``could_approve``: who could say yes to it now, by name; empty once it is decided.

    ``now`` and ``differences`` are null where nobody asked to look (``look``).
    """

    reason: str
    glass_phrase: str
    attested_by: str
    attestation: str
    deviation: str
    fence: list[str]
    notes: list[str]
    plan_version: int
    evidence_sha256: str
    commands_sha256: str
    sha256: str
    deposit: str
    commands: list[str]
    evidence: EvidenceOut
    now: EvidenceOut | None
    differences: list[Difference] | None
    said: list[Said]
    could_approve: list[str]


class Approvals(Schema):
    items: list[ApprovalSummary]
