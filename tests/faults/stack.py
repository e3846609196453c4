"""A lab, Redis and workers as real processes around the test's own database; the test asks for runs through services.

The test looks at the database with the ORM, and at the sites through the lab, never through the portal's drivers.
"""

from __future__ import annotations

import os
import sys
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import django_rq.settings
import pytest
import redis
from django.db import connection

from drportal import jobs
from drportal.audit.check import verify_database
from drportal.audit.models import AuditEntry
from drportal.demo import free_port, redis_program
from drportal.engine.plans import RunKind
from drportal.inventory.discovery import discover
from drportal.inventory.introduce import introduce
from drportal.inventory.models import CephThrough, Network, Site, SitePair, VirtualMachine
from drportal.lab.control import LabClient
from drportal.recovery import building
from drportal.recovery.models import RecoveryPlan, Run, StepAttempt
from drportal.recovery.services.plans import PlanFields, plan_create, plan_get
from drportal.recovery.services.runs import run_request, way_back_request
from tests.stack import LabProcess, Program, wait_until

LEASE_S, SETTLE_S, CALL_DELAY_S = 5.0, 1.5, 0.2
PATIENCE_S, DEADLINE_S = 2.5, 2.0  # of the drivers, for an act and for a read over SSH
PACE = {
    "POLL_FIRST": "0.1",
    "POLL_LAST": "0.4",
    "NEWS": "0.05",
    "CONFIRM": "0.1",
    "FLAGS": "0.2",
    "SETTLE": str(SETTLE_S),
    "VERIFY_PATIENCE": "60",
    "VM_PATIENCE": "60",
    "GATE_PATIENCE": "60",
    "PAUSE_PATIENCE": "5",
}
AT_REST = frozenset({"paused", "succeeded", "succeeded_with_exceptions", "failed", "aborted"})


class WatchedLab(LabProcess):
    """The embedded lab as ``tests/faults/lab.py`` starts it."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__("embedded", folder, "--speed", "20", *options)
        place = self.program.argv.index("drportal.lab")
        self.program.argv[place] = "tests.faults.lab"
        self.program.env["FAULTS_CALL_DELAY_S"] = str(CALL_DELAY_S)


def database_url() -> str:
    """Where the test's own database is, for the processes beside it."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return urlsplit(os.environ["DRPORTAL_TEST_DATABASE_URL"])._replace(path=f"/{name}").geturl()


def beside_the_test(redis_url: str) -> dict[str, str]:
    """The environment of a process of the portal that works on the test's own database."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("DRPORTAL_")},
        "DJANGO_SETTINGS_MODULE": "drportal.settings",
        "DRPORTAL_TESTING": "1",
        "DRPORTAL_DEBUG": "1",
        "DRPORTAL_ENCRYPTION_KEYS": os.environ["DRPORTAL_ENCRYPTION_KEYS"],
        "DRPORTAL_DATABASE_URL": database_url(),
        "DRPORTAL_REDIS_URL": redis_url,
        "DRPORTAL_LEASE": str(LEASE_S),
        "DRPORTAL_SWEEP_INTERVAL": "2",
        **{f"DRPORTAL_PACE_{name}": value for name, value in PACE.items()},
    }


class Portal:
    """Redis and workers on the test's database, and the plan of the lab's three VMs."""

    def __init__(
        self, folder: Path, lab: LabClient, patch: pytest.MonkeyPatch, through: CephThrough = CephThrough.PROGRAM
    ) -> None:
        self.folder, self.lab, self.through = folder, lab, through
        self.port = free_port()
        self.points = folder / "failpoints"
        self.points.mkdir()
        env = {
            **beside_the_test(f"redis://127.0.0.1:{self.port}/0"),
            "FAULTS_FOLDER": str(self.points),
            "FAULTS_PATIENCE_S": str(PATIENCE_S),
            "FAULTS_DEADLINE_S": str(DEADLINE_S),
        }
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"]
        self.redis = Program("redis", [redis_program(), *words], env, folder / "redis.log")
        program = str(Path(__file__).with_name("worker.py"))
        self.worker = Program("worker", [sys.executable, program, "worker"], env, folder / "worker.log")
        for queue in django_rq.settings.QUEUES.values():
            patch.setitem(queue, "URL", env["DRPORTAL_REDIS_URL"])

    def start(self) -> None:
        self.redis.start()
        wait_until("Redis answers", self.redis_answers, 10)
        self.worker.start()
        self.plan_id = self.make_plan().pk
        self.wait_worker()

    def stop(self) -> None:
        self.worker.kill()  # its children die with it; nothing is left to be waited for
        self.worker.stop()
        self.redis.stop()

    def redis_answers(self) -> bool:
        try:
            return bool(self.redis_client().ping())
        except redis.ConnectionError:
            return False

    def redis_client(self) -> redis.Redis:
        return redis.Redis(port=self.port)

    def wait_worker(self) -> None:
        wait_until("a worker listens", jobs.worker_alive, 90)

    def make_plan(self) -> RecoveryPlan:
        """All three VMs in one priority: what is independent happens at once, and a test takes half the time."""
        pair = introduce(self.lab.description)
        Site.objects.update(ceph_through=self.through)
        pair = discover(pair.pk)
        networks = [
            Network.objects.get(site=site, name=name)
            for site, name in ((pair.a, "production-a"), (pair.b, "production-b"))
        ]
        fields = PlanFields(
            name="shop",
            group_name="shop",
            pair_id=pair.pk,
            home_site=pair.a.slug,
            members=[(vm.pk, 1) for vm in VirtualMachine.objects.filter(site=pair.a)],
            network_map={str(networks[0].one_id): networks[1].one_id},
        )
        return plan_create(fields=fields, actor="operator")

    # --- failpoints

    def arm(self, kind: str, point: str, action: str = "kill") -> None:
        (self.points / f"{kind}@{point}").write_text(action)

    def unfired(self) -> list[str]:
        return sorted(file.name for file in self.points.iterdir() if ".fired." not in file.name)

    def fired(self, kind: str, point: str) -> int | None:
        """The process in which it fired, if it has."""
        found = [file for file in self.points.iterdir() if file.name.startswith(f"{kind}@{point}.fired.")]
        return int(found[0].name.rpartition(".")[2]) if found else None

    # --- runs

    def failover(self) -> int:
        return self.request(RunKind.PLANNED_FAILOVER)

    def failback(self) -> int:
        """The failover's end rings for a discovery too; here it is made, so that the next run can begin at once."""
        discover(SitePair.objects.get().pk)
        return self.request(RunKind.FAILBACK)

    def request(self, kind: RunKind) -> int:
        plan = plan_get(self.plan_id)
        _, target = building.direction(plan.group, kind)
        run, new = run_request(
            plan_id=plan.pk,
            kind=kind.value,
            plan_version=plan.version,
            phrase=building.phrase(kind, plan.group, target),
            reason="a test",
            request_key=uuid.uuid4().hex,
            accept_warnings=True,
            actor="operator",
        )
        assert new
        return run.pk

    def way_back(self, run_id: int) -> int:
        parent = Run.objects.select_related("group", "source_site").get(pk=run_id)
        phrase = building.phrase(RunKind.WAY_BACK, parent.group, parent.source_site)
        run, new = way_back_request(run_id=run_id, phrase=phrase, request_key=uuid.uuid4().hex, actor="operator")
        assert new
        return run.pk

    def wait_run(self, run_id: int, state: str = "succeeded", patience_s: float = 120) -> Run:
        """Wait until it rests; that must be in this state."""

        def rests() -> Run | None:
            run = Run.objects.get(pk=run_id)
            return run if run.state in AT_REST else None

        try:
            run: Run = wait_until(f"run {run_id} rests", rests, patience_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.told(run_id)}") from None
        assert run.state == state, f"{run.state}: {run.sentence}\n{self.told(run_id)}"
        return run

    def wait_step(self, run_id: int, kind: str, *states: str, count: int = 1, patience_s: float = 60) -> None:
        """Wait until so many steps of a kind are in one of the states."""
        steps = Run.objects.get(pk=run_id).steps.filter(kind=kind, state__in=states)
        try:
            wait_until(f"{count} steps {kind} are {states}", lambda: steps.all().count() >= count, patience_s, 0.02)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.told(run_id)}") from None

    def told(self, run_id: int) -> str:
        """Steps and the workers' last words, for whoever reads a failed test."""
        run = Run.objects.get(pk=run_id)
        lines = [f"{run.state} fence {run.fence}: {run.sentence}"]
        lines += [f"  {s.state:10} {s.attempt} {s.kind:15} {s.subject}: {s.sentence}" for s in run.steps.all()]
        return "\n".join([*lines, self.worker.log.read_text()[-3000:]])

    # --- what must hold after every run

    def attempts(self, run_id: int, kind: str) -> list[StepAttempt]:
        return list(StepAttempt.objects.filter(step__run_id=run_id, step__kind=kind).order_by("intent_at"))

    def assert_trail(self, run_id: int) -> None:
        """It verifies, holds each intent with its command, and each intent has its end."""
        found = verify_database()
        assert found.ok, found.sentence
        begun = {
            entry.payload["operation_id"]: entry.payload["command"]
            for entry in AuditEntry.objects.filter(run_id=run_id, action="step.begin")
        }
        attempts = StepAttempt.objects.filter(step__run_id=run_id)
        assert begun == {str(attempt.operation_id): attempt.command for attempt in attempts}
        unended = [str(a) for a in attempts if not a.outcome or a.outcome in ("unknown", "unreachable")]
        assert not unended, f"intents without an end: {unended}"
