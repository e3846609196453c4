"""What the OpenNebula half of the embedded lab needs from the storage half.

One Storage belongs to one site. A *source* is what OpenNebula writes in an image's SOURCE element, "POOL/IMAGE", for
example "one/one-7". A *client* is any string that names one user of an image, for example "vm-12".
"""

from __future__ import annotations

from typing import Protocol


class StorageError(Exception):
    """The site's cluster refused; the text says why, in the words a driver log of OpenNebula would have."""


class Storage(Protocol):
    """One site's cluster as its hypervisors and its image driver see it. All calls return at once."""

    def attach(self, source: str, client: str) -> None:
        """Open the image for a VM: one watcher and one writer more.

        Opening a non-primary image succeeds, as with real librbd; only its writes fail. Repeating is harmless.
        Raises StorageError if the image does not exist or the cluster is dead.
        """

    def detach(self, source: str, client: str) -> None:
        """Close it again. Harmless when it is not open, or the image or the cluster is gone."""

    def exists(self, source: str) -> bool:
        """False as well when the cluster is dead."""

    def size_bytes(self, source: str) -> int:
        """Provisioned size. Raises StorageError if the image does not exist."""

    def create(self, source: str, size_bytes: int) -> None:
        """`rbd create` without mirroring. Raises StorageError if it exists already."""

    def remove(self, source: str) -> None:
        """`rbd rm`, which is what one.image.delete does. On a primary image mirroring deletes the other copy too.

        Raises StorageError if the image is open, does not exist, or is a non-primary mirrored copy.
        """

    def primary(self, source: str) -> bool:
        """True if the image is writable here: primary, or not mirrored. Raises StorageError if it does not exist."""
