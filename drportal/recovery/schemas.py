"""What plans, runs and steps say over HTTP."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from ninja import Field, Schema

from drportal.engine.salvage import SalvageWay
from drportal.engine.verdicts import VerdictCode
from drportal.inventory.api_assets import SiteNetwork
from drportal.inventory.schemas import GroupRef, Vm
from drportal.inventory.schemas_sides import Recopy
from drportal.recovery.schemas_console import Console, Reason

Name = Annotated[str, Field(min_length=1, max_length=100)]
RequestKey = Annotated[str, Field(min_length=1, max_length=64)]
Typed = Annotated[str, Field(max_length=300)]
NetworkId = Annotated[int, Field(ge=0, le=2**31 - 1)]
MOST_VMS = 5000  # of a plan
RowId = Annotated[int, Field(ge=1, le=2**62)]


class MemberIn(Schema):
    vm_id: RowId
    priority: Annotated[int, Field(ge=1, le=5)] = 3


class PlanIn(Schema):
    """``network_map``: home network's OpenNebula id -> the peer's network id."""

    name: Name
    group_name: Name
    pair_id: RowId
    home_site: Annotated[str, Field(max_length=50)]
    members: Annotated[list[MemberIn], Field(max_length=MOST_VMS)]
    network_map: dict[Annotated[str, Field(pattern=r"^[0-9]{1,9}$")], NetworkId] = {}
    image_datastore_id: NetworkId | None = None
    fence_rung: Annotated[int, Field(ge=0, le=5)] = 2


class RtoTargetIn(Schema):
    """``rto_s`` null: nothing is agreed."""

    rto_s: Annotated[int, Field(ge=1, le=30 * 86_400)] | None


class NextKind(Schema):
    kind: str
    possible: bool
    why_not: str | None


class PlanSummary(Schema):
    id: int
    name: str
    version: int
    group: GroupRef
    home_site: str
    peer_site: str
    active_site: str
    vm_count: int
    image_count: int
    worst_verdict: VerdictCode | None
    active_run_id: int | None
    next_kinds: list[NextKind]


class Plans(Schema):
    items: list[PlanSummary]


class PlanRef(Schema):
    id: int
    name: str


class Group(Schema):
    id: int
    name: str
    plan: PlanRef | None
    home_site: str
    active_site: str


class Groups(Schema):
    items: list[Group]


class RunSummary(Schema):
    """``executor_alive``: somebody holds the run's lease now."""

    id: int
    plan: PlanRef
    kind: str
    state: str
    version: int
    source_site: str
    target_site: str
    requested_by: str
    reason: str
    sentence: str
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    counts: dict[str, int]
    pause_asked: bool
    cancel_asked: bool
    executor_alive: bool
    parent_id: int | None


class Runs(Schema):
    items: list[RunSummary]
    next: str | None


class Member(Schema):
    vm: Vm
    priority: int


class Plan(PlanSummary):
    """``rto_s``: how long the service may be away, as agreed; null: nothing is agreed."""

    rto_s: int | None
    fence_rung: int
    members: list[Member]
    network_map: dict[str, int]
    image_datastore_id: int | None
    networks_home: list[SiteNetwork]
    networks_peer: list[SiteNetwork]
    runs: list[RunSummary]


class GateView(Schema):
    gate: str
    outcome: str
    sentence: str
    checked_at: dt.datetime | None
    remedy: str | None


class Finding(Schema):
    code: str
    severity: str
    subject: str
    sentence: str
    remedy: str | None


class ReadinessImage(Schema):
    image_id: int
    name: str
    vm_name: str
    verdict: VerdictCode
    verdict_sentence: str
    gates: list[GateView]


class ReadinessVm(Schema):
    name: str
    priority: int
    phase_source: str
    phase_target: str
    gates: list[GateView]


class Readiness(Schema):
    kind: str
    state: str
    checked_at: dt.datetime
    findings: list[Finding]
    images: list[ReadinessImage]
    vms: list[ReadinessVm]
    counts: dict[str, int]


class PreviewStep(Schema):
    key: str
    kind: str
    title: str
    subject: str
    vm_name: str
    site: str
    commands: list[str] = Field(description="Byte for byte what will be sent, if the probe finds that it is needed")
    needs: list[str]
    gates: list[str]
    destructive: bool


class SalvageWayOut(Schema):
    """``why_not``: null where it can be chosen."""

    way: SalvageWay
    sentence: str
    why_not: str | None


class SalvageImage(Schema):
    image_id: int
    name: str
    vm_name: str
    way: SalvageWay | None


class Preview(Schema):
    """Of a reprotect, ``salvage_ways`` and ``salvage_images``: what may be chosen, and what is chosen here of each.

    ``discard_question``: to be answered where something is not saved. ``fence_question``: where the plan wants more of
    a fence there than is reached."""

    kind: str
    plan_version: int
    source_site: str
    target_site: str
    steps: list[PreviewStep]
    phrase: str
    button: str
    consequences: list[str]
    discard_question: str = ""
    fence_question: str = ""
    salvage_ways: list[SalvageWayOut] = []
    salvage_images: list[SalvageImage] = []


class SalvageOfImage(Schema):
    image_id: RowId
    way: SalvageWay
    reason: Reason = ""


class RunIn(Schema):
    """Of a reprotect, ``salvage``: one way for all images (null: saved where there is a place for it), and
    ``salvage_images``: another for some. ``discard_reason``: needed where its preview asks for it
    (``discard_question``), as ``deviation`` is (``fence_question``)."""

    kind: Annotated[str, Field(max_length=30)]
    plan_version: Annotated[int, Field(ge=1, le=2**31 - 1)]
    phrase: Typed
    reason: Reason = ""
    request_key: RequestKey
    accept_warnings: bool = False
    discard_reason: Reason = ""
    deviation: Reason = ""
    salvage: SalvageWay | None = None
    salvage_images: Annotated[list[SalvageOfImage], Field(max_length=10_000)] = []


class ReasonIn(Schema):
    reason: Reason = ""


class WayBackIn(Schema):
    phrase: Typed
    request_key: RequestKey


class Cell(Schema):
    step_id: int | None
    gate: str | None
    state: str
    word: str
    sentence: str
    at: dt.datetime | None
    destructive: bool


class Column(Schema):
    id: str
    title: str
    kind: str


class RunImage(Schema):
    image_id: int
    name: str
    cells: dict[str, Cell]


class RunVm(Schema):
    name: str
    priority: int
    cells: dict[str, Cell]
    images: list[RunImage]


class RunAction(Schema):
    """``phrase``: what a person must type to do it; None: nothing is typed."""

    action: str
    possible: bool
    why_not: str | None
    who: str | None
    phrase: str | None = None


class Tally(Schema):
    met: int
    not_met: int
    cannot_tell: int
    steps: dict[str, int]


class Standing(Schema):
    """Where an image is primary, or where a VM runs, as read when the run came to rest."""

    kind: str
    name: str
    where: str
    sentence: str
    read_at: dt.datetime


class Fence(Schema):
    """How surely a VM can neither run nor write at the site that was left: the rung reached, and the one wanted."""

    vm: str
    rung: int
    wanted: int
    sentence: str


class Loss(Schema):
    """What an image at the returned site held that nobody else had. ``bytes`` null: not measurable, ``why``.

    ``bound``: what was said of it before the forced promotion."""

    image: str
    entries: int | None
    bytes: int | None
    sentence: str
    how: str
    why: str
    bound: str
    measured_at: dt.datetime


class Salvaged(Schema):
    """What was chosen for an image before its copy was discarded, and what came of it. ``state``: that of its step, or
    ``waived``: by whom and why is in ``sentence``."""

    image: str
    way: SalvageWay
    state: str
    sentence: str
    step_id: int | None


class ImageRecopy(Recopy):
    image: str


class RunRecopy(Schema):
    """All copies that a reprotect makes anew. ``copied_bytes``: at least, where ``untold`` is not 0. ``told_at``: the
    oldest. ``eta_s``: at the present rate; null where that of any is not known."""

    whole: int
    copying: int
    not_begun: int
    untold: int
    total_bytes: int | None
    copied_bytes: int
    bytes_per_second: float | None
    eta_s: float | None
    told_at: dt.datetime | None
    sentence: str
    images: list[ImageRecopy]


class Run(RunSummary):
    """``approval_id``: what a second person is, or was, asked; null where the kind needs none."""

    approval_id: int | None
    actions: list[RunAction]
    next: str
    columns: list[Column]
    vms: list[RunVm]
    tally: Tally
    standing: list[Standing]
    exact_loss: list[Loss]
    salvage: list[Salvaged]
    recopy: RunRecopy | None
    fence: list[Fence]
    console: Console | None = None


class Answer(Schema):
    command: str
    host: str
    exit_status: int | None
    stdout: str
    stderr: str
    started_at: dt.datetime
    duration_s: float | None


class StepGate(GateView):
    facts: dict[str, Any]
    checks: int
    answers: list[Answer]


class Attempt(Schema):
    number: int
    operation_id: str
    intent_at: dt.datetime
    finished_at: dt.datetime | None
    command: str
    host: str
    exit_status: int | None
    outcome: str
    sentence: str
    answers: list[Answer]


class StepAction(Schema):
    action: str
    possible: bool
    why_not: str | None


class StepDetail(Schema):
    id: int
    key: str
    kind: str
    title: str
    subject: str
    site: str
    state: str
    sentence: str
    needs: list[str]
    gates: list[StepGate]
    attempts: list[Attempt]
    actions: list[StepAction]
    skipped_by: str | None
    skip_reason: str | None


class ReportVm(Schema):
    """Times of one VM: ``down_s`` from the power-off sent to running observed at the other side."""

    name: str
    stopped_at: dt.datetime | None
    running_at: dt.datetime | None
    down_s: float | None


class ReportAttempt(Schema):
    step: str
    number: int
    outcome: str
    intent_at: dt.datetime
    duration_s: float | None
    command: str
    host: str


class Report(Schema):
    run: RunSummary
    duration_s: float | None
    vms: list[ReportVm]
    attempts: list[ReportAttempt]
    exceptions: list[str]
    standing: list[Standing]
    exact_loss: list[Loss]
    salvage: list[Salvaged]
    trail: list[int]
