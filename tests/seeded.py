"""Bugs to be planted, one by name: ``SEEDED_BUG=NAME pytest -p tests.seeded TEST``. Each takes one guard out of the
product; the test that is named for its invariant must fail then (``test_seeded_bugs.py``)."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any


def force_without_a_warrant() -> None:
    """I2: whatever is handed over counts as an approval."""
    from drportal.drivers import rbd_commands

    def force_promote(self: Any, ref: Any, warrant: Any) -> list[str]:
        return [*self.act("promote", ref), "--force"]

    rbd_commands.RbdCommands.force_promote = force_promote  # type: ignore[method-assign]


def act_without_an_entry() -> None:
    """I8: the intent is kept, and the trail does not hear of it."""
    from drportal.recovery.recorder import Recorder

    real = Recorder.write

    async def write(self: Recorder, *changes: Any, facts: Any = ()) -> None:
        await real(self, *changes, facts=[fact for fact in facts if fact.action != "step.begin"])

    Recorder.write = write  # type: ignore[method-assign]


def forget_what_was_made() -> None:
    """I9: our own earlier VM is not looked for by its mark."""
    from drportal.recovery.world import World

    real = World.locate

    async def locate(self: World, end: Any, vm: Any, max_age_s: float = 0.0) -> Any:
        from dataclasses import replace

        return await real(self, end, replace(vm, marker="nobody's") if end.slug != self.plan.home_site else vm)

    World.locate = locate  # type: ignore[method-assign]


def show_what_is_old_as_fresh() -> None:
    """I10: what was true once is true."""
    from drportal.inventory import image_table, schemas

    for module in (schemas, image_table):
        module.watched = lambda pair, now: True  # type: ignore[attr-defined]


def no_index_of_active_runs() -> None:
    """I12: the database lets a second active run in."""
    from django.db import connection
    from django.db.models.signals import post_migrate

    def drop(**_: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DROP INDEX IF EXISTS one_active_run_of_a_group")

    post_migrate.connect(drop, weak=False)


def believe_at_once_that_it_ended() -> None:
    """I13: an act of unknown outcome is taken for one that is over."""
    from drportal.recovery.step_runner import StepRunner

    async def surely_ended(self: StepRunner, before: Any) -> bool:
        return True

    StepRunner._surely_ended = surely_ended  # type: ignore[method-assign]


def retire_at_any_time() -> None:
    """I15: the copy that was left behind goes whether or not its VM runs at home."""
    from drportal.engine.gates import GateId, GateOutcome, GateResult
    from drportal.recovery import gate_readings

    async def met(world: Any, subject: Any) -> Any:
        return gate_readings.GateReading(GateResult(GateId.RUNS, GateOutcome.MET, "(guard taken out)", {}))

    gate_readings.READERS[GateId.RUNS] = met


BUGS: dict[str, Callable[[], None]] = {
    bug.__name__: bug
    for bug in (
        force_without_a_warrant,
        act_without_an_entry,
        forget_what_was_made,
        show_what_is_old_as_fresh,
        no_index_of_active_runs,
        believe_at_once_that_it_ended,
        retire_at_any_time,
    )
}


def plant() -> None:
    """The one that the environment names, if any."""
    if name := os.environ.get("SEEDED_BUG"):
        BUGS[name]()


def pytest_sessionstart() -> None:
    plant()
