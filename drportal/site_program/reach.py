"""Whether somebody answers at other addresses, as seen from this host. Nothing is sent to them."""

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import List

from drportal.site_program.wire import Json

CONNECT_S = 3.0
GREETING_S = 1.0


def reach(targets: List[Json]) -> List[Json]:
    """In the order of the targets; all at once, so that it takes no longer than the slowest."""
    with ThreadPoolExecutor(len(targets)) as askers:
        return list(askers.map(_asked, targets))


def _asked(target: Json) -> Json:
    """``answer``: greets (it spoke first, as sshd does), accepts, refuses, silent, no-way (no route, no name)."""
    try:
        with socket.create_connection((target["host"], target["port"]), timeout=CONNECT_S) as connection:
            connection.settimeout(GREETING_S)
            greeting = _greeting(connection)
    except ConnectionRefusedError as error:
        return dict(target, answer="refuses", text=str(error))
    except socket.timeout:
        return dict(target, answer="silent", text="no answer in %.0f s" % CONNECT_S)
    except OSError as error:
        return dict(target, answer="no-way", text=str(error))
    return dict(target, answer="greets" if greeting else "accepts", text=greeting)


def _greeting(connection: socket.socket) -> str:
    try:
        said = connection.recv(100)
    except OSError:
        return ""
    return "".join(letter for letter in said.decode("ascii", "replace") if letter.isprintable())
