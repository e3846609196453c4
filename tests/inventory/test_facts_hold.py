"""Whose hold on an image keeps others from writing."""

from __future__ import annotations

import datetime as dt

from drportal.drivers.base import Answer, ImageRef, MirrorClients, MirrorDaemon, Watcher, WatcherReading
from drportal.inventory.facts import hold_facts

ANSWER = Answer("rbd status", "b", 0, "", "", dt.datetime(2026, 5, 4, tzinfo=dt.UTC), 0.1)
OWN, PEERS, VM = (Watcher(f"10.0.0.7:0/{number}", str(number), "1") for number in (11, 12, 13))
DAEMON = MirrorDaemon(service_id="9", instance_id="11", hostname="b", version="16.2.15", leader=True, health="OK")


def held(*daemons: MirrorDaemon, by: tuple[Watcher, ...] = (OWN, PEERS, VM)) -> tuple[str, ...]:
    reading = WatcherReading(ImageRef("one", "one-1"), by, ANSWER)
    return hold_facts(reading, MirrorClients("one", frozenset({"11", "12"}), ANSWER), daemons).daemons


def test_a_daemon_of_this_site_holds_it_and_a_vm_or_a_peer_s_daemon_does_not() -> None:
    assert held(DAEMON) == (OWN.address,)
    assert held(DAEMON, by=(PEERS, VM)) == ()


def test_while_nobody_tells_which_are_its_own_every_mirror_daemon_counts() -> None:
    assert held() == (OWN.address, PEERS.address)
    assert held(by=(VM,)) == ()
