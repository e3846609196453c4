"""The image's record in OpenNebula at the target.

The record is kept for the next time and never deleted: deleting it would remove the RBD image.
"""

from __future__ import annotations

from drportal.drivers.base import Answer
from drportal.drivers.base_cloud import CloudImage
from drportal.drivers.opennebula_templates import TemplateError, image_template
from drportal.recovery.acts.base import Deed, Probe, Task, call_text, cannot_tell, conflict, done, not_done
from drportal.recovery.world import World

USABLE = frozenset({"READY", "USED_PERS"})
PASSING = frozenset({"INIT", "LOCKED", "LOCKED_USED_PERS"})


class Register:
    only_checks = False

    def patience_s(self, world: World) -> float:
        return world.pace.verify_patience_s

    async def probe(self, world: World, task: Task) -> Probe:
        image, end = task.one_image, task.end
        records, answer = await end.image_records(image)
        if len(records) > 1:
            ids = ", ".join(str(record.image_id) for record in records)
            return conflict(
                f"{end.name} has {len(records)} image records on {image.source} ({ids}). Nothing was sent. "
                "Leave one; unregister the others.",
                answer,
            )
        if records:
            return _judged(task, records[0], answer)
        datastore = await _datastore_id(world, task)
        if datastore is None:
            return conflict(
                f"{end.name} has not exactly one Ceph image datastore on pool {image.pool}. "
                "Nothing was sent. Name the datastore in the plan.",
                answer,
            )
        try:
            template = image_template(
                name=image.cloud_name,
                source=image.source,
                size_bytes=image.size_bytes,
                type_word=image.type_word,
                dev_prefix=image.dev_prefix,
                marker=task.vm.marker,
            )
        except TemplateError as error:
            return conflict(f"{error} Nothing was sent.", answer)
        deed = Deed(
            call_text("image.allocate", template, datastore, True),
            end.host,
            lambda _: _answer(end.cloud.image_allocate(template, datastore)),
        )
        return not_done(f"{end.name} has no image record on {image.source}.", deed, answer)


def _judged(task: Task, record: CloudImage, answer: Answer) -> Probe:
    image, end = task.one_image, task.end
    if not record.persistent:
        return conflict(
            f"Image {record.image_id} at {end.name} stands for {image.source} but is not persistent: a VM "
            "would run on a copy. "
            f"Nothing was sent. Make it persistent there.",
            answer,
        )
    if record.state_word in USABLE:
        return done(
            f"Image {record.image_id} at {end.name} stands for {image.source}, persistent, {record.state_word}.", answer
        )
    if record.state_word == "ERROR" and not record.vm_ids:
        deed = Deed(
            call_text("image.enable", record.image_id, True),
            end.host,
            lambda _: end.cloud.image_enable(record.image_id),
        )
        return not_done(
            f"Image {record.image_id} at {end.name} is in state ERROR and unused: it can be enabled again.",
            deed,
            answer,
        )
    if record.state_word in PASSING:
        return cannot_tell(f"Image {record.image_id} at {end.name} is {record.state_word}; that passes.", answer)
    return conflict(
        f"Image {record.image_id} at {end.name} is {record.state_word}. Nothing was sent. Look at it in OpenNebula.",
        answer,
    )


async def _datastore_id(world: World, task: Task) -> int | None:
    """The plan's datastore at the peer, else the only enabled Ceph image datastore of the pool."""
    if world.plan.image_datastore_id is not None and task.end.slug != world.plan.home_site:
        return world.plan.image_datastore_id
    reading = await task.end.everything(10.0)
    fits = [
        ds
        for ds in reading.datastores
        if ds.type_word == "IMAGE_DS" and ds.tm_mad == "ceph" and ds.pool == task.one_image.pool and ds.enabled
    ]
    return fits[0].datastore_id if len(fits) == 1 else None


async def _answer(allocate: object) -> Answer:
    _, answer = await allocate  # type: ignore[misc]
    assert isinstance(answer, Answer)
    return answer
