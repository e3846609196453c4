"""A site's hypervisors and image driver on real Ceph: what the OpenNebula half of the lab asks of its storage."""

from __future__ import annotations

import contextlib
import errno
from typing import Any

from drportal.lab.ceph.cluster import Cluster
from drportal.lab.ceph.worker import WorkerError
from drportal.lab.embedded.storage import StorageError


class CephStorage:
    """The `Storage` of one site. Remembers who has what open, so that VMs outlive a restart of their cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.opened: set[tuple[str, str]] = set()

    def _ask(self, verb: str, source: str, **args: Any) -> Any:
        pool, _, name = source.rpartition("/")
        try:
            return self._cluster.worker.ask_now(verb, name=name, **args)
        except WorkerError as error:
            raise StorageError(f"rbd: {pool}/{name}: {error}") from error

    def attach(self, source: str, client: str) -> None:
        self._ask("open", source, client=client)
        self.opened.add((source, client))

    def detach(self, source: str, client: str) -> None:
        self.opened.discard((source, client))
        with contextlib.suppress(StorageError):
            self._ask("close", source, client=client)

    async def open_again(self) -> None:
        """After the site's death: the hypervisors' handles are new ones. An image that is gone stays closed."""
        for source, client in sorted(self.opened):
            with contextlib.suppress(WorkerError):
                await self._cluster.worker.ask("open", name=source.rpartition("/")[2], client=client)

    def exists(self, source: str) -> bool:
        try:
            return bool(self._ask("exists", source))
        except StorageError:
            return False

    def size_bytes(self, source: str) -> int:
        return int(self._ask("image", source)["size_bytes"])

    def create(self, source: str, size_bytes: int) -> None:
        self._ask("create", source, size_bytes=size_bytes, mode=None)

    def remove(self, source: str) -> None:
        self._ask("remove", source)

    def primary(self, source: str) -> bool:
        return self._ask("image", source)["primary"] is not False


def is_read_only(error: WorkerError) -> bool:
    """What librbd says to a write on a copy that is not primary."""
    return error.errno in (errno.EROFS, errno.EPERM)
