"""A connection to a cluster through python3-rados, and Ceph's errors as Faults."""

import struct
import threading
from typing import Any, Callable, Dict, Optional, TypeVar

try:
    import rados
    import rbd
except ImportError:
    rados = rbd = None

from drportal.site_program.clients import read_fault, unreachable
from drportal.site_program.wire import Fault

__all__ = ["BINDINGS", "Connection", "asked", "rados", "rbd"]

# Older ones than those of Ceph 16 lack what the bulk of the reading rests on.
BINDINGS = rbd is not None and hasattr(rbd.RBD, "mirror_image_info_list")
T = TypeVar("T")


def asked(question: Callable[[], T]) -> T:
    """``question`` of Ceph, its errors as Faults: unreachable, not-found, refused."""
    try:
        return question()
    except (rados.Error, rbd.Error) as error:
        number = abs(int(getattr(error, "errno", 0) or 0))
        raise unreachable(str(error)) if number in (107, 108, 110) else read_fault(number, str(error))
    except (struct.error, ValueError, IndexError) as error:
        raise Fault("refused", "Ceph's answer can't be read: %s." % error, exit=0, reason="other")


class Connection:
    """One connection to the cluster, made when it is first needed and again when the cluster has shut us out."""

    def __init__(self, ceph_user: Optional[str], options: Dict[str, str]) -> None:
        self._user, self._options = ceph_user, options
        self._lock = threading.Lock()
        self._cluster: Any = None
        self._pools: Dict[str, Any] = {}

    def cluster(self) -> Any:
        with self._lock:
            if self._cluster is None:
                quiet = {"log_to_stderr": "false", "err_to_stderr": "false", "log_file": "", "admin_socket": ""}
                name = "client." + self._user if self._user else None
                cluster = asked(lambda: rados.Rados(name=name, conffile="", conf=dict(quiet, **self._options)))
                asked(cluster.connect)
                self._cluster, self._pools = cluster, {}
            return self._cluster

    def pool(self, pool: str) -> Any:
        cluster = self.cluster()
        with self._lock:
            if pool not in self._pools:
                self._pools[pool] = asked(lambda: cluster.open_ioctx(pool))
            return self._pools[pool]

    def client(self) -> Optional[str]:
        """Our own client number, if we are connected."""
        return str(self._cluster.get_instance_id()) if self._cluster is not None else None

    def drop(self) -> None:
        """After ``blocklisted``: the next question makes a new connection. The old one is left to its users."""
        with self._lock:
            self._cluster = None
