"""From a template to a virtual machine: capacity, NICs with leases, disks with images, CONTEXT.

Order as measured on 7.5.80: capacity, then NICs, then disks; the first thing that is wrong is the answer, and nothing
stays taken.
"""

from __future__ import annotations

from typing import Final

from .errors import AUTHORIZATION, INTERNAL, NebulaError, check_name
from .images import Image
from .state import State
from .syntax import Template, Vector
from .users import USE, User, authorize, check_lock
from .vms import HOLD, PENDING, VirtualMachine

# What stays in TEMPLATE; anything else the caller sends goes to USER_TEMPLATE, leftovers of another VM included.
_KNOWN: Final = frozenset(
    [
        "CPU",
        "VCPU",
        "MEMORY",
        "CPU_MODEL",
        "OS",
        "FEATURES",
        "INPUT",
        "GRAPHICS",
        "VIDEO",
        "RAW",
        "TPM",
        "TOPOLOGY",
        "NIC_DEFAULT",
        "DISK",
        "NIC",
        "NIC_ALIAS",
        "PCI",
        "CONTEXT",
        "TM_MAD_SYSTEM",
        "TEMPLATE_ID",
        "MEMORY_MAX",
        "VCPU_MAX",
        "MEMORY_RESIZE_MODE",
        "EMULATOR",
        "NUMA_NODE",
        "CPU_COST",
        "MEMORY_COST",
        "DISK_COST",
        "SUBMIT_ON_HOLD",
    ]
)
_RESTRICTED: Final = (("NIC", "MAC"), ("DISK", "ORIGINAL_SIZE"), ("CONTEXT", "FILES"))

_ETH_KEYS: Final = [
    "DNS",
    "EXTERNAL",
    "GATEWAY",
    "IP",
    "IP6",
    "IP6_GATEWAY",
    "IP6_METHOD",
    "IP6_METRIC",
    "IP6_PREFIX_LENGTH",
    "IP6_ULA",
    "MAC",
    "MASK",
    "METHOD",
    "METRIC",
    "MTU",
    "NETWORK",
    "ROUTES",
    "SEARCH_DOMAIN",
    "VLAN_ID",
    "VROUTER_IP",
    "VROUTER_IP6",
    "VROUTER_MANAGEMENT",
]


def define_vm(state: State, user: User, sent: Template, *, hold: bool) -> VirtualMachine:
    """Raises NebulaError; then no image and no address is held by the VM that was not made."""
    _check_restricted(user, sent)
    template = Template((name, value) for name, value in sent.items() if name in _KNOWN)
    user_template = Template((name, value) for name, value in sent.items() if name not in _KNOWN and name != "NAME")
    _check_capacity(template)
    vm_id = state.new_id("vm")
    name = _vm_name(sent, vm_id)
    try:
        nics = _nics(state, user, template, vm_id)
        disks = _disks(state, user, template, vm_id)
    except NebulaError:
        release(state, vm_id)
        raise
    template.put("NIC", *nics)
    template.put("DISK", *disks)
    _complete(state, template, vm_id, hold=hold)
    first_state = HOLD if hold else PENDING
    return VirtualMachine(vm_id, user, name, template, user_template, int(state.now), first_state)


def release(state: State, vm_id: int, *, failed: bool = False) -> None:
    """Give back the images and addresses of a VM."""
    for image in state.images.values():
        if vm_id in image.vms:
            image.release(vm_id, state.now, failed=failed)
    for network in state.networks.values():
        network.release(vm_id)


def _check_restricted(user: User, sent: Template) -> None:
    if user.is_admin:
        return
    for vector_name, key in _RESTRICTED:
        if any(key in vector for vector in sent.vectors(vector_name)):
            text = f"User [{user.id}] : VM Template includes a restricted attribute {key}."
            raise NebulaError(AUTHORIZATION, text)


def _vm_name(sent: Template, vm_id: int) -> str:
    name = sent.text("NAME") or f"one-{vm_id}"
    try:
        check_name(name)
    except ValueError as error:
        raise NebulaError(INTERNAL, str(error)) from error
    return name


def _check_capacity(template: Template) -> None:
    try:
        if float(template.text("CPU")) <= 0:
            raise ValueError
    except ValueError as error:
        raise NebulaError(INTERNAL, "CPU attribute must be a positive float or integer value.") from error
    for name, needed in (("MEMORY", True), ("VCPU", False)):
        text = template.text(name)
        if (needed or text) and not (text.isdigit() and int(text) > 0):
            raise NebulaError(INTERNAL, f"{name} attribute must be a positive integer value.")


def _nics(state: State, user: User, template: Template, vm_id: int) -> list[Vector]:
    defaults: Vector = {}
    for vector in template.vectors("NIC_DEFAULT"):
        defaults |= vector
    nics: list[Vector] = []
    for number, sent in enumerate(template.vectors("NIC")):
        network_id = _network_id(state, user, sent)
        if network_id is None:
            nics.append({**defaults, **sent, "NIC_ID": str(number), "NAME": f"NIC{number}"})
            continue
        network = state.networks[network_id]
        lease = network.lease(vm_id, sent.get("IP", ""), sent.get("MAC", ""))
        own = {key: network.template.text(key) for key in ("BRIDGE", "BRIDGE_TYPE", "VN_MAD", "SECURITY_GROUPS")}
        inherited = {key: network.template.text(key) for key in ("DNS", "GATEWAY")}
        identity = {
            "AR_ID": str(lease.ar_id),
            "CLUSTER_ID": "0",
            "IP": lease.ip,
            "MAC": lease.mac,
            "NAME": f"NIC{number}",
            "NETWORK": network.name,
            "NETWORK_ID": str(network_id),
            "NIC_ID": str(number),
            "TARGET": f"one-{vm_id}-{number}",
        }
        # What the caller sends as GATEWAY or DNS is kept, also when it belongs to another network (measured).
        nics.append({**defaults, **inherited, **sent, **own, **identity})
    return nics


def _network_id(state: State, user: User, sent: Vector) -> int | None:
    if "NETWORK_ID" in sent:
        text = sent["NETWORK_ID"]
        if not text.isdigit() or int(text) not in state.networks:
            raise NebulaError(INTERNAL, f"Virtual network with ID: {text} does not exist")
        return int(text)
    if "NETWORK" not in sent:
        return None
    owner = state.users.get(0).id if sent.get("NETWORK_UNAME") == "oneadmin" else user.id
    for network in state.networks.values():
        # Names are looked up among the caller's own networks; the lab's networks all belong to oneadmin.
        if network.name == sent["NETWORK"] and owner == 0:
            return network.id
    raise NebulaError(
        INTERNAL,
        f"User {owner} does not own a network with name: {sent['NETWORK']} . "
        "Set NETWORK_UNAME or NETWORK_UID of owner in NIC.",
    )


def _disks(state: State, user: User, template: Template, vm_id: int) -> list[Vector]:
    disks: list[Vector] = []
    targets: set[str] = {disk["TARGET"] for disk in template.vectors("DISK") if disk.get("TARGET")}
    for number, sent in enumerate(template.vectors("DISK")):
        try:
            image = _image_of(state, user, sent)
            if image is None:
                disk = _volatile_disk(state, sent, number)
            else:
                disk = _image_disk(state, user, image, sent, number, vm_id)
        except NebulaError as error:
            if error.code == AUTHORIZATION:
                raise
            raise NebulaError(error.code, f"DISK {number}: {error.text}") from error
        if system := template.text("TM_MAD_SYSTEM"):
            disk["TM_MAD_SYSTEM"] = system
        if not disk.get("TARGET"):
            disk["TARGET"] = _free_target(disk["DEV_PREFIX"], targets)
            targets.add(disk["TARGET"])
        disks.append(disk)
    return disks


def _image_of(state: State, user: User, sent: Vector) -> Image | None:
    """IMAGE_ID wins over IMAGE, SOURCE and CLONE in the same DISK, silently (measured)."""
    if "IMAGE_ID" in sent:
        text = sent["IMAGE_ID"]
        if not text.isdigit() or int(text) not in state.images:
            raise NebulaError(INTERNAL, f"Image with ID: {text} does not exist")
        return state.images[int(text)]
    if "IMAGE" not in sent:
        return None
    for image in state.images.values():
        if image.name == sent["IMAGE"] and image.user.name == sent.get("IMAGE_UNAME", user.name):
            return image
    raise NebulaError(
        INTERNAL,
        f"User {user.id} does not own an image with name: {sent['IMAGE']} . "
        "Set IMAGE_UNAME or IMAGE_UID of owner in DISK.",
    )


def _image_disk(state: State, user: User, image: Image, sent: Vector, number: int, vm_id: int) -> Vector:
    authorize(user, USE, "IMAGE", image.id, image.user.id)
    check_lock(user, USE, "IMAGE", image.id, image.lock)
    if image.persistent and sent.get("SIZE", str(image.size_mb)) != str(image.size_mb):
        raise NebulaError(INTERNAL, f"SIZE attribute is not supported for persistent image [{image.id}].")
    image.acquire(vm_id, state.now)
    datastore = state.datastores[image.datastore_id]
    disk = {key: sent[key] for key in sent if key not in ("IMAGE", "IMAGE_UNAME", "IMAGE_UID", "SOURCE", "CLONE")}
    disk.setdefault("DEV_PREFIX", image.template.text("DEV_PREFIX", "sd"))
    disk.setdefault("DRIVER", datastore.template.text("DRIVER", "raw"))
    disk |= _ceph_attributes(datastore.template)
    disk |= {
        "CLONE": "NO" if image.persistent else "YES",
        "CLONE_TARGET": datastore.template.text("CLONE_TARGET"),
        "CLUSTER_ID": "0",
        "DATASTORE": datastore.name,
        "DATASTORE_ID": str(datastore.id),
        "DISK_ID": str(number),
        "DISK_SNAPSHOT_TOTAL_SIZE": "0",
        "DISK_TYPE": datastore.template.text("DISK_TYPE"),
        "FORMAT": image.format,
        "IMAGE": image.name,
        "IMAGE_ID": str(image.id),
        "IMAGE_STATE": str(image.state),
        "LN_TARGET": datastore.template.text("LN_TARGET"),
        "ORIGINAL_SIZE": str(image.size_mb),
        "READONLY": sent.get("READONLY", "NO"),
        "SAVE": "YES" if image.persistent else "NO",
        "SIZE": sent.get("SIZE", str(image.size_mb)),
        "SOURCE": image.source,
        "TM_MAD": datastore.tm_mad,
        "TYPE": datastore.template.text("DISK_TYPE"),
    }
    if image.persistent:
        disk["PERSISTENT"] = "YES"
    return disk


def _volatile_disk(state: State, sent: Vector, number: int) -> Vector:
    if not sent.get("SIZE", "").isdigit():
        raise NebulaError(INTERNAL, "SIZE attribute is needed for a volatile disk.")
    disk = dict(sent)
    disk.setdefault("DEV_PREFIX", "sd")
    disk.setdefault("FORMAT", "raw")
    disk.setdefault("TYPE", "fs")
    return disk | {"DISK_ID": str(number), "CLUSTER_ID": "0", "DRIVER": disk["FORMAT"], "POOL_NAME": state.pool}


def place_volatile_disks(state: State, vm: VirtualMachine, datastore_id: int) -> None:
    """A volatile disk learns its datastore when the VM is placed."""
    datastore = state.datastores[datastore_id]
    for disk in vm.template.vectors("DISK"):
        if "IMAGE_ID" not in disk:
            disk |= _ceph_attributes(datastore.template)
            disk |= {"DATASTORE": datastore.name, "DATASTORE_ID": str(datastore.id), "TM_MAD": datastore.tm_mad}
            disk["DISK_TYPE"] = datastore.template.text("DISK_TYPE")


def _ceph_attributes(template: Template) -> Vector:
    names = ("ALLOW_ORPHANS", "CEPH_HOST", "CEPH_SECRET", "CEPH_USER", "PERSISTENT_SNAPSHOTS", "POOL_NAME")
    return {name: template.text(name) for name in names if name in template}


def _free_target(prefix: str, targets: set[str]) -> str:
    for letter in "abcdefghijklmnopqrstuvwxyz":
        if prefix + letter not in targets:
            return prefix + letter
    raise NebulaError(INTERNAL, "Too many disks.")


def _complete(state: State, template: Template, vm_id: int, *, hold: bool) -> None:
    """What the server adds by itself."""
    disks, nics = template.vectors("DISK"), template.vectors("NIC")
    os = (template.vectors("OS") or [{}])[0]
    os.setdefault("UUID", state.new_uuid())
    _set_boot_order(os.get("BOOT", ""), disks, nics)
    template.put("OS", os)
    template.put("VMID", str(vm_id))
    if hold:
        template.put("SUBMIT_ON_HOLD", "YES")
    requirements = "!(PIN_POLICY = PINNED)"
    if disks or nics:
        requirements = "(CLUSTER_ID = 0) & " + requirements
        system = template.text("TM_MAD_SYSTEM")
        wanted = '("CLUSTERS/ID" @> 0)' + (f' & (TM_MAD = "{system}")' if system else "")
        template.put("AUTOMATIC_DS_REQUIREMENTS", wanted)
        template.put("AUTOMATIC_NIC_REQUIREMENTS", '("CLUSTERS/ID" @> 0)')
    template.put("AUTOMATIC_REQUIREMENTS", requirements)
    if nics:
        rule = {"PROTOCOL": "ALL", "SECURITY_GROUP_ID": "0", "SECURITY_GROUP_NAME": "default"}
        template.put("SECURITY_GROUP_RULE", {**rule, "RULE_TYPE": "OUTBOUND"}, {**rule, "RULE_TYPE": "INBOUND"})
    _complete_context(state, template, len(disks), nics)


def _set_boot_order(boot: str, disks: list[Vector], nics: list[Vector]) -> None:
    devices = {f"disk{disk['DISK_ID']}": disk for disk in disks} | {f"nic{nic['NIC_ID']}": nic for nic in nics}
    for order, word in enumerate(boot.split(","), start=1):
        if word.strip() in devices:
            devices[word.strip()]["ORDER"] = str(order)


def _complete_context(state: State, template: Template, disk_id: int, nics: list[Vector]) -> None:
    """NETWORK=YES writes ETHn_* from the NICs; with no NIC the addresses that were sent stay (measured)."""
    contexts = template.vectors("CONTEXT")
    if not contexts:
        return
    context = contexts[0]
    if context.get("NETWORK", "").upper() == "YES":
        for number, nic in enumerate(nics):
            network = state.networks.get(int(nic.get("NETWORK_ID", -1)))
            values = {key: nic.get(key, "") for key in ("DNS", "GATEWAY", "IP", "MAC")}
            if network is not None:
                values["NETWORK"] = network.template.text("NETWORK_ADDRESS")
                values["MASK"] = network.template.text("NETWORK_MASK")
            context |= {f"ETH{number}_{key}": values.get(key, "") for key in _ETH_KEYS}
    context["DISK_ID"] = str(disk_id)
    context["TARGET"] = "hda"
    template.put("CONTEXT", context)
