"""One OpenNebula front end of the lab: the model, its calls, its faults and its endpoint put together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from drportal.lab.embedded.storage import Storage

from . import faults, images, vms
from .agenda import Agenda, Timings
from .calls import Caller, MethodTable
from .definition import define_vm
from .errors import NebulaError, NebulaFault
from .faults import Option
from .image_calls import IMAGE_CALLS
from .images import Image
from .infrastructure import HOST_ERROR, HOST_MONITORED, HOST_OFFLINE, Host, default_datastores
from .lifecycle import Lifecycle
from .networks import NetworkSpec, default_networks, make_network
from .placement import find_place
from .site_calls import SITE_CALLS
from .state import State
from .syntax import Template
from .users import User, Users
from .vm_calls import VM_CALLS
from .xmlrpc import PATH, HttpEndpoint, decode_call, encode_failure, encode_fault, encode_success

_log = logging.getLogger(__name__)

_TICK_S = 0.05
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Call:
    """A call as the site saw it; `outcome` is "ok", an error text, or "refused by the lab"."""

    at: float
    user: str
    method: str
    args: tuple[object, ...]
    outcome: str


class NebulaSite:
    """A front end. Without `serve` it is a pure model: use `handle` and `advance` with a clock of your own."""

    def __init__(
        self,
        name: str,
        *,
        storage: Storage,
        clock: Callable[[], float] = time.time,
        seed: int = 0,
        username: str = "dr-portal",
        password: str = "dr-portal",  # noqa: S107 - a laboratory on the loopback interface
        pool: str = "one",
        networks: Sequence[NetworkSpec] | None = None,
        host_cores: int = 512,
        host_memory_mb: int = 4 * 1024 * 1024,
        timings: Timings | None = None,
    ) -> None:
        """`name` ends in the site's letter ("site-a"): hosts, networks and monitors are called after it.

        `clock` gives POSIX seconds. `username` is a member of group oneadmin; the site also has oneadmin itself (a
        random password, nobody logs in with it) and a plain user "<username>-plain" with the same password.
        """
        letter = name[-1].lower()
        self._state = State(name, pool, Agenda(clock), timings or Timings(), storage, seed)
        self._lifecycle = Lifecycle(self._state)
        self._methods = MethodTable()
        for table in (SITE_CALLS, IMAGE_CALLS, VM_CALLS):
            self._methods.update(table)
        self._endpoint = HttpEndpoint(self._respond)
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._drops_held_calls = False
        self._address: tuple[str, int] | None = None
        self._ticker: asyncio.Task[None] | None = None
        self.calls: deque[Call] = deque(maxlen=20_000)
        self._furnish(letter, networks, host_cores, host_memory_mb, username, password)

    def _furnish(
        self,
        letter: str,
        networks: Sequence[NetworkSpec] | None,
        host_cores: int,
        host_memory_mb: int,
        username: str,
        password: str,
    ) -> None:
        state = self._state
        state.users = Users(
            [
                User(0, 0, "oneadmin", "oneadmin", state.new_uuid()),
                User(2, 0, username, "oneadmin", password),
                User(3, 1, f"{username}-plain", "users", password),
            ]
        )
        for number in range(2):
            host = Host(number, f"kvm-{letter}{number + 1}", host_cores * 100, host_memory_mb * 1024)
            state.hosts[number] = host
        names = [host.name for host in state.hosts.values()]
        for datastore in default_datastores(letter, state.pool, state.new_uuid(), names):
            state.datastores[datastore.id] = datastore
        for number, spec in enumerate(default_networks(letter) if networks is None else networks):
            state.networks[number] = make_network(number, spec)

    # --- the model

    @property
    def name(self) -> str:
        return self._state.name

    @property
    def state(self) -> State:
        """For tests and for the lab's own status; the portal only sees the XML-RPC side."""
        return self._state

    def advance(self) -> None:
        """Let happen what is due by the clock."""
        self._state.agenda.run_due()

    def handle(self, method: str, params: Sequence[object]) -> str | int:
        """One call, `params` with the session first. Raises NebulaError or NebulaFault."""
        self.advance()
        if not params or not isinstance(params[0], str):
            raise NebulaFault(-501, "Not enough parameters")
        found, args = self._methods.find(method), tuple(params[1:])
        user_name, outcome = params[0].partition(":")[0], "ok"
        try:
            user = self._state.users.authenticate(params[0])
            found.check(args)
            if refusal := self._state.faults.refusal(method, args):
                raise refusal
            return found.answer(Caller(user, self._state, self._lifecycle), *args)
        except NebulaError as error:
            outcome = error.text
            raise
        finally:
            self.calls.append(Call(self._state.now, user_name, method, args, outcome))

    def add_image(self, source: str, name: str, *, kind: str = "OS") -> int:
        """Register a persistent image whose RBD image is there already. `one/one-7` becomes image 7 if 7 is free."""
        state = self._state
        number = source.rpartition("one-")[2]
        image_id = int(number) if number.isdigit() and int(number) not in state.images else state.new_id("image")
        state.reserve_id("image", image_id)
        datastore = state.datastores[100]
        now = int(state.now)
        state.images[image_id] = Image(
            id=image_id,
            user=state.admin(),
            name=name,
            type=images.TYPES[kind],
            disk_type=datastore.disk_type,
            persistent=True,
            regtime=now,
            modtime=now,
            source=source,
            path="",
            format="raw",
            size_mb=-(-state.storage.size_bytes(source) // _MIB),
            datastore_id=datastore.id,
            datastore=datastore.name,
            template=Template([("DEV_PREFIX", "vd")]),
        )
        datastore.images.append(image_id)
        return image_id

    def add_running_vm(
        self, name: str, disks: Sequence[str], network: str | int, memory_mb: int = 512, cpu: float = 0.5
    ) -> int:
        """A VM that has been RUNNING all along, one persistent image per source in `disks`. Returns the VM's id.

        `network` is a name or an id. Raises NebulaError when an address or an image cannot be had.
        """
        state = self._state
        image_ids = [
            self.add_image(source, f"{name}-disk-{number}", kind="OS" if number == 0 else "DATABLOCK")
            for number, source in enumerate(disks)
        ]
        network_id = next(item.id for item in state.networks.values() if network in (item.id, item.name))
        template = Template(
            [
                ("NAME", name),
                ("CPU", f"{cpu:g}"),
                ("VCPU", str(max(1, round(cpu)))),
                ("MEMORY", str(memory_mb)),
                ("OS", {"ARCH": "x86_64", "BOOT": "disk0", "MACHINE": "q35"}),
                ("FEATURES", {"ACPI": "YES", "GUEST_AGENT": "YES"}),
                ("GRAPHICS", {"LISTEN": "0.0.0.0", "TYPE": "VNC"}),  # noqa: S104 - text inside a template
                ("NIC_DEFAULT", {"MODEL": "virtio"}),
                ("NIC", {"NETWORK_ID": str(network_id)}),
                ("CONTEXT", {"NETWORK": "YES", "SSH_PUBLIC_KEY": "ssh-ed25519 AAAA lab"}),
                ("TM_MAD_SYSTEM", "ceph"),
                ("HYPERVISOR", "kvm"),
                ("LABELS", name.rpartition("-")[0] or name),
            ]
        )
        for image_id in image_ids:
            template.add("DISK", {"IMAGE_ID": str(image_id)})
        vm = define_vm(state, state.admin(), template, hold=False)
        state.add_vm(vm)
        self._lifecycle.start_running(vm, find_place(state, vm))
        return vm.id

    def cut_power(self) -> None:
        """The hypervisors lose power: running guests are gone, their disks closed; OpenNebula will show POWEROFF."""
        for vm in self._state.vms.values():
            if vm.state == vms.ACTIVE:
                for image, _ in vm.rbd_images():
                    self._state.storage.detach(image, vm.client)
                vm.enter(vms.POWEROFF)

    def status(self) -> dict[str, object]:
        """For the control endpoint: plain JSON values."""
        self.advance()
        found = [
            {
                "id": vm.id,
                "name": vm.name,
                "state": vm.state,
                "lcm_state": vm.lcm_state,
                "state_name": vm.state_name,
                "disks": [image for image, _ in vm.rbd_images()],
            }
            for vm in self._state.vms.values()
        ]
        return {"listening": self._endpoint.listening, "vms": found, "faults": self._state.faults.active()}

    # --- faults

    async def fail(self, fault: str, **options: Option | None) -> None:
        """Raises ValueError with a sentence for an unknown fault or option. Options: see `faults`; None is absent."""
        given = {name: value for name, value in options.items() if value is not None}
        self._state.faults.set(fault, **given)
        if fault == faults.DOWN:
            await self._endpoint.close()
        elif fault == faults.HUNG:
            self._thawed.clear()
        elif fault == faults.LOST_SIGHT:
            self._lose_sight(str(given.get("vm", "")), str(given.get("process")), str(given.get("host")))

    def _lose_sight(self, wanted: str, process: str, host: str) -> None:
        states = {"error": HOST_ERROR, "offline": HOST_OFFLINE}
        for vm in self._state.vms.values():
            if vm.state != vms.DONE and wanted in (str(vm.id), vm.name):
                self._lifecycle.lose_sight(vm, process_kept=process == "kept")
                if host in states and vm.history:
                    self._state.hosts[vm.history[-1].host_id].state = states[host]

    async def restore(self, fault: str | None = None) -> None:
        """None restores everything. Calls held by `opennebula-hung` are executed now, unless `thaw` was "drop"."""
        drops = self._state.faults.thaw_drops()
        if fault in (None, faults.LOST_SIGHT) and self._state.faults.has(faults.LOST_SIGHT):
            for host in self._state.hosts.values():
                host.state = HOST_MONITORED if host.state in (HOST_ERROR, HOST_OFFLINE) else host.state
        self._state.faults.clear(fault)
        if not self._state.faults.has(faults.HUNG):
            self._thaw(drop=drops)
        if not self._state.faults.has(faults.DOWN) and not self._endpoint.listening:
            await self._listen()

    def _thaw(self, *, drop: bool) -> None:
        if not self._thawed.is_set():
            self._drops_held_calls = drop
            self._thawed.set()

    # --- the endpoint

    @property
    def url(self) -> str:
        return self._state.endpoint

    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen and let time pass, until `close`. Returns the port."""
        self._address = (host, port)
        await self._listen()
        self._ticker = asyncio.create_task(self._tick(), name=f"nebula-{self.name}")
        return self._address[1]

    async def _listen(self) -> None:
        if self._address is None:
            return
        host, port = self._address
        port = await self._endpoint.listen(host, port)
        self._address = (host, port)
        self._state.endpoint = f"http://{host}:{port}{PATH}"

    async def close(self) -> None:
        self._address = None
        await self._endpoint.close()
        self._thaw(drop=True)
        if self._ticker is not None:
            self._ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticker
            self._ticker = None

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            try:
                self.advance()
            except Exception:
                # One broken path must not stop the time of the whole site.
                _log.exception("%s: something that was due failed", self.name)

    async def _respond(self, body: bytes) -> bytes | None:
        if not self._thawed.is_set():
            await self._thawed.wait()
            if self._drops_held_calls:
                return None
        try:
            method, params = decode_call(body)
        except ValueError as error:
            return encode_fault(-503, str(error))
        try:
            answer = encode_success(self.handle(method, params))
        except NebulaError as error:
            answer = encode_failure(f"[{method}] {error.text}", error.code)
        except NebulaFault as error:
            answer = encode_fault(error.code, error.text)
        except Exception as error:
            _log.exception("%s: %s failed", self.name, method)
            answer = encode_fault(-500, f"The lab itself failed: {error!r}")
        if self._state.faults.loses_answer(method, params[1:]):
            return None
        return answer
