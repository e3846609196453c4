"""Image records, and the RBD images behind them."""

from __future__ import annotations

import pytest

from drportal.lab.embedded.nebula.images import DELETE, DISABLED, ERROR, LOCKED, READY

from .conftest import Front


def state(front: Front, image_id: int) -> int:
    return front.site.state.images[image_id].state


def test_registering_by_source_is_ready_at_once_and_asks_nothing(front: Front) -> None:
    text = "<IMAGE><NAME>ghost</NAME><PERSISTENT>YES</PERSISTENT><SOURCE>one/not-there</SOURCE><FORMAT>raw</FORMAT>"
    text += "<SIZE>256</SIZE><DR_VM>a:5</DR_VM></IMAGE>"
    image_id = front.number("image.allocate", text, 100)
    image = front.site.state.images[image_id]
    assert (image.state, image.persistent, image.source, image.type) == (READY, True, "one/not-there", 0)
    assert image.template.text("DR_VM") == "a:5"
    assert image.template.text("DEV_PREFIX") == "sd"


def test_two_records_may_have_one_source(front: Front) -> None:
    assert front.register("one/one-0", "x") != front.register("one/one-0", "y")


def test_without_persistent_it_is_not(front: Front) -> None:
    image_id = front.number("image.allocate", "NAME=x\nSOURCE=one/a\nFORMAT=raw\nSIZE=1\n", 100)
    assert not front.site.state.images[image_id].persistent
    front.call("image.persistent", image_id, True)
    assert front.site.state.images[image_id].persistent


@pytest.mark.parametrize("size", ["0", "-5"])
def test_senseless_sizes_are_accepted(front: Front, size: str) -> None:
    assert front.number("image.allocate", f"NAME=x\nSOURCE=one/a\nFORMAT=raw\nSIZE={size}\n", 100) == 0


def test_the_third_argument_true_skips_the_look_at_the_room(front: Front) -> None:
    text = "NAME=x\nSOURCE=one/a\nFORMAT=raw\nSIZE=999999999\n"
    assert front.refused("image.allocate", text, 100, False)[0] == 0x800
    assert front.number("image.allocate", text, 100, True) == 0


def test_without_a_source_the_datastore_makes_the_image(front: Front) -> None:
    image_id = front.number("image.allocate", "NAME=data\nTYPE=DATABLOCK\nSIZE=64\n", 100)
    assert state(front, image_id) == LOCKED
    front.wait()
    assert state(front, image_id) == READY
    assert front.storage.images[f"one/one-{image_id}"].size_bytes == 64 * 1024 * 1024


def test_a_path_of_this_site_ends_in_error(front: Front) -> None:
    image_id = front.number("image.allocate", "NAME=data\nPATH=/var/tmp/x.img\nSIZE=64\n", 100)
    front.wait()
    assert state(front, image_id) == ERROR


def test_deleting_a_record_deletes_the_rbd_image_whoever_made_it(front: Front) -> None:
    image_id = front.register("one/one-0", "x")
    other = front.register("one/one-0", "same source")
    front.call("image.delete", image_id)
    assert state(front, image_id) == DELETE
    front.wait()
    assert image_id not in front.site.state.images
    assert not front.storage.exists("one/one-0")
    assert state(front, other) == READY


def test_deleting_on_a_non_primary_ends_in_error_and_keeps_the_image(front: Front) -> None:
    image_id = front.register("one/one-0", "x")
    front.storage.images["one/one-0"].primary = False
    front.call("image.delete", image_id, False)
    front.wait()
    assert state(front, image_id) == ERROR
    assert "Error removing image from datastore" in front.site.state.images[image_id].template.text("ERROR")
    assert front.storage.exists("one/one-0")


def test_forced_deletion_on_a_non_primary_drops_only_the_record(front: Front) -> None:
    image_id = front.register("one/one-0", "x")
    front.storage.images["one/one-0"].primary = False
    front.call("image.delete", image_id, True)
    front.wait()
    assert image_id not in front.site.state.images
    assert front.storage.exists("one/one-0")


def test_enable_is_the_way_out_of_error_and_of_disabled(front: Front) -> None:
    image_id = front.register("one/one-0", "x")
    front.call("image.enable", image_id, False)
    assert state(front, image_id) == DISABLED
    assert "in state: DISABLED" in front.refused("vm.allocate", f"CPU=1\nMEMORY=9\nDISK=[IMAGE_ID={image_id}]\n")[1]
    front.call("image.enable", image_id, True)
    assert state(front, image_id) == READY


def test_a_vm_that_takes_a_guarded_image_clears_its_lock(front: Front) -> None:
    image_id = front.register("one/one-0", "x")
    front.call("image.lock", image_id, 2, False)
    front.call("vm.allocate", f"CPU=1\nMEMORY=9\nDISK=[IMAGE_ID={image_id}]\n", True)
    assert front.site.state.images[image_id].lock is None


@pytest.mark.parametrize(
    ("method", "args"),
    [
        ("image.delete", (True,)),
        ("image.rename", ("y",)),
        ("image.update", ("A=1", 1)),
        ("image.enable", (False,)),
        ("image.persistent", (False,)),
    ],
)
def test_lock_level_2_stops_every_change(front: Front, method: str, args: tuple[object, ...]) -> None:
    image_id = front.register("one/one-0", "x")
    front.call("image.lock", image_id, 2, False)
    assert front.refused(method, image_id, *args)[0] == 0x200
    front.call("image.unlock", image_id)
    front.call(method, image_id, *args)


def test_update_merges_or_replaces_and_never_changes_the_source(front: Front) -> None:
    image_id = front.register("one/one-0", "x")
    front.call("image.update", image_id, "DR_RUN=r1\nSOURCE=one/evil\n", 1)
    image = front.site.state.images[image_id]
    assert (image.source, image.template.text("DR_RUN"), image.template.text("DEV_PREFIX")) == ("one/one-0", "r1", "vd")
    front.call("image.update", image_id, "DR_RUN=r2", 0)
    assert [name for name, _ in image.template.items()] == ["DR_RUN"]


def test_chown_gives_the_record_to_another_user(front: Front) -> None:
    image_id = front.register("one/one-0", "x")
    front.call("image.chown", image_id, 3, 1, user="dr-portal")
    image = front.site.state.images[image_id]
    assert (image.user.id, image.user.gid, image.user.name, image.user.group) == (3, 1, "dr-portal-plain", "users")
    assert f"<ID>{image_id}</ID>" in str(front.call("image.info", image_id, user="dr-portal-plain"))
    assert front.refused("image.chown", image_id, 77, -1)[0] == 0x400


def test_names_are_unique_per_owner_only(front: Front) -> None:
    front.register("one/one-0", "x")
    text = "NAME=x\nSOURCE=one/a\nFORMAT=raw\nSIZE=1\n"
    assert front.number("image.allocate", text, 100, user="dr-portal") == 1


@pytest.mark.parametrize("name", ['a"b', "a/b", "x" * 129])
def test_names_the_server_does_not_take(front: Front, name: str) -> None:
    text = f"<I><NAME>{name}</NAME><SOURCE>one/a</SOURCE><FORMAT>raw</FORMAT><SIZE>1</SIZE></I>"
    code, answer = front.refused("image.allocate", text, 100)
    assert code == 0x4000
    assert "Invalid NAME, " in answer


def test_a_running_vm_brings_records_named_after_their_sources(front: Front) -> None:
    for number in (0, 7):
        front.storage.add(f"one/one-{number}", mib=16)
    front.site.add_running_vm("db-1", ["one/one-0", "one/one-7"], "prod", 512, 0.1)
    found = {image.id: (image.source, image.size_mb, image.persistent) for image in front.site.state.images.values()}
    assert found == {0: ("one/one-0", 16, True), 7: ("one/one-7", 16, True)}
    assert front.register("one/new", "new") == 8
