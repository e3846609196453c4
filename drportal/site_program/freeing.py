"""Shutting a mirror daemon out, so that it lets go of what it has open: Ceph takes its watches and locks away."""

import time
from typing import List, Optional, Set, Tuple

from drportal.site_program.clients import Clients, Held
from drportal.site_program.wire import Fault, Json

_GONE_WITHIN_S = 10.0  # Ceph's storage daemons hear of it within a second


def check_daemons(held: Held, addresses: List[str], mirroring: Set[str]) -> None:
    """Whoever of these has the image open is a mirror daemon. Raises Fault: a VM's client is never shut out by this."""
    for watcher in held.watchers():
        if watcher["address"] in addresses and str(watcher["client"]) not in mirroring:
            raise Fault(
                "precondition",
                "client.%s at %s is no mirror daemon. Nothing was done." % (watcher["client"], watcher["address"]),
                failed="watchers",
                expected="mirroring",
                seen=watcher,
            )


def free(
    engine: Clients, held: Held, addresses: List[str], expire_s: int, output: str, lock: int
) -> Tuple[int, str, Optional[Json], bool]:
    """(exit status, text, state after, whether none of them has it open): those that have let go are left alone."""
    text, exit_status = "None of them has it open any more.", 0
    for address in sorted({watcher["address"] for watcher in held.watchers()} & set(addresses)):
        exit_status, text = engine.blocklist("add", address, expire_s, output, lock)
        if exit_status != 0:
            break
    watching, ends = addresses, time.monotonic() + _GONE_WITHIN_S
    while watching and exit_status == 0 and time.monotonic() < ends:
        watching = sorted({watcher["address"] for watcher in held.watchers()} & set(addresses))
        time.sleep(0.1 if watching else 0)
    listed = [entry for entry in engine.blocklisted() if entry.split(" ")[0] in addresses]
    return exit_status, text, {"blocklisted": listed, "watching": watching}, not watching
