"""A disk that loses power: after every call that changes something, what may be left of a directory.

What was written and not synced may be there or not; what was synced is there. A name counts as synced with its
directory, bytes with their file (fsync(2): "does not necessarily ensure that the entry in the directory ... has also
reached disk").
"""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHANGES = ("open", "write", "pwrite", "ftruncate", "fsync", "rename", "link", "unlink", "mkdir")


@dataclass
class Left:
    """What is left: a file's bytes, or a directory's names."""

    content: bytes | dict[str, Left]

    def put(self, path: Path) -> None:
        if isinstance(self.content, bytes):
            path.write_bytes(self.content)
            return
        path.mkdir()
        for name, inner in self.content.items():
            inner.put(path / name)


@dataclass
class Disk:
    """``losses``: after each change, (what was promised until then, what is left), several ways each."""

    root: Path
    seed: int = 0
    promises: list[Any] = field(default_factory=list)
    losses: list[tuple[list[Any], Left]] = field(default_factory=list)
    names: dict[int, dict[str, int]] = field(default_factory=dict)
    contents: dict[int, bytes] = field(default_factory=dict)
    busy: bool = False
    kept_open: list[int] = field(default_factory=list)  # so that no file gets the number of one that is gone

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.names[self.root.stat().st_ino] = {}

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        for name in CHANGES:
            patch.setattr(os, name, self._watched(getattr(os, name), synced=name == "fsync"))

    def _watched(self, real: Callable[..., Any], *, synced: bool) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            result = real(*args, **kwargs)
            if not self.busy:
                self.busy = True
                try:
                    if real.__name__ == "open":
                        # Not dup(2): that would hold the lock of a file beyond its closing.
                        self.kept_open.append(real(f"/proc/self/fd/{result}", os.O_RDONLY))
                    if synced:
                        self._sync(args[0])
                    self._lose_power()
                finally:
                    self.busy = False
            return result

        return call

    def close(self) -> None:
        while self.kept_open:
            os.close(self.kept_open.pop())

    def _sync(self, fd: int) -> None:
        about = os.fstat(fd)
        place = Path(f"/proc/self/fd/{fd}").readlink()
        if stat.S_ISDIR(about.st_mode):
            self.names[about.st_ino] = {entry.name: entry.inode() for entry in os.scandir(place)}
        else:
            self.contents[about.st_ino] = place.read_bytes()

    def _lose_power(self) -> None:
        now = {path.stat().st_ino: path for path in self._walk(self.root)}
        for way in ("only what was synced", "all", "some", "some"):
            keep = {"only what was synced": 0.0, "all": 1.0, "some": 0.5}[way]
            self.losses.append((list(self.promises), self._left(self.root.stat().st_ino, now, keep)))

    def _walk(self, path: Path) -> Iterator[Path]:
        yield path
        for inner in path.iterdir():
            if inner.is_dir():
                yield from self._walk(inner)
            else:
                yield inner

    def _left(self, inode: int, now: dict[int, Path], keep: float) -> Left:
        """``keep``: how likely it is that something unsynced is there all the same."""
        path = now.get(inode)
        if path is None or not path.is_dir():
            written = path.read_bytes() if path is not None else self.contents.get(inode, b"")
            lucky = path is not None and self.chance.random() < keep
            return Left(written if lucky else self.contents.get(inode, b""))
        there = {entry.name: entry.inode() for entry in os.scandir(path)}
        synced = self.names.get(inode, {})
        names = there if keep == 1 else synced if keep == 0 else {}
        if keep not in (0, 1):
            for name in sorted(there.keys() | synced.keys()):
                found = (there if self.chance.random() < keep else synced).get(name)
                if found is not None:
                    names[name] = found
        return Left({name: self._left(found, now, keep) for name, found in names.items()})
