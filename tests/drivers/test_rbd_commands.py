from __future__ import annotations

import pytest

from drportal.drivers.base import ImageRef
from drportal.drivers.rbd_commands import RbdCommands, command_line, kept_name, one_line
from drportal.site_program.wire import VERBS

REF = ImageRef("one", "one-0-0-0")
LIMITS = "--client-mount-timeout 5 --rados-mon-op-timeout 5 --rados-osd-op-timeout 5"


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (RbdCommands().pool_info("one"), f"rbd {LIMITS} mirror pool info one --format json"),
        (RbdCommands().pool_status("one"), f"rbd {LIMITS} mirror pool status one --verbose --format json"),
        (RbdCommands().list_images("one"), f"rbd {LIMITS} ls -l one --format json"),
        (RbdCommands().info(REF), f"rbd {LIMITS} info one/one-0-0-0 --format json"),
        (RbdCommands().image_status(REF), f"rbd {LIMITS} mirror image status one/one-0-0-0 --format json"),
        (RbdCommands().journal_status(REF), f"rbd {LIMITS} journal status --pool one --image one-0-0-0 --format json"),
        (RbdCommands().snapshots(REF), f"rbd {LIMITS} snap ls --all one/one-0-0-0 --format json"),
        (RbdCommands().watchers(REF), f"rbd {LIMITS} status one/one-0-0-0 --format json"),
        (RbdCommands().mirror_daemons("one"), f"rados {LIMITS} -p one listwatchers rbd_mirroring"),
        (RbdCommands("portal").info(REF), f"rbd {LIMITS} --id portal info one/one-0-0-0 --format json"),
        (RbdCommands().demote(REF), "rbd mirror image demote one/one-0-0-0"),
        (RbdCommands("portal").promote(REF), "rbd --id portal mirror image promote one/one-0-0-0"),
    ],
)
def test_each_command_is_what_a_person_would_type(argv: tuple[str, ...], expected: str) -> None:
    assert command_line(argv) == expected


def test_no_builder_can_force() -> None:
    commands = RbdCommands()
    made = [getattr(commands, name) for name in dir(commands) if not name.startswith("_")]
    with_ref = [make(REF) for make in made if callable(make) and make.__name__ in ("demote", "promote", "info")]
    assert with_ref
    assert not any("force" in word for argv in with_ref for word in argv)
    for word in ("force", "promote --force", "force-promote", "rm"):
        with pytest.raises(KeyError):
            commands.act(word, REF)


def test_an_act_of_several_commands_is_shown_in_one_line_as_a_site_takes_it() -> None:
    commands = RbdCommands()
    clients = one_line(commands.shut_out(f"10.0.0.{number}:0/7") for number in (1, 2))
    assert clients == "ceph osd blocklist add 10.0.0.1:0/7 86400 && ceph osd blocklist add 10.0.0.2:0/7 86400"
    copied = one_line(commands.keep_copy(REF, kept_name(REF.name, "operation-1")))
    assert copied.endswith(
        ".part && rbd rename one/one-0-0-0.kept-{0}.part one/one-0-0-0.kept-{0}".format(copied[-16:])
    )
    for verb, line in (("fence", clients), ("salvage-copy", copied)):
        _, check = VERBS[verb]["shown"]
        assert check("shown", line) == line


def test_a_hundred_clients_with_the_longest_addresses_fit_into_the_line_that_a_site_takes() -> None:
    commands = RbdCommands("drportal-act-at-site-a")
    address = "[1234:1234:1234:1234:1234:1234:123.123.123.123]:65535/4294967295"
    _, check_clients = VERBS["fence"]["addresses"]
    _, check_line = VERBS["fence"]["shown"]
    line = one_line(commands.shut_out(one) for one in check_clients("addresses", [address] * 100))
    assert check_line("shown", line) == line
