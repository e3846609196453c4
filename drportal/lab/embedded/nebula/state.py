"""Everything one front end knows. No behaviour beyond looking things up; the calls and the life cycle work on it."""

from __future__ import annotations

import random
import time
import uuid

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

    def placed(self, host_id: int) -> tuple[list[int], int, int]:
        """(VM ids, CPU in hundredths of a core, memory in KiB) taken at a host."""
        vms = [vm for vm in self.vms.values() if vm.host_id == host_id]
        return sorted(vm.id for vm in vms), sum(vm.cpu for vm in vms), sum(vm.memory_kb for vm in vms)

    def admin(self) -> User:
        return self.users.get(0)
