"""Everything one front end knows. No behaviour beyond looking things up; the calls and the life cycle work on it."""

from __future__ import annotations

import random
import time
import uuid
from dataclasses import dataclass, field

from drportal.lab.embedded.storage import Storage

from .agenda import Agenda, Timings
from .errors import no_such
from .faults import Faults
from .images import Image
from .infrastructure import Datastore, Host
from .networks import Network
from .templates import VmTemplate
from .users import User, Users
from .vms import VirtualMachine


@dataclass(slots=True)
class Placed:
    """What is taken at a host: CPU in hundredths of a core, memory in KiB; ``needs``: the same of each VM."""

    needs: dict[int, tuple[int, int]] = field(default_factory=dict)
    cpu: int = 0
    memory_kb: int = 0

    def take(self, vm: VirtualMachine) -> None:
        self.needs[vm.id] = vm.cpu, vm.memory_kb
        self.cpu, self.memory_kb = self.cpu + vm.cpu, self.memory_kb + vm.memory_kb

    def give_back(self, vm_id: int) -> None:
        cpu, memory_kb = self.needs.pop(vm_id, (0, 0))
        self.cpu, self.memory_kb = self.cpu - cpu, self.memory_kb - memory_kb


class State:
    def __init__(self, name: str, pool: str, agenda: Agenda, timings: Timings, storage: Storage, seed: int) -> None:
        self.name = name
        self.pool = pool
        self.agenda = agenda
        self.timings = timings
        self.storage = storage
        self.random = random.Random(f"{seed}/{name}")
        self.faults = Faults()
        self.users = Users([])
        self.datastores: dict[int, Datastore] = {}
        self.hosts: dict[int, Host] = {}
        self.networks: dict[int, Network] = {}
        self.images: dict[int, Image] = {}
        self.vms: dict[int, VirtualMachine] = {}
        self.templates: dict[int, VmTemplate] = {}
        self.endpoint = ""
        self._next: dict[str, int] = {}
        self._placed: dict[int, Placed] = {}
        self._changed: set[int] = set()  # VMs that may be placed otherwise than is written in ``_placed``

    @property
    def now(self) -> float:
        return self.agenda.now

    def stamp(self) -> str:
        """The date in the server's messages, in UTC: "Mon Nov 23 02:23:40 2026"."""
        return time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(self.now))

    def new_id(self, kind: str) -> int:
        """Never given twice, also not after the object is gone."""
        taken = self._next.get(kind, 0)
        self._next[kind] = taken + 1
        return taken

    def reserve_id(self, kind: str, number: int) -> None:
        self._next[kind] = max(self._next.get(kind, 0), number + 1)

    def new_uuid(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def request_id(self) -> int:
        return self.random.randrange(10_000)

    def image(self, image_id: int) -> Image:
        if image_id not in self.images:
            raise no_such("image", image_id)
        return self.images[image_id]

    def vm(self, vm_id: int) -> VirtualMachine:
        if vm_id not in self.vms:
            raise no_such("virtual machine", vm_id)
        return self.vms[vm_id]

    def template(self, template_id: int) -> VmTemplate:
        if template_id not in self.templates:
            raise no_such("virtual machine template", template_id)
        return self.templates[template_id]

    def network(self, network_id: int) -> Network:
        if network_id not in self.networks:
            raise no_such("virtual network", network_id)
        return self.networks[network_id]

    def datastore(self, datastore_id: int) -> Datastore:
        if datastore_id not in self.datastores:
            raise no_such("datastore", datastore_id)
        return self.datastores[datastore_id]

    def host(self, host_id: int) -> Host:
        if host_id not in self.hosts:
            raise no_such("host", host_id)
        return self.hosts[host_id]

    def add_vm(self, vm: VirtualMachine) -> None:
        self.vms[vm.id] = vm
        vm.note_changes_in(self._changed)

    def placed(self, host_id: int) -> Placed:
        """Kept, and brought up to the VMs that changed: for each VM of thousands it is asked where there is room."""
        for vm_id in self._changed:
            for host in self._placed.values():
                host.give_back(vm_id)
            at = self.vms[vm_id].host_id
            if at is not None:
                self._placed.setdefault(at, Placed()).take(self.vms[vm_id])
        self._changed.clear()
        return self._placed.setdefault(host_id, Placed())

    def admin(self) -> User:
        return self.users.get(0)
