"""What a site is: version, networks, datastores, hosts, cluster, zone, the caller."""

from __future__ import annotations

from .calls import Caller, MethodTable, in_range
from .errors import INTERNAL, NebulaError
from .infrastructure import HOST_DISABLED, HOST_MONITORED, HOST_OFFLINE, cluster_pool_xml, zone_pool_xml
from .users import ADMIN, USE, authorize, may

SITE_CALLS = MethodTable()

VERSION = "7.5.80"


@SITE_CALLS.method("system.version")
def system_version(_caller: Caller) -> str:
    """The session is checked for this call too, which makes it a check of the credentials."""
    return VERSION


@SITE_CALLS.method("vnpool.info", "iii")
def vnpool_info(caller: Caller, _who: int, start: int, end: int) -> str:
    # A plain user sees the networks that are shared with everybody; the lab shares them all (measured: 1 of 1 seen).
    chosen = in_range(list(caller.state.networks.values()), start, end)
    return "<VNET_POOL>" + "".join(network.xml(with_leases=False) for network in chosen) + "</VNET_POOL>"


@SITE_CALLS.method("vn.info", "i|b")
def vn_info(caller: Caller, network_id: int, _decrypt: bool = False) -> str:
    network = caller.state.network(network_id)
    authorize(caller.user, USE, "NET", network_id, 0)
    return network.xml(with_leases=True)


@SITE_CALLS.method("datastorepool.info")
def datastorepool_info(caller: Caller) -> str:
    newest_first = in_range(list(caller.state.datastores.values()), -1, -1)
    return "<DATASTORE_POOL>" + "".join(datastore.xml() for datastore in newest_first) + "</DATASTORE_POOL>"


@SITE_CALLS.method("hostpool.info")
def hostpool_info(caller: Caller) -> str:
    hosts = in_range(list(caller.state.hosts.values()), -1, -1) if may(caller.user, 0) else []
    return "<HOST_POOL>" + "".join(_host_xml(caller, host.id) for host in hosts) + "</HOST_POOL>"


@SITE_CALLS.method("host.info", "i|b")
def host_info(caller: Caller, host_id: int, _decrypt: bool = False) -> str:
    caller.state.host(host_id)
    authorize(caller.user, USE, "HOST", host_id, 0)
    return _host_xml(caller, host_id)


@SITE_CALLS.method("host.status", "ii")
def host_status(caller: Caller, host_id: int, status: int) -> int:
    """0 enabled, 1 disabled, 2 offline. VMs that are on the host stay as they are."""
    states = {0: HOST_MONITORED, 1: HOST_DISABLED, 2: HOST_OFFLINE}
    host = caller.state.host(host_id)
    authorize(caller.user, ADMIN, "HOST", host_id, 0)
    if status not in states:
        raise NebulaError(INTERNAL, "Wrong status code")
    host.state = states[status]
    return host_id


def _host_xml(caller: Caller, host_id: int) -> str:
    taken = caller.state.placed(host_id)
    return caller.state.hosts[host_id].xml(sorted(taken.needs), taken.cpu, taken.memory_kb, caller.state.now)


@SITE_CALLS.method("clusterpool.info")
def clusterpool_info(caller: Caller) -> str:
    state = caller.state
    return cluster_pool_xml(sorted(state.hosts), sorted(state.datastores), sorted(state.networks))


@SITE_CALLS.method("zonepool.info")
def zonepool_info(caller: Caller) -> str:
    return zone_pool_xml(caller.state.endpoint)


@SITE_CALLS.method("user.info", "i|b")
def user_info(caller: Caller, user_id: int, _decrypt: bool = False) -> str:
    """-1: the caller."""
    user = caller.user if user_id == -1 else caller.state.users.get(user_id)
    authorize(caller.user, USE, "USER", user.id, user.id)
    return user.xml()
