"""What a run would do, step by step, with the commands as they will be sent: the drivers' own builders make them."""

from __future__ import annotations

from drportal.drivers.opennebula_templates import TemplateError, image_template, vm_template
from drportal.drivers.rbd_commands import KEPT_DIGITS, RbdCommands, command_line, kept_name, one_line
from drportal.engine.fence import RUNG_WORDS, FenceRung
from drportal.engine.home_gates import LOST_SIGHT
from drportal.engine.plans import PlanImpossible, PlannedStep, RunKind, build
from drportal.engine.salvage import SalvageWay
from drportal.engine.steps import STEP_KINDS, StepKind
from drportal.errors import Conflict
from drportal.inventory.models import CapturedDefinition, Network, Site, SiteResource, VirtualMachine
from drportal.recovery import building, giving_way, schemas
from drportal.recovery.acts.base import call_text
from drportal.recovery.fences import below_question, fenced_before
from drportal.recovery.home import networks_at_home
from drportal.recovery.losses import newest_of
from drportal.recovery.models import RecoveryPlan
from drportal.recovery.plan_copy import ImageCopy, PlanCopy, VmCopy
from drportal.recovery.salvaged import images_out, ways_out
from drportal.recovery.salvaging import NO_WISH, Wish, with_choices
from drportal.recovery.targets import too_slow_after
from drportal.recovery.world import ref_of

ROLE_ACTS = {
    StepKind.IMAGE_DEMOTE: "demote",
    StepKind.IMAGE_PROMOTE: "promote",
    StepKind.IMAGE_DEMOTE_RETURNED: "demote",
    StepKind.IMAGE_SALVAGE: "salvage",
    StepKind.IMAGE_RESYNC: "resync",
}
VM_ACTIONS = {
    StepKind.VM_SETTLE: "poweroff-hard",
    StepKind.VM_POWER_OFF: "poweroff",
    StepKind.VM_RETIRE: "terminate",
    StepKind.VM_STOP_RETURNED: "poweroff",
}
MOST_LOSSES = 20
LOCKS = (
    "Once a VM is off, it and its images are locked at {site} (one.vm.lock, one.image.lock), and its host is disabled "
    "there (one.host.status): nobody can start it by mistake, and that host takes no new VM. Its other VMs "
    "go on. A reprotect unlocks and enables again at its end."
)
SHUTS_OUT = (
    "First whoever has the images open at {site}, mirror daemons left out, is shut out of its Ceph for a day (ceph osd "
    "blocklist add, with the address that it has then): its writes fail at once, as by a pulled cable. A reprotect "
    "lets it in again at its end."
)
NOBODY: frozenset[str] = frozenset()
NOT_YET = -1_000_000  # stands for a number that OpenNebula gives only when the image is registered


def preview(plan: RecoveryPlan, kind: RunKind, wish: Wish = NO_WISH) -> schemas.Preview:
    """Reads rows only. Raises Conflict where such a run makes no sense now, Invalid where the wish can't be."""
    source, target = building.direction(plan.group, kind)
    copy = building.copy_of_plan(plan, source, target, kind)
    if kind is RunKind.REPROTECT:
        copy = fenced_before(with_choices(copy, source, wish, "(to be said)"), plan.group, source)
    try:
        steps = build(kind, copy.plan_input(lost_sight_of=_lost_sight_of(copy) if kind is RunKind.FAILBACK else NOBODY))
    except PlanImpossible as error:
        raise Conflict(str(error), code="plan_impossible") from None
    show = _Show(copy, {source.slug: source, target.slug: target})
    vms, images = len(copy.vms), len(copy.images())
    moves = kind not in building.AT_RETURNED
    slow = too_slow_after(copy, plan.group, source, target) if moves else ()
    return schemas.Preview(
        kind=kind.value,
        plan_version=plan.version,
        source_site=source.slug,
        target_site=target.slug,
        steps=[show.step(step) for step in steps],
        phrase=building.phrase(kind, plan.group, target),
        button=_button(kind, vms, images, source, target),
        discard_question=_discard_question(copy, source, kind),
        fence_question=below_question(copy, source) if kind is RunKind.REPROTECT else "",
        salvage_ways=ways_out(copy, source) if kind is RunKind.REPROTECT else [],
        salvage_images=images_out(copy) if kind is RunKind.REPROTECT else [],
        consequences=[
            *giving_way.consequences(plan.group, kind),
            *consequences(copy, source, target, kind),
            *_left_alone(copy),
            *slow,
        ],
    )


def _lost_sight_of(copy: PlanCopy) -> frozenset[str]:
    """By what was seen last; the run itself reads it anew."""
    rows = VirtualMachine.objects.filter(pk__in=[vm.key for vm in copy.vms], gone_at=None, state_word=LOST_SIGHT)
    return frozenset(str(key) for key in rows.values_list("pk", flat=True))


def _button(kind: RunKind, vms: int, images: int, source: Site, target: Site) -> str:
    if kind is RunKind.FENCE:
        return f"Fence {_count(vms, 'VM')} and {_count(images, 'image')} at {source.name}"
    if kind is RunKind.REPROTECT:
        return f"Discard {_count(images, 'image')} at {source.name} and copy again"
    return f"Move {_count(vms, 'VM')} and {_count(images, 'image')} to {target.name}"


def _discard_question(copy: PlanCopy, source: Site, kind: RunKind) -> str:
    """Empty where nothing is discarded, or all of it is saved first."""
    waived = [key for key, choice in copy.salvages().items() if choice.way is SalvageWay.WAIVE]
    if kind is not RunKind.REPROTECT or not waived:
        return ""
    of = "" if len(waived) == len(copy.images()) else f" into {_count(len(waived), 'image')}"
    return f"Why may what {source.name} wrote{of} after contact was lost be discarded without a copy?"


def _left_alone(copy: PlanCopy) -> list[str]:
    return [f"{one.name} is left alone. {one.sentence} {one.remedy}" for one in copy.left_alone]


def _returned(copy: PlanCopy, source: Site, target: Site) -> list[str]:
    gib = sum(image.size_bytes for image in copy.images()) / 2**30
    known = newest_of(source, [image.key for image in copy.images()])
    return [
        *(f"Measured at {row.measured_at:%F %T} UTC: {row.image}: {row.sentence}" for row in known[:MOST_LOSSES]),
        *([f"And {len(known) - MOST_LOSSES} more images were measured."] if len(known) > MOST_LOSSES else []),
        f"Whatever of {_count(len(copy.vms), 'VM')} runs at {source.name} is powered off. At {target.name}, where the "
        "group runs, nothing is touched.",
        f"Each image that left the line of {target.name} is demoted at {source.name}, discarded and copied again: "
        f"at most {_count(len(copy.images()), 'image')}, {gib:.1f} GiB over the line. One that follows already stays.",
        *_salvages(copy, source),
        f"Until an image is copied {target.name} has the only good copy of it, and it cannot be failed over.",
        "The run stops at the first error and waits for a person. Afterwards a failback brings the group home.",
    ]


def _salvages(copy: PlanCopy, source: Site) -> list[str]:
    ways = [choice.way for choice in copy.salvages().values()]
    says = {
        SalvageWay.EXPORT: f"saved to {copy.salvage_dir} there first, then discarded.",
        SalvageWay.COPY: "kept there first as a copy under a new name, not mirrored, then discarded. The copy takes "
        "room in the pool until somebody removes it: rbd rm, with the name that the run tells.",
        SalvageWay.WAIVE: "gone then.",
    }
    said = []
    for way, becomes in says.items():
        number = ways.count(way)
        of = "" if number == len(ways) else f" into {_count(number, 'image')}"
        if number:
            said.append(
                f"What {source.name} wrote{of} after contact was lost is {becomes} There is no way back from this."
            )
    return said


def _fenced(copy: PlanCopy, source: Site, target: Site) -> list[str]:
    shuts_out = copy.fence_rung >= FenceRung.SHUT_OUT
    wanted = FenceRung(copy.fence_rung)
    return [
        f"The plan wants rung {wanted.value}: {RUNG_WORDS[wanted]}.",
        *([SHUTS_OUT.format(site=source.name)] if shuts_out else []),
        *([LOCKS.format(site=source.name)] if copy.fence_rung >= FenceRung.LOCKED else []),
        f"Whatever of {_count(len(copy.vms), 'VM')} runs at {source.name} is powered off"
        + (
            "."
            if wanted < FenceRung.DEMOTED
            else f", then each of {_count(len(copy.images()), 'image')} is demoted there as soon as its own VM is off: "
            "nothing can write to it any more."
        ),
        f"At {target.name}, where the group runs, nothing is touched.",
        f"Nothing is discarded: what {source.name} wrote by itself stays in its images until they are made anew "
        "(Reprotect).",
        "The run stops at the first error and waits for a person.",
    ]


def consequences(copy: PlanCopy, source: Site, target: Site, kind: RunKind) -> list[str]:
    if kind is RunKind.FENCE:
        return _fenced(copy, source, target)
    if kind is RunKind.REPROTECT:
        return _returned(copy, source, target)
    images = copy.images()
    gib = sum(image.size_bytes for image in images) / 2**30
    stop = [vm.name for vm in sorted(copy.vms, key=lambda vm: -vm.priority)]
    said = [
        f"{_count(len(copy.vms), 'VM')} will be powered off at {source.name}, in this order: {_listed(stop)}. "
        "Their services are down until they run again.",
        f"{_count(len(images), 'image')} ({gib:.1f} GiB) will be writable at {target.name}, "
        f"and read-only at {source.name}.",
        f"They start at {target.name} in the opposite order, each as soon as its own images are primary there.",
        "Nothing is forced and nothing is deleted: each image is promoted only when its copy is shown to be whole.",
        "The run stops at the first error and waits for a person.",
    ]
    if kind is RunKind.FAILBACK:
        copies = _count(len(copy.vms), "copy", "copies")
        said.append(f"At the end the {copies} at {source.name} are terminated; their disks stay.")
    return said


class _Show:
    """The commands of each step."""

    def __init__(self, copy: PlanCopy, sites: dict[str, Site]) -> None:
        self.copy, self.sites = copy, sites
        self.documents = dict(
            CapturedDefinition.objects.filter(pk__in=[vm.definition_id for vm in copy.vms]).values_list("pk", "vm_xml")
        )

    def step(self, step: PlannedStep) -> schemas.PreviewStep:
        spec, vm = STEP_KINDS[step.kind], self.copy.vm(step.vm_key)
        image = self.copy.image(step.subject) if spec.subject == "image" else None
        return schemas.PreviewStep(
            key=step.key,
            kind=step.kind.value,
            title=spec.title,
            subject=image.source if image else vm.name,
            vm_name=vm.name,
            site=step.site,
            commands=self._commands(step, vm, image),
            needs=list(step.needs),
            gates=[gate.value for gate in step.gates_before],
            destructive=spec.destructive,
        )

    def _commands(self, step: PlannedStep, vm: VmCopy, image: ImageCopy | None) -> list[str]:
        site = self.sites[step.site]
        if step.kind in ROLE_ACTS and image:
            return [command_line(RbdCommands(site.ceph_user or None).act(ROLE_ACTS[step.kind], ref_of(image)))]
        if step.kind is StepKind.IMAGE_KEEP and image:
            return self._keep(site, image)
        if step.kind is StepKind.IMAGE_REGISTER and image:
            return self._register(site, vm, image)
        if step.kind is StepKind.VM_START:
            return self._start(site, vm)
        word = VM_ACTIONS.get(step.kind)
        number = self._one_id(site, vm)
        return [call_text("vm.action", word, number)] if word and number is not None else []

    def _keep(self, site: Site, image: ImageCopy) -> list[str]:
        """With all that is known of the name: its last part is made of the act's own number."""
        name = kept_name(image.name, "")
        shown = f"{name[:-KEPT_DIGITS]}({KEPT_DIGITS} digits of the act's number)"
        lines = one_line(RbdCommands(site.ceph_user or None).keep_copy(ref_of(image), name))
        return [lines.replace(name, shown)]

    def _one_id(self, site: Site, vm: VmCopy) -> int | None:
        if site.slug == self.copy.home_site:
            gone = VirtualMachine.objects.filter(pk=vm.key, gone_at__isnull=False).exists()
            return None if gone else vm.home_one_id
        return (
            VirtualMachine.objects.filter(site=site, marker=vm.marker, gone_at=None)
            .values_list("one_id", flat=True)
            .first()
        )

    def _register(self, site: Site, vm: VmCopy, image: ImageCopy) -> list[str]:
        datastore = self._datastore(site, image)
        if datastore is None or site.slug == self.copy.home_site:
            return []
        try:
            template = image_template(
                name=image.cloud_name, source=image.source, size_bytes=image.size_bytes, type_word=image.type_word,
                dev_prefix=image.dev_prefix, marker=vm.marker,
            )  # fmt: skip
        except TemplateError as error:
            raise Conflict(str(error), code="plan_impossible") from None
        return [call_text("image.allocate", template, datastore, True)]

    def _datastore(self, site: Site, image: ImageCopy) -> int | None:
        if self.copy.image_datastore_id is not None:
            return self.copy.image_datastore_id
        rows = SiteResource.objects.filter(site=site, kind=SiteResource.Kind.DATASTORE)
        fits = [
            row.one_id
            for row in rows
            if row.facts.get("pool") == image.pool and row.facts.get("type_word") == "IMAGE_DS"
        ]
        return fits[0] if len(fits) == 1 else None

    def _start(self, site: Site, vm: VmCopy) -> list[str]:
        number = self._one_id(site, vm)
        if number is not None:
            return [call_text("vm.action", "resume", number)]
        stand_ins = {image.disk_id: NOT_YET - image.disk_id for image in vm.images}
        networks: dict[int | str, int] = {home: peer for home, peer in self.copy.networks.items()}
        try:
            if site.slug == self.copy.home_site:
                there = Network.objects.filter(site=site, gone_at=None).values_list("one_id", "name")
                networks, _ = networks_at_home(self.documents[vm.definition_id], there)
            template = vm_template(
                self.documents[vm.definition_id],
                name=vm.name,
                image_ids=stand_ins,
                networks=networks,
                marker=vm.marker,
                home_marker=vm.home_marker,
            )
        except TemplateError as error:
            return [f"(cannot be built yet: {error})"]
        text = call_text("vm.allocate", template, False)
        for image in vm.images:
            text = text.replace(
                str(stand_ins[image.disk_id]), f"(the number that {image.source} gets when it is registered)"
            )
        return [text]


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _listed(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 12 else f"{', '.join(names[:12])} and {len(names) - 12} more"
