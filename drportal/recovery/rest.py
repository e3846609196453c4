"""Where things stand when a run rests, read from the sites, and the sentences that say so."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence

from drportal.drivers.errors import DriverError
from drportal.engine.gate_base import count
from drportal.engine.states import StepState
from drportal.recovery.plan_copy import ImageCopy, VmCopy
from drportal.recovery.step_writer import StepRow
from drportal.recovery.world import World, ref_of

Standing = list[dict[str, str]]


async def read_standing(world: World) -> Standing:
    """One line per image and VM: {kind, name, where, sentence, read_at}.

    ``where``: the slug of the one site at which the image is primary or the VM runs, ``both``, ``nowhere``, or
    ``unknown``: not seen at the site that answers. A site that does not answer is said, not waited for.
    """
    vms = [_vm(world, vm) for vm in world.plan.vms]
    images = [_image(world, image) for image in world.plan.images()]
    return list(await asyncio.gather(*vms, *images))


async def _image(world: World, image: ImageCopy) -> dict[str, str]:
    words, primary, silent = [], [], False
    for end in (world.source, world.target):
        try:
            role, _ = await end.role(ref_of(image))
        except DriverError:
            words.append(f"{end.name} does not answer")
            silent = True
            continue
        word = "missing" if not role.exists else "primary" if role.primary else "not primary"
        words.append(f"{word} at {end.name}")
        if role.primary:
            primary.append(end.slug)
    return _line(world, "image", image.source, _where(primary, silent), "; ".join(words))


async def _vm(world: World, vm: VmCopy) -> dict[str, str]:
    words, running, silent = [], [], False
    for end in (world.source, world.target):
        try:
            located = await world.locate(end, vm)
        except DriverError:
            words.append(f"{end.name} does not answer")
            silent = True
            continue
        words.append(f"{located.facts.state_word if located.vm else 'no VM'} at {end.name}")
        if located.facts.phase == "running":
            running.append(end.slug)
    return _line(world, "vm", vm.name, _where(running, silent), "; ".join(words))


def _where(seen: list[str], silent: bool) -> str:
    if not seen:
        return "unknown" if silent else "nowhere"
    return seen[0] if len(seen) == 1 else "both"


def _line(world: World, kind: str, name: str, where: str, sentence: str) -> dict[str, str]:
    return {"kind": kind, "name": name, "where": where, "sentence": sentence, "read_at": world.clock().isoformat()}


def resting_sentence(
    steps: Sequence[StepRow],
    error_at: StepRow | None,
    standing: Standing,
    *,
    cancelled: bool,
    forced: bool,
    on_hold: Collection[str] = (),
) -> str:
    """Why it rests, where it stands in numbers, and what a person can do. ``forced``: there is no way back."""
    failed = [step for step in steps if step.state is StepState.FAILED and step.vm_key not in on_hold]
    held = list(dict.fromkeys(step.task.vm.name for step in steps if step.vm_key in on_hold and _is_open(step)))
    unknown = [step for step in steps if step.state in (StepState.UNKNOWN, StepState.RUNNING)]
    said = []
    if failed:
        first = error_at or failed[0]
        more = f" ({len(failed) - 1} more failed)" if len(failed) > 1 else ""
        said.append(f"Stopped at “{_name(first)}”{more}: {first.sentence}")
    elif cancelled:
        said.append("Cancelled" + ("." if unknown else ": nothing is in flight."))
    else:
        said.append("Paused: nothing is in flight.")
    if unknown and cancelled:
        said.append(
            f"It is not known what became of {count(len(unknown), 'act')}, because a site does not answer: "
            f"{', '.join(_name(step) for step in unknown[:3])}. No run acts on these before they are read."
        )
    elif unknown:
        said.append(f"Unknown: {', '.join(_name(step) for step in unknown[:3])}; it will be read before anything acts.")
    said.append(_counted(standing))
    if held:
        said.append(f"On hold: {', '.join(held[:6])}{f' and {len(held) - 6} more' if len(held) > 6 else ''}.")
    if not cancelled:
        chosen = failed or held
        choices = "Retry, hold, or go on with the critical VMs; stop" if chosen else "Resume goes on from here; cancel"
        said.append(f"{choices} ends the run{' as it stands' if forced else ' and offers the way back'}.")
    return " ".join(said)


def _is_open(step: StepRow) -> bool:
    return step.state not in (StepState.SUCCEEDED, StepState.SKIPPED)


def cut_short_sentence(world: World) -> str:
    """Of a disaster failover that was cancelled after it had forced something."""
    there, back = world.target.name, world.source.name
    return (
        f"The group now counts as running at {there}, where its forced copies are. To go on, ask for the disaster "
        f"failover again; when {back} is back, its copies are the ones to make anew (Reprotect)."
    )


def final_sentence(kind: str, steps: Sequence[StepRow], world: World) -> str:
    skipped = sum(step.state is StepState.SKIPPED for step in steps)
    if skipped:
        each = "1 step was skipped, with its reason" if skipped == 1 else f"{skipped} steps were skipped, with reasons"
        done = len(steps) - skipped
        return f"{done} of {len(steps)} steps were observed to be done. {each}: what a skipped step does is not done."
    vms, images = len(world.plan.vms), len(world.plan.images())
    if kind == "reprotect":
        return (
            f"{images} images at {world.source.name} are whole again and follow {world.target.name}; every step was "
            "observed to be done."
        )
    if kind == "fence":
        return (
            f"At {world.source.name} none of {vms} VMs runs and none of {images} images can be written; every step was "
            "observed to be done. Nothing was discarded."
        )
    to = world.source.name if kind == "way_back" else world.target.name
    return f"{vms} VMs and {images} images are at {to}; every step was observed to be done."


PLACES = {"nowhere": "at neither site", "both": "at both sites", "unknown": "not seen, and a site does not answer"}


def _counted(standing: Standing) -> str:
    images = Counter(line["where"] for line in standing if line["kind"] == "image")
    vms = Counter(line["where"] for line in standing if line["kind"] == "vm")
    parts = [f"{count} primary {PLACES.get(where, f'at {where}')}" for where, count in sorted(images.items())]
    running = sum(count for where, count in vms.items() if where not in ("nowhere", "unknown"))
    unknown = f", {vms['unknown']} not known" if vms["unknown"] else ""
    return f"Images: {', '.join(parts)}. VMs: {running} of {sum(vms.values())} running{unknown}."


def _name(step: StepRow) -> str:
    task = step.task
    return step.spec.sentence(task.image.source if task.image else task.vm.name, task.end.name)
