"""Scripts of the ways in which plain Ceph's exit 0 loses data, and what the gates say at that moment."""

from __future__ import annotations

import pytest

from drportal.engine.facts import Mode, Side
from drportal.engine.gates import GateId, GateOutcome
from tests.engine.model import BUSY, OK, World
from tests.engine.portal import Portal, settled

A, B = Side.A, Side.B
both_modes = pytest.mark.parametrize("mode", list(Mode))


def written(mode: Mode) -> World:
    world = World(mode)
    for _ in range(3):
        world.write(A)
        world.daemon_works(B)
    settled(world, A)
    return world


def off(world: World, side: Side) -> None:
    world.sides[side].vm_running = False


def aborted_once(mode: Mode) -> World:
    """Demote, replayed by b, promoted again at a, written, demoted again before b follows."""
    world = written(mode)
    off(world, A)
    world.demote(A)
    settled(world, A)
    world.promote(A)
    world.sides[A].vm_running = True
    world.write(A)
    off(world, A)
    world.demote(A)
    settled(world, A)
    return world


def quick_failback(mode: Mode) -> World:
    """b promoted, written and demoted before a followed."""
    world = written(mode)
    off(world, A)
    world.demote(A)
    settled(world, A)
    world.promote(B)
    world.sides[B].vm_running = True
    world.write(B)
    off(world, B)
    world.demote(B)
    settled(world, B)
    return world


def half_copied() -> World:
    """Snapshot mode: b's daemon dies in the middle of copying the demotion."""
    world = written(Mode.SNAPSHOT)
    world.write(A)
    off(world, A)
    world.demote(A)
    world.daemon_works(B)
    world.daemon_dies(B)
    return world


@both_modes
def test_a_planned_move_and_its_failback_lose_nothing(mode: Mode) -> None:
    world = written(mode)
    portal = Portal(world)
    for source in (A, B, A):
        assert portal.power_off(source)
        assert portal.demote(source)
        settled(world, source)
        assert portal.promote(source)
        assert portal.start_vm(source.other)
        assert world.write(source.other)
        assert world.harm() is None
        settled(world, source.other)
    assert world.whole(B)


@both_modes
def test_demote_abort_write_demote_is_accepted_by_ceph_and_refused_by_the_gate(mode: Mode) -> None:
    world = aborted_once(mode)
    result = Portal(world).check(GateId.DEMOTED, A)
    assert result.outcome is GateOutcome.NOT_MET
    assert not Portal(world).promote(A)
    assert world.promote(B) == OK
    assert world.harm() == "acknowledged writes are lost"


def test_after_an_abort_the_gate_knows_at_once_in_snapshot_mode_that_waiting_is_hopeless() -> None:
    result = Portal(aborted_once(Mode.SNAPSHOT)).check(GateId.DEMOTED, A)
    assert result.hopeless
    assert result.remedy is not None
    assert "Promote the source again" in result.remedy


@both_modes
def test_the_remedy_of_an_abort_works(mode: Mode) -> None:
    world = aborted_once(mode)
    portal = Portal(world, demoted=A)
    assert portal.promote_again(A)
    settled(world, A)
    assert portal.demote(A)
    settled(world, A)
    assert portal.promote(A)
    assert world.whole(B)
    assert world.harm() is None


@both_modes
def test_a_quick_failback_is_accepted_by_ceph_and_refused_by_the_gate(mode: Mode) -> None:
    world = quick_failback(mode)
    assert Portal(world).check(GateId.DEMOTED, B).outcome is GateOutcome.NOT_MET
    assert not Portal(world).promote(B)
    assert world.promote(A) == OK
    assert world.harm() == "acknowledged writes are lost"
    assert world.promote(B) == OK
    assert world.harm() == "two primaries"


@pytest.mark.parametrize("restarted", [False, True])
def test_half_a_demotion_snapshot_is_promoted_by_ceph_and_refused_by_the_gate(restarted: bool) -> None:
    world = half_copied()
    if restarted:
        world.daemon_starts(B)
        settled(world, A)
    result = Portal(world).check(GateId.DEMOTED, A)
    assert result.outcome is GateOutcome.NOT_MET
    assert "torn" in result.sentence
    assert world.promote(B) == OK
    assert world.harm() == "acknowledged writes are lost"


def test_half_a_demotion_is_repaired_by_promoting_the_source_again() -> None:
    world = half_copied()
    portal = Portal(world, demoted=A)
    world.daemon_starts(B)
    assert portal.promote_again(A)
    settled(world, A)
    assert portal.demote(A)
    settled(world, A)
    assert portal.promote(A)
    assert world.whole(B)


def test_journal_mode_refuses_by_itself_while_the_demotion_is_not_replayed() -> None:
    world = written(Mode.JOURNAL)
    off(world, A)
    world.daemon_dies(B)
    world.demote(A)
    assert world.promote(B) == BUSY
    assert not Portal(world).promote(A)


@both_modes
def test_a_demote_with_a_dead_daemon_is_refused_because_nobody_would_be_primary(mode: Mode) -> None:
    world = written(mode)
    off(world, A)
    world.daemon_dies(B)
    portal = Portal(world)
    assert portal.check(GateId.PATH, A).outcome is GateOutcome.NOT_MET
    assert not portal.demote(A)
    assert world.demote(A) == OK
    settled(world, A)
    assert "primary" not in {copy.role for copy in world.sides.values()}


@both_modes
def test_a_return_is_refused_once_a_promote_was_sent(mode: Mode) -> None:
    world = written(mode)
    portal = Portal(world)
    assert portal.power_off(A)
    assert portal.demote(A)
    settled(world, A)
    assert portal.promote(A)
    result = portal.check(GateId.RETURN, A)
    assert result.outcome is GateOutcome.NOT_MET
    assert result.hopeless
    assert not portal.promote_again(A)


# --- guard mutation: each gate taken out, one harm that it alone prevents


def harm_without_off(portal: Portal) -> str | None:
    portal.demote(A)
    return portal.world.harm()


def harm_without_demoted(portal: Portal) -> str | None:
    portal.world.sides[A].vm_running = False
    portal.world.demote(A)
    settled(portal.world, A)
    portal.world.promote(A)
    portal.world.sides[A].vm_running = True
    portal.world.write(A)
    portal.world.sides[A].vm_running = False
    portal.world.demote(A)
    portal.promote(A)
    return portal.world.harm()


def harm_without_peer_off(portal: Portal) -> str | None:
    """The VM is started again by hand at the side that was left."""
    portal.power_off(A)
    portal.demote(A)
    settled(portal.world, A)
    portal.promote(A)
    portal.world.sides[A].vm_running = True
    portal.start_vm(B)
    return "the VM runs at both sides" if portal.world.sides[B].vm_running else None


def harm_without_promoted(portal: Portal) -> str | None:
    """A VM is started where its disk is only a copy."""
    portal.power_off(A)
    portal.start_vm(B)
    return portal.world.harm()


def harm_without_return(portal: Portal) -> str | None:
    portal.power_off(A)
    portal.demote(A)
    settled(portal.world, A)
    portal.promote(A)
    portal.promote_again(A)
    return portal.world.harm()


def nobody_primary_for_good(world: World) -> str | None:
    """Not a loss, but an outage that waiting does not end: neither side is primary and the target cannot become it."""
    settled(world, A)
    roles = {copy.role for copy in world.sides.values()}
    stuck = "primary" not in roles and not Portal(world).promote(A)
    return "nobody is primary, and waiting does not help" if stuck else None


def harm_without_path(portal: Portal) -> str | None:
    portal.world.sides[A].vm_running = False
    portal.world.daemon_dies(B)
    portal.demote(A)
    return nobody_primary_for_good(portal.world)


def harm_without_sync(portal: Portal) -> str | None:
    """The copy has fallen behind: the demotion would wait behind all of it while nobody is primary."""
    for _ in range(50):
        portal.world.write(A)
    portal.world.mirror_snapshot(A)
    portal.world.sides[A].vm_running = False
    if not portal.demote(A):
        return None
    portal.world.daemon_works(B)
    return "nobody is primary while the backlog is replayed" if not portal.promote(A) else None


HARMS = {
    GateId.OFF: harm_without_off,
    GateId.PATH: harm_without_path,
    GateId.SYNC: harm_without_sync,
    GateId.DEMOTED: harm_without_demoted,
    GateId.PROMOTED: harm_without_promoted,
    GateId.PEER_OFF: harm_without_peer_off,
    GateId.RETURN: harm_without_return,
}


@both_modes
@pytest.mark.parametrize("gate", list(HARMS), ids=str)
def test_with_all_gates_the_script_comes_to_no_harm(gate: GateId, mode: Mode) -> None:
    assert HARMS[gate](Portal(written(mode))) is None


@both_modes
@pytest.mark.parametrize("gate", list(HARMS), ids=str)
def test_with_one_gate_taken_out_the_same_script_does_harm(gate: GateId, mode: Mode) -> None:
    assert HARMS[gate](Portal(written(mode)).without(gate)) is not None
