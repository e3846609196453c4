"""Plans and runs without a site behind them (rows only), and one lab for the tests that really move VMs."""

from __future__ import annotations

import asyncio
import copy as copies
import datetime as dt
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import timezone

from drportal import jobs
from drportal.drivers.ssh import SshShell, SshTarget
from drportal.engine.facts import Side
from drportal.engine.plans import RunKind
from drportal.engine.readiness import Capacity, Finding, ReadinessInput, ReadinessState, Severity
from drportal.engine.readiness import Readiness as EngineReadiness
from drportal.inventory.discovery import discover
from drportal.inventory.introduce import introduce
from drportal.inventory.models import (
    CapturedDefinition,
    MirroredImage,
    Network,
    SitePair,
    VirtualMachine,
    VmDisk,
)
from drportal.lab.control import LabClient
from drportal.recovery import building, evidence
from drportal.recovery.executor import drive
from drportal.recovery.models import RecoveryPlan, Run
from drportal.recovery.pace import Pace
from drportal.recovery.services import runs
from drportal.recovery.services.plans import PlanFields, plan_create, plan_get
from tests.conftest import Person
from tests.stack import LabProcess, wait_until

FAST = Pace(
    lease_s=5.0,
    flags_s=0.1,
    poll_first_s=0.1,
    poll_last_s=0.3,
    gate_write_s=1.0,
    confirm_s=0.05,
    gate_patience_s=60.0,
    verify_patience_s=20.0,
    vm_patience_s=30.0,
    settle_s=1.5,
    pause_patience_s=5.0,
    shared_read_s=0.5,
)


class Bell:
    """Instead of Redis: remembers for which runs somebody rang."""

    def __init__(self) -> None:
        self.rung: list[int] = []
        self.alive = True

    def ring(self, run_id: int) -> bool:
        self.rung.append(run_id)
        return True


@pytest.fixture
def bell(monkeypatch: pytest.MonkeyPatch) -> Bell:
    bell = Bell()
    monkeypatch.setattr(jobs, "ring_for_run", bell.ring)
    monkeypatch.setattr(jobs, "worker_alive", lambda name="recovery": bell.alive)
    return bell


def make_vm(pair: SitePair, name: str, one_id: int, images: list[str]) -> VirtualMachine:
    """A running VM of site a with mirrored disks and a captured definition."""
    now = timezone.now()
    vm = VirtualMachine.objects.create(
        site=pair.a, one_id=one_id, name=name, phase="running", state_word="RUNNING", read_at=now
    )
    records = {}
    for disk_id, image_name in enumerate(images):
        image, _ = MirroredImage.objects.get_or_create(
            pair=pair,
            pool="one",
            name=image_name,
            defaults={"global_id": f"gid-{image_name}", "mode": "journal", "size_bytes": 2**20, "verdict": "protected"},
        )
        VmDisk.objects.create(
            vm=vm, disk_id=disk_id, kind="persistent", source=f"one/{image_name}", target="vda", image=image
        )
        records[str(disk_id)] = {
            "image_id": 10 * one_id + disk_id, "name": image_name, "source": f"one/{image_name}", "type_word": "OS",
            "size_bytes": 2**20, "dev_prefix": "vd", "xml": f"<IMAGE><NAME>{image_name}</NAME></IMAGE>",
        }  # fmt: skip
    CapturedDefinition.objects.create(
        vm=vm,
        number=1,
        vm_xml="<VM><ID>1</ID><TEMPLATE/></VM>",
        images=records,
        sha256="0" * 64,
        captured_at=now,
        seen_at=now,
    )
    return vm


@pytest.fixture
def make_plan(pair: SitePair) -> Callable[..., RecoveryPlan]:
    """``make_plan("shop", vm, vm)``: home site a, priorities as given or 3."""

    def make(name: str, *vms: VirtualMachine, priority: int = 3, **fields: Any) -> RecoveryPlan:
        members = [(vm.pk, priority) for vm in vms]
        wanted = PlanFields(
            name=name, group_name=name, pair_id=pair.pk, home_site=pair.a.slug, members=members, **fields
        )
        return plan_create(fields=wanted, actor="test")

    return make


@pytest.fixture
def plan(pair: SitePair, make_plan: Callable[..., RecoveryPlan]) -> RecoveryPlan:
    """Two VMs, three images."""
    return make_plan("shop", make_vm(pair, "db-1", 1, ["one-1", "one-2"]), make_vm(pair, "web-1", 2, ["one-3"]))


class StandIn:
    """What ``assess_now`` returns, without a site: ready unless findings are given."""

    def __init__(self, kind: RunKind, plan: Any, findings: tuple[Finding, ...], given: ReadinessInput) -> None:
        self.kind, self.plan, self.given, self.checked_at = kind, plan, given, timezone.now()
        blocked = any(finding.severity is Severity.BLOCK for finding in findings)
        state = ReadinessState.NOT_READY if blocked else ReadinessState.READY
        counts = {"met": 1, "not_met": 0, "cannot_tell": 0}
        self.result = EngineReadiness(state, findings, {}, {}, counts)


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """Runs can be asked for without sites; findings put into the list are found."""
    findings: list[Finding] = []
    nothing = ReadinessInput(Side.A, (), (), (), (), True, Capacity(0, 0, 0.0, 0.0))

    def assess(kind: RunKind, group: Any, plan: Any, source: Any, target: Any) -> StandIn:
        return StandIn(kind, plan, tuple(findings), nothing)

    monkeypatch.setattr(runs, "assess_now", assess)
    return findings


def ask(plan: RecoveryPlan, kind: RunKind = RunKind.PLANNED_FAILOVER, key: str = "", **given: Any) -> Run:
    """Ask for a run as a person would who looked a moment ago; the request key differs unless it is given."""
    plan = plan_get(plan.pk)
    _, target = building.direction(plan.group, kind)
    wanted = {
        "plan_id": plan.pk,
        "kind": kind.value,
        "plan_version": plan.version,
        "phrase": building.phrase(kind, plan.group, target),
        "reason": "a test",
        "request_key": key or f"{plan.pk}-{dt.datetime.now(dt.UTC).timestamp()}",
        "accept_warnings": False,
        "discard_reason": "nobody wants it",
        "actor": "olga",
    }
    return runs.run_request(**{**wanted, **given})[0]


# --- with a lab


@pytest.fixture(scope="module")
def own_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabProcess]:
    """A lab that may be moved about; each test takes VMs of its own (web-N: one image, db-N and app-N: two)."""
    folder = tmp_path_factory.mktemp("moving") / "lab"
    with LabProcess("embedded", folder, "--speed", "20", vms=30, mode="mixed") as lab:
        yield lab


class Mover:
    """Moves VMs of the lab with an executor in this process."""

    def __init__(self, lab: LabClient) -> None:
        self.lab = lab
        self.pair = introduce(lab.description)
        discover(self.pair.pk)

    def plan(self, *names: str, fence_rung: int = 2, in_turn: bool = False) -> RecoveryPlan:
        """``in_turn``: the first has priority 1, the next 2, and so on; else all have 3."""
        vms = [VirtualMachine.objects.get(site=self.pair.a, name=name) for name in names]
        home = Network.objects.get(site=self.pair.a, name="production-a")
        peer = Network.objects.get(site=self.pair.b, name="production-b")
        fields = PlanFields(
            name=names[0],
            group_name=names[0],
            pair_id=self.pair.pk,
            home_site="site-a",
            members=[(vm.pk, turn if in_turn else 3) for turn, vm in enumerate(vms, 1)],
            network_map={str(home.one_id): peer.one_id},
            fence_rung=fence_rung,
        )
        return plan_create(fields=fields, actor="test")

    def images(self, plan: RecoveryPlan) -> list[str]:
        disks = VmDisk.objects.filter(vm__membership__group=plan.group)
        return sorted(disk.source.removeprefix("one/") for disk in disks)

    def by_hand(self, side: str, *words: str) -> None:
        """As a person at that site's shell."""
        ssh = self.lab.description.sites[side].ssh

        async def send() -> None:
            shell = SshShell(SshTarget(ssh.host, ssh.port, ssh.user, ssh.private_key, (ssh.host_key,)))
            try:
                answer = await shell.act(words, patience_s=30)
                assert answer.exit_status == 0, answer.stderr
            finally:
                await shell.close()

        asyncio.run(send())

    def ask(
        self,
        plan: RecoveryPlan,
        kind: RunKind = RunKind.PLANNED_FAILOVER,
        *,
        accept_warnings: bool = False,
        patience_s: float = 60.0,
        **given: Any,
    ) -> Run:
        """Ask for a run as soon as nothing speaks against it, warnings included.

        The lab mirrors on while the test looks: a snapshot that is just being copied makes an image *behind*, a
        direction that has just turned makes it *not yet protected*; both pass.
        """
        said: list[str] = []

        def asked() -> Run | None:
            try:
                return ask(plan, kind, accept_warnings=accept_warnings, **given)
            except runs.NotReady as error:
                said[:] = [finding["sentence"] for finding in error.extra["findings"]]
                return None

        try:
            run: Run = wait_until(f"nothing speaks against the {kind}", asked, patience_s, 0.3)
        except AssertionError as error:
            raise AssertionError(f"{error}: {' '.join(said)}") from None
        return run

    def drive(self, run: Run, pace: Pace = FAST) -> Run:
        drive(run.pk, pace)
        return runs.run_get(run.pk)

    def primary(self, image: str) -> str:
        """Where the image is primary, by the lab's own word: ``a``, ``b``, ``ab`` or empty."""
        sites = self.lab.status()["sites"]
        return "".join(side for side in "ab" if sites[side]["images"][image]["primary"])

    def vm_state(self, side: str, name: str) -> str | None:
        vms = self.lab.status()["sites"][side]["vms"].values()
        states = [vm["state"] for vm in vms if vm["name"] == name and vm["state"] != "DONE"]
        assert len(states) < 2, f"{name} is there more than once: {states}"
        return states[0] if states else None

    def acts(self, side: str, verb: str, image: str) -> int:
        """How often the command took effect at that site."""
        command = f"mirror image {verb} one/{image}"
        return sum(act["command"].endswith(command) and act["exit_code"] == 0 for act in self.lab.acts(side))


@pytest.fixture
def mover(own_lab: LabProcess, transactional_db: None, bell: Bell) -> Iterator[Mover]:
    yield Mover(own_lab.client)
    for side in ("a", "b"):
        own_lab.client.restore(side)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a look at the sites gives, without sites; tests change it between request and approval."""
    dark = {"standing": "silent_for_both", "sentence": "", "alive": False, "asked": "b", "trouble": "", "views": []}
    content: dict[str, Any] = {
        "images": {}, "vms": [], "source_reachable": {}, "second_view": dark, "taken_at": timezone.now().isoformat(),
    }  # fmt: skip

    def collect(copy: Any, source: Any, target: Any) -> dict[str, Any]:
        for image in copy.images():
            content["images"].setdefault(
                image.key,
                {
                    "name": image.source, "mode": "journal", "exists_here": True, "primary_here": False,
                    "read_here": True,
                    "other_side_answers": False, "whole_copy": True, "shown_whole_before": True, "image_id": "i",
                },
            )  # fmt: skip
        return copies.deepcopy(content)

    monkeypatch.setattr(evidence, "collect", collect)
    return content


@pytest.fixture
def request_of(plan: RecoveryPlan, bell: Bell, seen: dict[str, Any], operator: Person) -> Callable[..., Any]:
    def ask(person: Person = operator, **changed: Any) -> Any:
        plan.refresh_from_db()
        body = {
            "plan_version": plan.version,
            "phrase": "force shop to site-b",
            "reason": "fire",
            "attestation": "power cut by olga",
            "request_key": uuid.uuid4().hex,
            **changed,
        }
        return person.api("POST", f"/plans/{plan.pk}/disaster", body)

    return ask
