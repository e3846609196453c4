"""A site's images as OpenNebula's drivers and hypervisors see them."""

from __future__ import annotations

import pytest

from drportal.lab.embedded.storage import Storage, StorageError
from drportal.lab.embedded.world import SiteStorage
from tests.lab.conftest import Bench

DISK = "one/one-0-0-0"


@pytest.fixture
def here(bench: Bench) -> Storage:
    return SiteStorage(bench.world, "a")


@pytest.fixture
def there(bench: Bench) -> Storage:
    return SiteStorage(bench.world, "b", lambda client: "10.0.0.9")


def test_it_knows_what_exists_and_where_it_is_writable(here: Storage, there: Storage) -> None:
    assert (
        here.exists(DISK) and there.exists(DISK) and not here.exists("one/one-77") and not here.exists("two/one-0-0-0")
    )
    assert here.size_bytes(DISK) == 16 * 2**20
    assert here.primary(DISK) and not there.primary(DISK)
    with pytest.raises(StorageError, match="No such file"):
        here.size_bytes("one/one-77")


async def test_a_vm_on_a_copy_opens_it_and_writes_nothing(bench: Bench, there: Storage) -> None:
    before = bench.content("b", "one-0-0-0")
    there.attach(DISK, "vm-1")
    there.attach(DISK, "vm-1")
    bench.wait(20)
    assert bench.content("b", "one-0-0-0") == before
    assert (await bench.ok("b", "status one/one-0-0-0")).count("10.0.0.9") == 1
    there.detach(DISK, "vm-1")
    there.detach(DISK, "vm-1")
    there.detach("one/one-77", "vm-1")
    assert "10.0.0.9" not in await bench.ok("b", "status one/one-0-0-0")


def test_what_a_guest_writes_is_told_apart_from_what_was_filled_in(bench: Bench, here: Storage) -> None:
    bench.fill("a", "one-0-0-0", "x")
    before = bench.pair("one-0-0-0").content("a", bench.clock.now)
    here.attach(DISK, "vm-1")
    bench.wait(20)
    after = bench.pair("one-0-0-0").content("a", bench.clock.now)
    assert after.fill == before.fill and after.guest != before.guest


def test_create_and_remove(bench: Bench, here: Storage, there: Storage) -> None:
    here.create("one/fresh", 4096)
    assert here.primary("one/fresh") and not there.exists("one/fresh")
    with pytest.raises(StorageError, match="exists"):
        here.create("one/fresh", 4096)
    here.attach("one/fresh", "vm-2")
    with pytest.raises(StorageError, match="watchers"):
        here.remove("one/fresh")
    here.detach("one/fresh", "vm-2")
    here.remove("one/fresh")
    assert not here.exists("one/fresh")
    with pytest.raises(StorageError, match="watchers"):
        there.remove(DISK)
    here.remove(DISK)
    bench.wait(5)
    assert not there.exists(DISK)


def test_a_dead_cluster_knows_nothing(bench: Bench, here: Storage) -> None:
    bench.world.fail_site("a")
    assert not here.exists(DISK)
    with pytest.raises(StorageError, match="couldn't connect"):
        here.attach(DISK, "vm-1")
