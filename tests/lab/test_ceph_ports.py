"""Labs that start at the same moment, in one process or in several, never take the same ports."""

from __future__ import annotations

import subprocess
import sys

from drportal.lab.ceph.lab import free_ports

CLAIM = """
import sys
from drportal.lab.ceph.lab import free_ports
ports = [free_ports() for _ in range(20)]
print(*[one.first for one in ports], flush=True)
sys.stdin.read()
"""


def test_what_one_lab_has_claimed_no_other_gets() -> None:
    others = [
        subprocess.Popen([sys.executable, "-c", CLAIM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    try:
        mine = [free_ports() for _ in range(20)]
        theirs = [int(word) for other in others if other.stdout for word in other.stdout.readline().split()]
        taken = [ports.first for ports in mine] + theirs
        assert len(taken) == 80
        assert len(set(taken)) == 80
    finally:
        for other in others:
            other.communicate("")
        for ports in mine:
            ports.claim.close()


def test_a_claim_ends_with_its_lab() -> None:
    ports = free_ports()
    first = ports.first
    ports.claim.close()
    with subprocess.Popen(
        [sys.executable, "-c", f"import socket; socket.socket().bind(('127.0.0.1', {first + 9}))"]
    ) as p:
        assert p.wait() == 0
