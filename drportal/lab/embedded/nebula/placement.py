"""Where a pending VM goes, and why it does not."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import ACTION, NebulaError
from .infrastructure import HOST_MONITORED, SYSTEM_DS, Datastore, Host
from .requirements import satisfies
from .state import State
from .vms import VirtualMachine


@dataclass(frozen=True, slots=True)
class Place:
    host: Host
    datastore: Datastore


class Unplaceable(Exception):
    """No place now; the text is what SCHED_MESSAGE says after the date."""


def find_place(state: State, vm: VirtualMachine) -> Place:
    """The emptiest host and the system datastore with most room. Raises Unplaceable."""
    return Place(_find_host(state, vm), _find_datastore(state, vm))


def _find_host(state: State, vm: VirtualMachine) -> Host:
    wanted = [vm.template.text("AUTOMATIC_REQUIREMENTS"), vm.user_template.text("SCHED_REQUIREMENTS")]
    hosts = [host for host in state.hosts.values() if host.state == HOST_MONITORED]
    hosts = [host for host in hosts if all(satisfies(text, _host_attributes(host)) for text in wanted)]
    if not hosts:
        raise Unplaceable("Cannot dispatch VM: No host meets SCHED_REQUIREMENTS")
    roomy: list[tuple[int, Host]] = []
    for host in hosts:
        taken = state.placed(host.id)
        if taken.cpu + vm.cpu <= host.max_cpu and taken.memory_kb + vm.memory_kb <= host.max_mem_kb:
            roomy.append((host.max_cpu - taken.cpu, host))
    if not roomy:
        lacking = "CPU" if all(vm.cpu > host.max_cpu - state.placed(host.id).cpu for host in hosts) else "memory"
        numbers = ", ".join(str(host.id) for host in hosts)
        raise Unplaceable(f"Cannot dispatch VM: [HOST] Not enough {lacking} on hosts: {numbers}")
    return max(roomy, key=lambda item: (item[0], -item[1].id))[1]


def _find_datastore(state: State, vm: VirtualMachine) -> Datastore:
    wanted = [vm.template.text("AUTOMATIC_DS_REQUIREMENTS"), vm.user_template.text("SCHED_DS_REQUIREMENTS")]
    found = [
        datastore
        for datastore in state.datastores.values()
        if datastore.type == SYSTEM_DS
        and datastore.state == 0
        and all(satisfies(text, _datastore_attributes(datastore)) for text in wanted)
    ]
    if not found:
        raise Unplaceable("Cannot dispatch VM: No system datastore meets SCHED_DS_REQUIREMENTS")
    return max(found, key=lambda datastore: datastore.free_mb)


def _host_attributes(host: Host) -> dict[str, str]:
    return {
        "ID": str(host.id),
        "NAME": host.name,
        "HOSTNAME": host.name,
        "CLUSTER_ID": "0",
        "CLUSTER": "default",
        "HYPERVISOR": "kvm",
        "ARCH": "x86_64",
    }


def _datastore_attributes(datastore: Datastore) -> dict[str, str]:
    return {
        "ID": str(datastore.id),
        "NAME": datastore.name,
        "TM_MAD": datastore.tm_mad,
        "CLUSTERS/ID": "0",
        "CLUSTER_ID": "0",
        "POOL_NAME": datastore.template.text("POOL_NAME"),
    }


def check_fits(state: State, vm: VirtualMachine, host: Host) -> None:
    """What one.vm.deploy with enforce=True checks."""
    taken = state.placed(host.id)
    prefix = f"virtual machine [{vm.id}] does not fit in host [{host.id}]."
    if vm.cpu > host.max_cpu - taken.cpu:
        raise NebulaError(ACTION, f"{prefix} Not enough CPU: {vm.cpu}/{host.max_cpu - taken.cpu}")
    if vm.memory_kb > host.max_mem_kb - taken.memory_kb:
        raise NebulaError(ACTION, f"{prefix} Not enough memory: {vm.memory_kb}/{host.max_mem_kb - taken.memory_kb}")
