"""one.vm.*, one.vmpool.* and one.template.*."""

from __future__ import annotations

from typing import Final

from . import vms
from .calls import Caller, MethodTable, in_range
from .definition import define_vm
from .errors import ACTION, ALLOCATE, INTERNAL, XML_RPC_API, NebulaError, check_name
from .image_calls import parse_or_refuse
from .infrastructure import SYSTEM_DS
from .placement import Place, Unplaceable, check_fits, find_place
from .syntax import Template
from .templates import VmTemplate
from .users import ADMIN, MANAGE, USE, Lock, authorize, check_lock, lock_level, may
from .vms import VirtualMachine

VM_CALLS = MethodTable()

_ANY_STATE: Final = -2
_NOT_DONE: Final = -1


def _managed(caller: Caller, vm_id: int, operation: str = MANAGE) -> VirtualMachine:
    vm = caller.state.vm(vm_id)
    authorize(caller.user, operation, "VM", vm_id, vm.user.id)
    check_lock(caller.user, operation, "VM", vm_id, vm.lock)
    return vm


def _chosen(caller: Caller, who: int, start: int, end: int, state: int, search: str) -> list[VirtualMachine]:
    if search:
        raise NebulaError(INTERNAL, "JSON query search is not supported by the SQL backend")
    found = [vm for vm in caller.state.vms.values() if may(caller.user, vm.user.id)]
    if who == -3 or who >= 0:
        owner = caller.user.id if who == -3 else who
        found = [vm for vm in found if vm.user.id == owner]
    if state == _NOT_DONE:
        found = [vm for vm in found if vm.state != vms.DONE]
    elif state != _ANY_STATE:
        found = [vm for vm in found if vm.state == state]
    return in_range(found, start, end)


@VM_CALLS.method("vmpool.info", "iiii|s")
def vmpool_info(caller: Caller, who: int, start: int, end: int, state: int, search: str = "") -> str:
    chosen = _chosen(caller, who, start, end, state, search)
    return "<VM_POOL>" + "".join(vm.light_xml() for vm in chosen) + "</VM_POOL>"


@VM_CALLS.method("vmpool.infoextended", "iiii|s")
def vmpool_infoextended(caller: Caller, who: int, start: int, end: int, state: int, search: str = "") -> str:
    chosen = _chosen(caller, who, start, end, state, search)
    return "<VM_POOL>" + "".join(vm.xml() for vm in chosen) + "</VM_POOL>"


@VM_CALLS.method("vmpool.infoset", "sb")
def vmpool_infoset(caller: Caller, ids: str, extended: bool) -> str:
    """Unknown ids are left out without a word."""
    wanted = {int(word) for word in ids.split(",") if word.strip().isdigit()}
    chosen = [vm for vm in _chosen(caller, -2, -1, -1, _ANY_STATE, "") if vm.id in wanted]
    return "<VM_POOL>" + "".join(vm.xml() if extended else vm.light_xml() for vm in chosen) + "</VM_POOL>"


@VM_CALLS.method("vm.info", "i|b")
def vm_info(caller: Caller, vm_id: int, _decrypt: bool = False) -> str:
    vm = caller.state.vm(vm_id)
    authorize(caller.user, USE, "VM", vm_id, vm.user.id)
    return vm.xml()


@VM_CALLS.method("vm.allocate", "s|b")
def vm_allocate(caller: Caller, text: str, hold: bool = False) -> int:
    return _allocate(caller, parse_or_refuse(text), hold=hold)


def _allocate(caller: Caller, template: Template, *, hold: bool) -> int:
    """VM names need not be unique."""
    vm = define_vm(caller.state, caller.user, template, hold=hold)
    caller.state.add_vm(vm)
    if not hold:
        caller.lifecycle.make_pending(vm)
    return vm.id


@VM_CALLS.method("vm.action", "si")
def vm_action(caller: Caller, action: str, vm_id: int) -> int:
    vm = _managed(caller, vm_id)
    caller.lifecycle.act(caller.user, vm, action.lower())
    return vm_id


@VM_CALLS.method("vm.deploy", "iibi|s")
def vm_deploy(caller: Caller, vm_id: int, host_id: int, enforce: bool, datastore_id: int, _extra: str = "") -> int:
    """`datastore_id` -1: the server chooses. Without `enforce` room is not looked at."""
    vm, state = _managed(caller, vm_id, ADMIN), caller.state
    host = state.host(host_id)
    if vm.state not in (vms.PENDING, vms.HOLD):
        raise NebulaError(ACTION, f"Deploy action is not available for state {vm.state_name}")
    if enforce:
        check_fits(state, vm, host)
    if datastore_id >= 0:
        datastore = state.datastore(datastore_id)
        if datastore.type != SYSTEM_DS:
            raise NebulaError(INTERNAL, f"Trying to use a non-system datastore [{datastore_id}]")
    else:
        try:
            datastore = find_place(state, vm).datastore
        except Unplaceable as error:
            raise NebulaError(ACTION, str(error)) from error
    caller.lifecycle.deploy(vm, Place(host, datastore))
    return vm_id


@VM_CALLS.method("vm.recover", "ii")
def vm_recover(caller: Caller, vm_id: int, operation: int) -> int:
    if operation not in range(6):
        raise NebulaError(ACTION, "Wrong recovery operation code")
    vm = _managed(caller, vm_id, ADMIN)
    caller.lifecycle.recover(vm, operation)
    return vm_id


@VM_CALLS.method("vm.lock", "iib")
def vm_lock(caller: Caller, vm_id: int, level: int, _test: bool) -> int:
    vm = caller.state.vm(vm_id)
    authorize(caller.user, MANAGE, "VM", vm_id, vm.user.id)
    vm.lock = Lock(lock_level(level), caller.user.id, int(caller.state.now), caller.state.request_id())
    vm.changed()
    return vm_id


@VM_CALLS.method("vm.unlock", "i")
def vm_unlock(caller: Caller, vm_id: int) -> int:
    vm = caller.state.vm(vm_id)
    authorize(caller.user, MANAGE, "VM", vm_id, vm.user.id)
    vm.lock = None
    vm.changed()
    return vm_id


@VM_CALLS.method("vm.update", "is|i")
def vm_update(caller: Caller, vm_id: int, text: str, append: int = 0) -> int:
    """USER_TEMPLATE only; `append` 1 merges, 0 replaces."""
    vm = _managed(caller, vm_id)
    sent = parse_or_refuse(text)
    if append == 1:
        vm.user_template.merge(sent)
    else:
        vm.user_template = sent
    vm.changed()
    return vm_id


@VM_CALLS.method("templatepool.info", "iii")
def templatepool_info(caller: Caller, _who: int, start: int, end: int) -> str:
    visible = [template for template in caller.state.templates.values() if may(caller.user, template.user.id)]
    inner = "".join(template.xml() for template in in_range(visible, start, end))
    return f"<VMTEMPLATE_POOL>{inner}</VMTEMPLATE_POOL>"


@VM_CALLS.method("template.allocate", "s")
def template_allocate(caller: Caller, text: str) -> int:
    state, sent = caller.state, parse_or_refuse(text)
    name = sent.text("NAME")
    try:
        check_name(name)
    except ValueError as error:
        raise NebulaError(INTERNAL, str(error)) from error
    for other in state.templates.values():
        if other.name == name and other.user.id == caller.user.id:
            raise NebulaError(INTERNAL, f"NAME is already taken by TEMPLATE {other.id}.")
    template = VmTemplate(state.new_id("template"), caller.user, name, int(state.now), sent)
    state.templates[template.id] = template
    return template.id


@VM_CALLS.method("template.info", "i|bb")
def template_info(caller: Caller, template_id: int, _extended: bool = False, _decrypt: bool = False) -> str:
    template = caller.state.template(template_id)
    authorize(caller.user, USE, "TEMPLATE", template_id, template.user.id)
    return template.xml()


@VM_CALLS.method("template.instantiate", "i|sbsb")
def template_instantiate(
    caller: Caller, template_id: int, name: str = "", hold: bool = False, extra: str = "", persistent: bool = False
) -> int:
    """`extra` wins over the template. `persistent` (a copy of every disk) is not offered by the lab."""
    stored = caller.state.template(template_id)
    authorize(caller.user, USE, "TEMPLATE", template_id, stored.user.id)
    check_lock(caller.user, USE, "TEMPLATE", template_id, stored.lock)
    if persistent:
        raise NebulaError(XML_RPC_API, "This laboratory does not copy disks: instantiate with persistent = false.")
    template = stored.template.copy()
    if extra.strip():
        template.merge(parse_or_refuse(extra))
    template.put("NAME", name or f"{stored.name}-{template_id}")
    template.put("TEMPLATE_ID", str(template_id))
    try:
        return _allocate(caller, template, hold=hold)
    except NebulaError as error:
        if error.code != INTERNAL:
            raise
        text = f"Error allocating a new virtual machine template. {error.text}"
        raise NebulaError(ALLOCATE, text) from error
