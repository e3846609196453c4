"""A site's cluster as a dictionary, for tests of the OpenNebula half alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from drportal.lab.embedded.storage import StorageError

MIB = 1024 * 1024


@dataclass
class FakeImage:
    size_bytes: int
    primary: bool = True
    clients: set[str] = field(default_factory=set)


@dataclass
class FakeStorage:
    images: dict[str, FakeImage] = field(default_factory=dict)

    def add(self, source: str, *, mib: int = 256, primary: bool = True) -> str:
        self.images[source] = FakeImage(mib * MIB, primary)
        return source

    def _image(self, source: str) -> FakeImage:
        if source not in self.images:
            raise StorageError(f"rbd: error opening image {source}: (2) No such file or directory")
        return self.images[source]

    def attach(self, source: str, client: str) -> None:
        self._image(source).clients.add(client)

    def detach(self, source: str, client: str) -> None:
        if source in self.images:
            self.images[source].clients.discard(client)

    def exists(self, source: str) -> bool:
        return source in self.images

    def size_bytes(self, source: str) -> int:
        return self._image(source).size_bytes

    def create(self, source: str, size_bytes: int) -> None:
        if source in self.images:
            raise StorageError(f"rbd: create error: (17) File exists: {source}")
        self.images[source] = FakeImage(size_bytes)

    def remove(self, source: str) -> None:
        image = self._image(source)
        if image.clients:
            raise StorageError("rbd: error: image still has watchers")
        if not image.primary:
            raise StorageError("rbd: error: image is not primary")
        del self.images[source]

    def primary(self, source: str) -> bool:
        return self._image(source).primary
