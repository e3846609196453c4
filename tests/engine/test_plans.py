"""The graph of steps: order, gates, sides."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drportal.engine.gates import GateId
from drportal.engine.plans import (
    BUILDERS,
    PlanImpossible,
    PlanInput,
    PlannedStep,
    PlannedVm,
    RunKind,
    build,
    staying_vms,
)
from drportal.engine.steps import STEP_KINDS, StepKind


@st.composite
def plans(draw: st.DrawFn) -> PlanInput:
    sizes = draw(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3)), min_size=1, max_size=6))
    vms = tuple(
        PlannedVm(f"v{n}", f"vm {n}", priority, tuple(f"i{n}.{disk}" for disk in range(disks)))
        for n, (priority, disks) in enumerate(sizes)
    )
    images = [image for vm in vms for image in vm.image_keys]
    demoted = frozenset(draw(st.lists(st.sampled_from(images))))
    moved = frozenset(draw(st.lists(st.sampled_from(images), max_size=1))) if len(vms) > 1 else frozenset()
    return PlanInput(vms, "site-a", "site-b", demoted, moved)


def before(steps: tuple[PlannedStep, ...]) -> dict[str, set[str]]:
    """Every step with all that must be done before it."""
    found: dict[str, set[str]] = {}
    for step in steps:
        found[step.key] = set(step.needs).union(*(found[need] for need in step.needs))
    return found


@given(plans(), st.sampled_from(list(RunKind)))
def test_steps_come_after_those_they_need_and_keys_are_unique(plan: PlanInput, kind: RunKind) -> None:
    steps = build(kind, plan)
    done: set[str] = set()
    for step in steps:
        assert step.key not in done
        assert done.issuperset(step.needs)
        spec = STEP_KINDS[step.kind]
        assert step.site == (plan.source_site if spec.side == "source" else plan.target_site)
        assert (step.gates_before, step.gates_after) == (spec.gates_before, spec.gates_after)
        done.add(step.key)
    assert build(kind, plan) == steps


@given(plans())
def test_everything_waits_for_all_checks_and_every_demote_for_all_power_offs(plan: PlanInput) -> None:
    steps = build(RunKind.PLANNED_FAILOVER, plan)
    first = before(steps)
    checks = {s.key for s in steps if s.kind is StepKind.VM_CHECK}
    offs = {s.key for s in steps if s.kind is StepKind.VM_POWER_OFF}
    for step in steps:
        if step.kind is not StepKind.VM_CHECK:
            assert checks <= first[step.key]
        if step.kind is StepKind.IMAGE_DEMOTE:
            assert offs <= first[step.key]


@given(plans())
def test_vms_stop_from_5_to_1_and_start_from_1_to_5(plan: PlanInput) -> None:
    steps = build(RunKind.PLANNED_FAILOVER, plan)
    first = before(steps)
    for vm in plan.vms:
        for other in plan.vms:
            if vm.priority < other.priority:
                assert f"vm.power_off:{other.key}" in first[f"vm.power_off:{vm.key}"]
                assert f"vm.start:{vm.key}" in first[f"vm.start:{other.key}"]


@given(plans())
def test_a_vm_starts_after_all_its_own_images_and_images_do_not_wait_for_each_other(plan: PlanInput) -> None:
    first = before(build(RunKind.PLANNED_FAILOVER, plan))
    for vm in plan.vms:
        for image in vm.image_keys:
            assert f"image.register:{image}" in first[f"vm.start:{vm.key}"]
            promoted = {key for key in first[f"image.promote:{image}"] if key.startswith("image.")}
            assert promoted == {f"image.demote:{image}"}


@given(plans())
def test_a_failback_retires_each_copy_only_after_its_vm_runs_at_home(plan: PlanInput) -> None:
    steps = build(RunKind.FAILBACK, plan)
    retires = [s for s in steps if s.kind is StepKind.VM_RETIRE]
    assert [s.subject for s in retires] == [s.subject for s in steps[-len(plan.vms) :]]
    assert all(s.needs == (f"vm.start:{s.subject}",) and s.site == plan.source_site for s in retires)
    assert StepKind.VM_RETIRE not in {s.kind for s in build(RunKind.PLANNED_FAILOVER, plan)}


@given(plans())
def test_a_way_back_promotes_only_what_was_demoted_and_leaves_vms_that_have_moved(plan: PlanInput) -> None:
    staying = {vm.key for vm in staying_vms(plan)}
    steps = build(RunKind.WAY_BACK, plan)
    assert not staying & {s.vm_key for s in steps}
    again = {s.subject for s in steps if s.kind is StepKind.IMAGE_PROMOTE_AGAIN}
    assert again == {i for vm in plan.vms if vm.key not in staying for i in vm.image_keys} & plan.demoted_at_source
    assert {s.subject for s in steps if s.kind is StepKind.VM_RESUME_HERE} == {vm.key for vm in plan.vms} - staying


VM = PlannedVm("1", "web", 1, ("i1",))


@pytest.mark.parametrize(
    ("vms", "why"),
    [
        ((), "no VM"),
        ((dataclasses.replace(VM, priority=6),), "must be 1 to 5"),
        ((dataclasses.replace(VM, image_keys=()),), "no mirrored image"),
        ((VM, dataclasses.replace(VM, key="2", name="db")), "belongs to web and to db"),
        ((VM, dataclasses.replace(VM, image_keys=("i2",))), "twice"),
    ],
)
def test_an_impossible_plan_says_what_is_in_the_way(vms: tuple[PlannedVm, ...], why: str) -> None:
    with pytest.raises(PlanImpossible, match=why):
        build(RunKind.PLANNED_FAILOVER, PlanInput(vms, "a", "b"))


def test_a_plan_from_a_site_to_itself_and_a_way_back_of_moved_vms_are_refused() -> None:
    with pytest.raises(PlanImpossible, match="same site"):
        build(RunKind.FAILBACK, PlanInput((VM,), "a", "a"))
    with pytest.raises(PlanImpossible, match="already primary at b"):
        build(RunKind.WAY_BACK, PlanInput((VM,), "a", "b", primary_at_target=frozenset({"i1"})))


def test_every_kind_has_its_builder_and_its_words() -> None:
    assert set(BUILDERS) == set(RunKind)
    assert set(STEP_KINDS) == set(StepKind)
    assert STEP_KINDS[StepKind.IMAGE_DEMOTE].sentence("one/one-0-0-0", "site-a") == "Demote one/one-0-0-0 at site-a"


def test_no_image_changes_its_role_without_its_gate() -> None:
    assert GateId.DEMOTED in STEP_KINDS[StepKind.IMAGE_PROMOTE].gates_before
    assert GateId.RETURN in STEP_KINDS[StepKind.IMAGE_PROMOTE_AGAIN].gates_before
    assert {GateId.OFF, GateId.PATH, GateId.SYNC} <= set(STEP_KINDS[StepKind.IMAGE_DEMOTE].gates_before)
    for kind in (StepKind.VM_START, StepKind.VM_RESUME_HERE):
        assert {GateId.PEER_OFF, GateId.PROMOTED} <= set(STEP_KINDS[kind].gates_before)
    for spec in STEP_KINDS.values():
        assert spec.destructive or not spec.acts_on_role
