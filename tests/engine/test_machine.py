"""Hypothesis drives the two-site model: the portal through its gates, daemons that die, and people who act by hand.

People are not malicious: by hand they do what does no harm at that moment (an abort, a quick failback, a demote). The
traps are what such acts leave behind. Whatever the order, an act that the gates let through does no harm.
"""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from drportal.engine.facts import Mode, Side
from drportal.engine.gates import GateId
from tests.engine.model import PRIMARY, World
from tests.engine.portal import Portal, settled

sides = st.sampled_from(list(Side))


class TwoSites(RuleBasedStateMachine):
    without: GateId | None = None

    def __init__(self) -> None:
        super().__init__()
        self.world = World(Mode.JOURNAL)
        self.portal = Portal(self.world)

    @initialize(mode=st.sampled_from(list(Mode)))
    def choose(self, mode: Mode) -> None:
        self.world = World(mode)
        self.portal = Portal(self.world)
        if self.without is not None:
            self.portal.without(self.without)

    # --- time and daemons ---

    @rule(side=sides)
    def write(self, side: Side) -> None:
        self.world.write(side)

    @rule(side=sides, steps=st.integers(1, 3))
    def daemon_works(self, side: Side, steps: int) -> None:
        for _ in range(steps):
            self.world.daemon_works(side)

    @rule(source=sides)
    def everything_settles(self, source: Side) -> None:
        settled(self.world, source)

    @rule(side=sides)
    def daemon_dies(self, side: Side) -> None:
        self.world.daemon_dies(side)

    @rule(side=sides)
    def daemon_starts(self, side: Side) -> None:
        self.world.daemon_starts(side)

    @rule(side=sides)
    def schedule_takes_a_mirror_snapshot(self, side: Side) -> None:
        self.world.mirror_snapshot(side)

    # --- the portal, through its gates ---

    @rule(side=sides)
    def portal_powers_off(self, side: Side) -> None:
        self.portal.power_off(side)

    @rule(source=sides)
    def portal_demotes(self, source: Side) -> None:
        self.portal.demote(source)

    @rule(source=sides)
    def portal_promotes(self, source: Side) -> None:
        self.portal.promote(source)

    @rule(source=sides)
    def portal_goes_back(self, source: Side) -> None:
        self.portal.promote_again(source)

    @rule(side=sides)
    def portal_starts(self, side: Side) -> None:
        self.portal.start_vm(side)

    @rule(source=sides)
    def portal_moves_everything(self, source: Side) -> None:
        """A whole planned move, so that long histories are common."""
        if self.portal.power_off(source) and self.portal.demote(source):
            settled(self.world, source)
            if self.portal.promote(source):
                self.portal.start_vm(source.other)
                settled(self.world, source.other)

    # --- people, by hand ---

    def nobody_else(self, side: Side) -> bool:
        return self.world.sides[side.other].role != PRIMARY and not self.world.sides[side.other].vm_running

    @rule(side=sides)
    def hand_powers_off(self, side: Side) -> None:
        self.world.sides[side].vm_running = False

    @rule(side=sides)
    def hand_starts(self, side: Side) -> None:
        if self.world.sides[side].role == PRIMARY and self.nobody_else(side):
            self.world.sides[side].vm_running = True

    @rule(side=sides)
    def hand_demotes(self, side: Side) -> None:
        if not self.world.sides[side].vm_running:
            self.world.demote(side)

    @precondition(lambda self: not any(copy.role == PRIMARY for copy in self.world.sides.values()))
    @rule(side=sides)
    def hand_promotes(self, side: Side) -> None:
        if self.world.whole(side) and self.nobody_else(side) and self.world.promote(side) == 0:
            # A promote that the run did not send is out of sight of G-RETURN's record.
            self.portal.promote_sent = self.portal.promote_sent or side is not self.portal.demoted

    @invariant()
    def no_harm_is_done(self) -> None:
        assert self.world.harm() is None


TwoSites.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestTwoSites = TwoSites.TestCase


@pytest.mark.parametrize("gate", [GateId.OFF, GateId.DEMOTED, GateId.PROMOTED, GateId.RETURN], ids=str)
def test_without_any_one_gate_the_machine_finds_harm(gate: GateId) -> None:
    """So the machine is able to find what it looks for.

    The other gates need what its people do not do (start a VM on a copy) or prevent outages, not loss: test_traps has
    them.
    """
    machine = type("Unguarded", (TwoSites,), {"without": gate})
    searching = settings(
        max_examples=3000,
        stateful_step_count=40,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=searching)  # type: ignore[no-untyped-call]
