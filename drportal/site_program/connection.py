"""A connection to a cluster through python3-rados, and Ceph's errors as Faults."""

import contextlib
import struct
import threading
from typing import Any, Callable, Dict, Optional, TypeVar

try:
    import rados
    import rbd
except ImportError:
    rados = rbd = None

from drportal.site_program.clients import SHUT_OUT, read_fault, unreachable
from drportal.site_program.wire import Fault

__all__ = ["BINDINGS", "Connection", "Session", "asked", "rados", "rbd", "shut_out"]

# Older ones than those of Ceph 16 lack what the bulk of the reading rests on.
BINDINGS = rbd is not None and hasattr(rbd.RBD, "mirror_image_info_list")
T = TypeVar("T")


def asked(question: Callable[[], T]) -> T:
    """``question`` of Ceph, its errors as Faults: unreachable, not-found, refused."""
    try:
        return question()
    except (rados.Error, rbd.Error) as error:
        number = abs(int(getattr(error, "errno", 0) or 0))
        raise unreachable(str(error), number) if number in SHUT_OUT + (110,) else read_fault(number, str(error))
    except (struct.error, ValueError, IndexError) as error:
        raise Fault("refused", "Ceph's answer can't be read: %s." % error, exit=0, reason="other")


def shut_out(fault: Fault) -> bool:
    """Whether the cluster has shut out the client that asked; a new one is another client to it."""
    return fault.facts.get("exit") in SHUT_OUT


class Session:
    """A cluster handle, the pools that are open through it, and how many use them now."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self.number = str(cluster.get_instance_id())
        self.pools: Dict[str, Any] = {}
        self.users = 0

    def end(self) -> None:
        """Off the caller's thread: what is shut out may take its time to go."""
        threading.Thread(target=self._end, daemon=True).start()

    def _end(self) -> None:
        with contextlib.suppress(rados.Error):
            for pool in self.pools.values():
                pool.close()
            self.cluster.shutdown()


class Connection:
    """One connection to the cluster, made when it is first needed and again when the cluster has shut us out."""

    def __init__(self, ceph_user: Optional[str], options: Dict[str, str]) -> None:
        self._user, self._options = ceph_user, options
        self._lock = threading.Lock()
        self._session: Optional[Session] = None
        self._mine = threading.local()

    def ask(self, question: Callable[[], T]) -> T:
        """``question`` of Ceph; once more over a new connection when this one is shut out. For what may be asked twice:
        nothing that changes anything."""
        if self._of_thread() is not None:
            return asked(question)  # within another question, which is asked again as a whole
        try:
            return self._asked_once(question)
        except Fault as fault:
            if not shut_out(fault):
                raise
        return self._asked_once(question)

    def _asked_once(self, question: Callable[[], T]) -> T:
        self._mine.session = session = self.enter()
        try:
            return asked(question)
        except Fault as fault:
            if shut_out(fault):
                self.drop(session)
            raise
        finally:
            self._mine.session = None
            self.leave(session)

    def enter(self) -> Session:
        """The session of now, which is not ended before ``leave``."""
        with self._lock:
            if self._session is None:
                quiet = {"log_to_stderr": "false", "err_to_stderr": "false", "log_file": "", "admin_socket": ""}
                name = "client." + self._user if self._user else None
                cluster = asked(lambda: rados.Rados(name=name, conffile="", conf=dict(quiet, **self._options)))
                asked(cluster.connect)
                self._session = Session(cluster)
            self._session.users += 1
            return self._session

    def leave(self, session: Session) -> None:
        with self._lock:
            session.users -= 1
            unused = session.users == 0 and session is not self._session
        if unused:
            session.end()

    def drop(self, session: Session) -> None:
        """Shut out: who enters next gets a new one. This one is ended when its last user has left."""
        with self._lock:
            if self._session is session:
                self._session = None

    def _of_thread(self) -> Optional[Session]:
        return getattr(self._mine, "session", None)

    def cluster(self) -> Any:
        """Within a question."""
        session = self._of_thread()
        assert session is not None
        return session.cluster

    def pool(self, pool: str) -> Any:
        """Within a question."""
        session = self._of_thread()
        assert session is not None
        return self.pool_of(session, pool)

    def pool_of(self, session: Session, pool: str) -> Any:
        with self._lock:
            if pool not in session.pools:
                session.pools[pool] = asked(lambda: session.cluster.open_ioctx(pool))
            return session.pools[pool]

    def client(self) -> Optional[str]:
        """Our own client number, if we are connected."""
        session = self._session
        return session.number if session is not None else None
