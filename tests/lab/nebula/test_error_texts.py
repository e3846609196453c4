"""Refusals: the code and, letter for letter, the text that OpenNebula 7.5.80 gave."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .conftest import Front, recorded

PLAIN = "dr-portal-plain"


def measured(name: str) -> str:
    """The recorded plain user had id 2; ours has 3."""
    return recorded(f"measured-7.5.80/{name}").replace("User [2]", "User [3]")


def vm_in(front: Front, vm_id: int) -> int:
    front.site.state.reserve_id("vm", vm_id - 1)
    assert front.running() == vm_id
    return vm_id


def image_in(front: Front, image_id: int, name: str = "alpine-0-rep") -> int:
    front.site.state.reserve_id("image", image_id - 1)
    assert front.register("one/one-0-0-0", name) == image_id
    return image_id


def image_text(**changes: str) -> str:
    values = {"NAME": "n1", "TYPE": "OS", "SOURCE": "one/one-0-0-0", "FORMAT": "raw", "SIZE": "256"} | changes
    return "\n".join(f'{key}="{value}"' for key, value in values.items() if value)


def powered_off(front: Front, vm_id: int) -> None:
    front.call("vm.action", "poweroff", vm_in(front, vm_id))
    front.wait()


def done(front: Front, vm_id: int) -> None:
    front.call("vm.action", "terminate", vm_in(front, vm_id))
    front.wait()


def test_poweroff_of_a_vm_that_is_off(front: Front) -> None:
    powered_off(front, 5)
    assert front.refused("vm.action", "poweroff", 5) == (0x800, recorded("16-error-poweroff-in-poweroff.txt"))


def test_resume_of_a_running_vm(front: Front) -> None:
    vm_in(front, 5)
    assert front.refused("vm.action", "resume", 5) == (0x800, recorded("17-error-resume-running.txt"))


@pytest.mark.parametrize(
    ("action", "file"),
    [("resume", "28-error-action-on-done.txt"), ("poweroff", "ceph-lab-7.5.80/31-err-poweroff-done.txt")],
)
def test_action_on_a_done_vm(front: Front, action: str, file: str) -> None:
    done(front, 2)
    assert front.refused("vm.action", action, 2) == (0x800, recorded(file))


def test_second_terminate_while_the_first_works(front: Front) -> None:
    vm_in(front, 107)
    front.call("vm.action", "terminate", 107)
    front.wait(front.timings.stale_s + 0.1)
    text = 'Error performing action "terminate": Could not terminate VM 107, wrong state SHUTDOWN.'
    assert front.refused("vm.action", "terminate", 107) == (0x800, f"[one.vm.action] {text}")


def test_unknown_action(front: Front) -> None:
    vm_in(front, 2)
    assert front.refused("vm.action", "explode", 2) == (0x800, measured("36-error-bad-action.txt"))


@pytest.mark.parametrize("action", ["delete", "migrate"])
def test_actions_that_are_gone(front: Front, action: str) -> None:
    vm_in(front, 2)
    assert front.refused("vm.action", action, 2)[1] == f'[one.vm.action] Action "{action}" is not supported'


def test_unknown_vm(front: Front) -> None:
    assert front.refused("vm.info", 99999, False) == (0x400, recorded("29-error-no-such-vm.txt"))


def test_wrong_password(front: Front) -> None:
    state = front.site.state
    text = recorded("ceph-lab-7.5.80/14-err-auth.txt").partition("] ")[2]
    for session in ("oneadmin:wrong", "nobody:secret", "oneadmin", "", ":"):
        with pytest.raises(Exception, match=text) as caught:
            state.users.authenticate(session)
        assert caught.value.code == 0x100  # type: ignore[attr-defined]


def test_locked_vm_refuses_even_oneadmin(front: Front) -> None:
    vm_in(front, 100)
    front.call("vm.lock", 100, 4, False)
    assert front.refused("vm.action", "poweroff", 100) == (
        0x200,
        recorded("ceph-lab-7.5.80/18-err-locked-vm-action.txt"),
    )
    assert front.refused("vm.recover", 100, 3)[0] == 0x200
    front.call("vm.unlock", 100)
    front.call("vm.action", "poweroff", 100)


@pytest.mark.parametrize(
    ("level", "file"), [(4, "73-error-image-locked.txt"), (2, "75-error-image-delete-locked-manage.txt")]
)
def test_locked_image_is_not_deleted(front: Front, level: int, file: str) -> None:
    image_in(front, 4)
    front.call("image.lock", 4, level, False)
    assert front.refused("image.delete", 4, False) == (0x200, measured(file))


def test_locked_image_is_not_given_to_a_vm(front: Front) -> None:
    image_in(front, 4)
    front.call("image.lock", 4, 4, False)
    answer = front.refused("vm.allocate", "NAME=u2\nCPU=0.1\nMEMORY=64\nDISK=[IMAGE_ID=4]\n", True)
    assert answer == (0x200, measured("74-error-vm-allocate-locked-image.txt"))


def test_image_in_use_is_not_deleted(front: Front) -> None:
    image_in(front, 4)
    front.call("vm.allocate", "NAME=a\nCPU=0.1\nMEMORY=64\nDISK=[IMAGE_ID=4]\n", True)
    assert front.refused("image.delete", 4, False) == (0x800, measured("72-error-image-delete-in-use.txt"))


@pytest.mark.parametrize(
    ("method", "flag", "text"),
    [
        ("image.persistent", False, "Could not make image non-persistent: Image cannot be in state USED."),
        ("image.enable", False, "Could not disable image: Image cannot be in state USED."),
    ],
)
def test_image_in_use_is_not_changed(front: Front, method: str, flag: bool, text: str) -> None:
    image_in(front, 4)
    front.call("vm.allocate", "NAME=a\nCPU=0.1\nMEMORY=64\nDISK=[IMAGE_ID=4]\n", True)
    assert front.refused(method, 4, flag) == (0x2000, f"[one.{method}] {text}")


@pytest.mark.parametrize(
    ("text", "datastore", "code", "file"),
    [
        (image_text(SIZE=""), 100, 0x2000, "40-error-image-no-size.txt"),
        (image_text(SIZE="10.5"), 100, 0x2000, "40-error-image-no-size.txt"),
        (image_text(FORMAT=""), 100, 0x4000, "41-error-image-no-format.txt"),
        (image_text(PATH="/x"), 100, 0x4000, "42-error-image-path-and-source.txt"),
        (image_text(NAME=""), 100, 0x4000, "43-error-image-no-name.txt"),
        (image_text(SIZE="999999999"), 100, 0x800, "44-error-image-no-space.txt"),
        ('NAME="a\nTYPE=OS', 100, 0x2000, "45-error-image-bad-template.txt"),
        (image_text(), 9999, 0x400, "46-error-image-no-datastore.txt"),
        (image_text(), 101, 0x4000, "47-error-image-system-datastore.txt"),
    ],
)
def test_image_that_cannot_be_registered(front: Front, text: str, datastore: int, code: int, file: str) -> None:
    assert front.refused("image.allocate", text, datastore) == (code, measured(file))


def test_image_name_that_is_taken(front: Front) -> None:
    image_in(front, 4)
    answer = front.refused("image.allocate", image_text(NAME="alpine-0-rep"), 100)
    assert answer == (0x4000, measured("50-error-image-duplicate-name.txt"))


def test_image_rename_to_a_taken_name(front: Front) -> None:
    image_in(front, 4)
    other = front.register("one/x", "other")
    assert front.refused("image.rename", other, "alpine-0-rep") == (0x800, measured("53-error-image-rename-taken.txt"))


def persistent_in_use(front: Front) -> None:
    image_in(front, 4)
    front.call("vm.allocate", "NAME=a\nCPU=0.1\nMEMORY=64\nDISK=[IMAGE_ID=4]\n", True)


def nothing(front: Front) -> None:
    """The site as it is."""


def ip_taken(front: Front) -> None:
    front.call("vm.allocate", "NAME=a\nCPU=0.1\nMEMORY=64\nNIC=[NETWORK_ID=0,IP=192.168.150.120]\n", True)


@pytest.mark.parametrize(
    ("rest", "prepare", "file"),
    [
        ("DISK=[IMAGE_ID=4]", persistent_in_use, "63-error-persistent-image-in-use.txt"),
        ("NIC=[NETWORK=nope]", nothing, "80-error-nic-unknown-network-name.txt"),
        ("NIC=[NETWORK_ID=77]", nothing, "81-error-nic-unknown-network-id.txt"),
        ("NIC=[NETWORK_ID=0,IP=192.168.151.110]", nothing, "82-error-nic-ip-outside-range.txt"),
        ("NIC=[NETWORK_ID=0,IP=192.168.150.120]", ip_taken, "83-error-nic-ip-already-leased.txt"),
        ('NIC=[NETWORK_ID=0,MAC="02:00:c0:a8:97:6e"]', nothing, "84-error-nic-mac-outside-range.txt"),
        ("DISK=[IMAGE_ID=555]", nothing, "85-error-disk-unknown-image.txt"),
    ],
)
def test_vm_that_cannot_be_defined(front: Front, rest: str, prepare: Callable[[Front], None], file: str) -> None:
    prepare(front)
    answer = front.refused("vm.allocate", f"NAME=n1\nCPU=0.1\nMEMORY=64\n{rest}\n", True)
    assert answer == (0x2000, measured(file))


def test_another_size_for_a_persistent_image(front: Front) -> None:
    image_in(front, 4)
    answer = front.refused("vm.allocate", "NAME=d2\nCPU=0.1\nMEMORY=64\nDISK=[IMAGE_ID=4,SIZE=512]\n", True)
    assert answer == (0x2000, measured("86-error-disk-size-on-persistent.txt"))


def test_vm_without_cpu(front: Front) -> None:
    assert front.refused("vm.allocate", "NAME=d3\nMEMORY=64\n", True) == (0x2000, measured("87-error-no-cpu.txt"))


def test_template_name_that_is_taken(front: Front) -> None:
    front.call("template.allocate", "NAME=tsame\nCPU=0.1\nMEMORY=64\n")
    answer = front.refused("template.allocate", "NAME=tsame\nCPU=0.1\nMEMORY=64\n")
    assert answer == (0x2000, measured("88-error-template-duplicate-name.txt"))


def test_instantiate_while_the_image_is_in_use(front: Front) -> None:
    persistent_in_use(front)
    template_id = front.number("template.allocate", "NAME=t\nCPU=0.1\nMEMORY=96\nDISK=[IMAGE_ID=4]\n")
    answer = front.refused("template.instantiate", template_id, "dr-alpine-0", True, "", False)
    assert answer == (0x4000, measured("122-error-instantiate-image-in-use.txt"))


def test_instantiate_of_no_template(front: Front) -> None:
    answer = front.refused("template.instantiate", 999, "x", True, "", False)
    assert answer == (0x400, measured("123-error-instantiate-no-template.txt"))


def test_deploy_without_room(front: Front) -> None:
    front.site.state.reserve_id("vm", 16)
    front.number("vm.allocate", "NAME=big\nCPU=999\nMEMORY=64\n")
    assert front.refused("vm.deploy", 17, 0, True, 101) == (0x800, measured("90-error-deploy-no-capacity.txt"))


def test_deploy_of_a_running_vm(front: Front) -> None:
    vm_in(front, 35)
    assert front.refused("vm.deploy", 35, 0, True, 101) == (0x800, measured("125-error-deploy-running.txt"))


@pytest.mark.parametrize(
    ("method", "args", "file"),
    [
        ("image.info", (4,), "102-error-user-image-info.txt"),
        ("vm.info", (21,), "105-error-user-vm-info.txt"),
        ("image.allocate", (image_text(), 100), "101-error-user-image-source.txt"),
        (
            "vm.allocate",
            ('NAME=uv\nCPU=0.1\nMEMORY=64\nNIC=[NETWORK_ID=0,MAC="02:00:c0:a8:97:90"]\n', True),
            "104-error-user-restricted-mac.txt",
        ),
    ],
)
def test_what_a_plain_user_may_not(front: Front, method: str, args: tuple[object, ...], file: str) -> None:
    vm_in(front, 21)
    image_in(front, 4)
    assert front.refused(method, *args, user=PLAIN) == (0x200, measured(file))


@pytest.mark.parametrize(
    ("method", "args", "empty"),
    [
        ("vmpool.info", (-2, -1, -1, -1), "<VM_POOL></VM_POOL>"),
        ("vmpool.infoextended", (-2, -1, -1, -1), "<VM_POOL></VM_POOL>"),
        ("imagepool.info", (-2, -1, -1), "<IMAGE_POOL></IMAGE_POOL>"),
        ("hostpool.info", (), "<HOST_POOL></HOST_POOL>"),
    ],
)
def test_to_a_plain_user_pools_are_empty_without_an_error(
    front: Front, method: str, args: tuple[int, ...], empty: str
) -> None:
    front.running()
    assert front.call(method, *args, user=PLAIN) == empty
    assert front.call(method, *args, user="dr-portal") != empty
