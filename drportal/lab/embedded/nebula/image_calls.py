"""one.image.* and one.imagepool.info."""

from __future__ import annotations

import re
from typing import Final

from drportal.lab.embedded.storage import StorageError

from . import images
from .calls import Caller, MethodTable, in_range
from .errors import ACTION, ALLOCATE, AUTHORIZATION, INTERNAL, NebulaError, check_name
from .images import Image
from .infrastructure import SYSTEM_DS, Datastore
from .syntax import Template, TemplateSyntaxError, parse_template
from .users import ADMIN, MANAGE, USE, Lock, authorize, check_lock, lock_level, may

IMAGE_CALLS = MethodTable()

# What of a sent template becomes a field of the record; the rest is kept in TEMPLATE.
_FIELDS: Final = ("NAME", "TYPE", "PERSISTENT", "SOURCE", "PATH", "FORMAT", "SIZE", "FS", "STATE", "DRIVER")


def _managed(caller: Caller, image_id: int, operation: str = MANAGE) -> Image:
    image = caller.state.image(image_id)
    authorize(caller.user, operation, "IMAGE", image_id, image.user.id)
    check_lock(caller.user, operation, "IMAGE", image_id, image.lock)
    return image


@IMAGE_CALLS.method("imagepool.info", "iii")
def imagepool_info(caller: Caller, _filter: int, start: int, end: int) -> str:
    visible = [image for image in caller.state.images.values() if may(caller.user, image.user.id)]
    return "<IMAGE_POOL>" + "".join(image.xml() for image in in_range(visible, start, end)) + "</IMAGE_POOL>"


@IMAGE_CALLS.method("image.info", "i|b")
def image_info(caller: Caller, image_id: int, _decrypt: bool = False) -> str:
    image = caller.state.image(image_id)
    authorize(caller.user, USE, "IMAGE", image_id, image.user.id)
    return image.xml()


@IMAGE_CALLS.method("image.allocate", "si|b")
def image_allocate(caller: Caller, text: str, datastore_id: int, skip_capacity_check: bool = False) -> int:
    datastore = caller.state.datastore(datastore_id)
    try:
        sent = parse_template(text)
    except TemplateSyntaxError:
        sent = Template()  # the server goes on, and then misses SIZE (measured)
    if "SOURCE" in sent and not caller.user.is_admin:
        text = f"User [{caller.user.id}] : Template includes a restricted attribute SOURCE."
        raise NebulaError(AUTHORIZATION, text)
    size_mb = _size_mb(sent)
    skip = skip_capacity_check and caller.user.is_admin
    if size_mb > datastore.free_mb and not skip and datastore.type != SYSTEM_DS:
        raise NebulaError(ACTION, "Not enough space in datastore")
    try:
        image = _record(caller, sent, datastore, size_mb)
    except ValueError as error:
        raise NebulaError(ALLOCATE, f"Error allocating a new image. {error}") from error
    caller.state.images[image.id] = image
    datastore.images.append(image.id)
    if not image.source:
        _make_in_datastore(caller, image)
    return image.id


def _size_mb(sent: Template) -> int:
    """Zero and negative sizes are accepted, as the server does (measured)."""
    text = sent.text("SIZE")
    if not re.fullmatch(r"-?\d+", text):
        raise NebulaError(INTERNAL, "Cannot parse image SIZE: Wrong number or missing SIZE attribute.")
    return int(text)


def _record(caller: Caller, sent: Template, datastore: Datastore, size_mb: int) -> Image:
    """Raises ValueError with the second half of the server's sentence."""
    state, name = caller.state, sent.text("NAME")
    check_name(name)
    kind = sent.text("TYPE", "OS").upper()
    if kind not in images.TYPES:
        raise ValueError(f"Unknown image type {kind}")
    source, path, image_format = sent.text("SOURCE"), sent.text("PATH"), sent.text("FORMAT")
    if source and path:
        raise ValueError("PATH and SOURCE cannot be both set.")
    if source and not image_format:
        raise ValueError("SOURCE needs FORMAT to be set.")
    if datastore.type == SYSTEM_DS:
        raise ValueError("New images can only be allocated in a files or image datastore.")
    for other in state.images.values():
        if other.name == name and other.user.id == caller.user.id:
            raise ValueError(f"NAME is already taken by IMAGE {other.id}.")
    kept = Template((key, value) for key, value in sent.items() if key not in _FIELDS)
    if "DEV_PREFIX" not in kept:
        kept.put("DEV_PREFIX", "sd")
    now = int(state.now)
    return Image(
        id=state.new_id("image"),
        user=caller.user,
        name=name,
        type=images.TYPES[kind],
        disk_type=datastore.disk_type,
        persistent=sent.text("PERSISTENT").upper() == "YES",
        regtime=now,
        modtime=now,
        source=source,
        path=path,
        format=image_format or "raw",
        size_mb=size_mb,
        datastore_id=datastore.id,
        datastore=datastore.name,
        template=kept,
    )


def _make_in_datastore(caller: Caller, image: Image) -> None:
    """No SOURCE: the datastore driver makes an empty image. It cannot copy a PATH: this site has no files to copy."""
    state = caller.state
    image.set_state(images.LOCKED, state.now)
    source = f"{state.pool}/one-{image.id}"

    def finish() -> None:
        try:
            if image.path:
                raise StorageError(f"Error copying image in the datastore: {image.path} not found")
            state.storage.create(source, image.size_mb * 1024 * 1024)
        except StorageError as error:
            image.template.put("ERROR", f"{state.stamp()} : {error}")
            image.set_state(images.ERROR, state.now)
        else:
            image.source = source
            image.set_state(images.READY, state.now)

    state.agenda.after(state.timings.image_s, finish)


@IMAGE_CALLS.method("image.delete", "i|b")
def image_delete(caller: Caller, image_id: int, force: bool = False) -> int:
    """Removes the RBD image behind the record, whoever made it; there is no "unregister only"."""
    image = _managed(caller, image_id)
    if image.vms:
        raise NebulaError(ACTION, f"Cannot delete image. There are {len(image.vms)} VMs using it.")
    state = caller.state
    image.set_state(images.DELETE, state.now)

    def finish() -> None:
        try:
            state.storage.remove(image.source)
        except StorageError:
            if not force:
                _deletion_failed(caller, image)
                return
        state.images.pop(image_id, None)
        state.datastores[image.datastore_id].images.remove(image_id)

    state.agenda.after(state.timings.image_s, finish)
    return image_id


def _deletion_failed(caller: Caller, image: Image) -> None:
    text = (
        "Error removing image from datastore. Retry the operation or manually remove image source  and run the delete "
        "--force operation to completely delete the image"
    )
    image.template.put("ERROR", f"{caller.state.stamp()} : {text}")
    image.set_state(images.ERROR, caller.state.now)


@IMAGE_CALLS.method("image.persistent", "ib")
def image_persistent(caller: Caller, image_id: int, persistent: bool) -> int:
    image = _managed(caller, image_id)
    if image.state in (images.USED, images.USED_PERS):
        raise image.refuse_in_state(f"Could not make image {'' if persistent else 'non-'}persistent")
    image.persistent = persistent
    return image_id


@IMAGE_CALLS.method("image.enable", "ib")
def image_enable(caller: Caller, image_id: int, enable: bool) -> int:
    """True on ERROR is the way out of it: back to READY."""
    image = _managed(caller, image_id)
    allowed = (images.READY, images.ERROR, images.DISABLED)
    if image.state not in allowed:
        raise image.refuse_in_state(f"Could not {'enable' if enable else 'disable'} image")
    image.set_state(images.READY if enable else images.DISABLED, caller.state.now)
    return image_id


@IMAGE_CALLS.method("image.lock", "iib")
def image_lock(caller: Caller, image_id: int, level: int, _test: bool) -> int:
    image = caller.state.image(image_id)
    authorize(caller.user, MANAGE, "IMAGE", image_id, image.user.id)
    now = int(caller.state.now)
    image.lock = Lock(lock_level(level), caller.user.id, now, caller.state.request_id())
    return image_id


@IMAGE_CALLS.method("image.unlock", "i")
def image_unlock(caller: Caller, image_id: int) -> int:
    image = caller.state.image(image_id)
    authorize(caller.user, MANAGE, "IMAGE", image_id, image.user.id)
    image.lock = None
    return image_id


@IMAGE_CALLS.method("image.update", "is|i")
def image_update(caller: Caller, image_id: int, text: str, append: int = 0) -> int:
    """`append` 1 merges, 0 replaces. Fields of the record in the text, SOURCE among them, are ignored silently."""
    image = _managed(caller, image_id)
    sent = parse_or_refuse(text)
    for name in _FIELDS:
        sent.pop(name)
    if append == 1:
        image.template.merge(sent)
    else:
        image.template = sent
    return image_id


@IMAGE_CALLS.method("image.rename", "is")
def image_rename(caller: Caller, image_id: int, name: str) -> int:
    image = _managed(caller, image_id)
    try:
        check_name(name)
    except ValueError as error:
        raise NebulaError(ACTION, str(error)) from error
    for other in caller.state.images.values():
        if other.name == name and other.user.id == image.user.id and other.id != image_id:
            text = f"image cannot be renamed to {name} because it collides with image {other.id}"
            raise NebulaError(ACTION, text)
    image.name = name
    return image_id


@IMAGE_CALLS.method("image.chown", "iii")
def image_chown(caller: Caller, image_id: int, user_id: int, gid: int) -> int:
    """-1 leaves the user or the group as it is."""
    image = _managed(caller, image_id, ADMIN)
    user = caller.state.users.get(user_id) if user_id >= 0 else image.user
    group_id = gid if gid >= 0 else image.user.gid
    images.make_owned(image, user.id, group_id, user.name, caller.state.users.group_name(group_id))
    return image_id


def parse_or_refuse(text: str) -> Template:
    try:
        return parse_template(text)
    except TemplateSyntaxError as error:
        raise NebulaError(INTERNAL, str(error)) from error
