"""The port of a site that is down."""

from __future__ import annotations

import socket

import pytest

from drportal.lab.embedded.door import Door


async def test_a_shut_door_refuses_and_its_port_is_nobody_else_s() -> None:
    door = Door(inner=1)
    port = await door.open()
    await door.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=2)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    assert await door.open() == port
    socket.create_connection(("127.0.0.1", port), timeout=2).close()
    await door.close()
