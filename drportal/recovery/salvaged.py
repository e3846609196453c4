"""What becomes of the writes that only a returned site has, as pages tell it: the ways there are, and what was done."""

from __future__ import annotations

from collections.abc import Iterable

from drportal.engine.salvage import SalvageChoice, SalvageWay
from drportal.engine.states import StepState
from drportal.engine.steps import StepKind
from drportal.inventory.models import Site
from drportal.recovery import schemas
from drportal.recovery.models import Run, Step
from drportal.recovery.plan_copy import PlanCopy
from drportal.recovery.salvaging import why_not_way

SAVING = (StepKind.IMAGE_SALVAGE, StepKind.IMAGE_KEEP)


def ways_out(copy: PlanCopy, source: Site) -> list[schemas.SalvageWayOut]:
    """For the door: each way, and why it can't be chosen."""
    says = {
        SalvageWay.EXPORT: f"Save each image to a file in {copy.salvage_dir or 'a directory'} at {source.name}, with "
        "checksum and size.",
        SalvageWay.COPY: f"Keep a copy of each image in its pool at {source.name}, under a new name, not mirrored. It "
        "takes room there until somebody removes it (rbd rm).",
        SalvageWay.WAIVE: "Discard without a copy, and say why.",
    }
    return [
        schemas.SalvageWayOut(way=way, sentence=said, why_not=why_not_way(way, copy, source) or None)
        for way, said in says.items()
    ]


def salvage_out(run: Run, steps: Iterable[Step], plan: PlanCopy | None) -> list[schemas.Salvaged]:
    """For the run's page and its report: of each image what was chosen, by whom, and what has become of it."""
    of_image = {str(step.params.get("image")): step for step in steps if step.kind in SAVING}
    resyncs = {str(step.params.get("image")): step for step in steps if step.kind == StepKind.IMAGE_RESYNC}
    found = []
    for key, choice in plan.salvages().items() if plan is not None else ():
        if key not in resyncs:
            continue
        assert plan is not None
        step = of_image.get(key)
        state, said = _outcome(choice, step, resyncs[key], run.requested_name)
        found.append(
            schemas.Salvaged(
                image=plan.image(key).source, way=choice.way, state=state, sentence=said,
                step_id=step.pk if step is not None else None,
            )
        )  # fmt: skip
    return found


def _outcome(choice: SalvageChoice, step: Step | None, resync: Step, asked_by: str) -> tuple[str, str]:
    if step is None and resync.state == StepState.SUCCEEDED and not resync.attempt:
        return "not_needed", "It followed already: nothing of it was discarded."
    if step is None:
        return "waived", f"Not saved. {asked_by}: {choice.reason}"
    if step.state == StepState.SKIPPED:
        return "waived", f"Not saved. {step.skipped_by}: {step.skip_reason}"
    return step.state, step.sentence


def images_out(copy: PlanCopy) -> list[schemas.SalvageImage]:
    chosen = copy.salvages()
    return [
        schemas.SalvageImage(
            image_id=int(image.key), name=image.source, vm_name=vm.name,
            way=chosen[image.key].way if image.key in chosen else None,
        )
        for vm in copy.vms
        for image in vm.images
    ]  # fmt: skip
