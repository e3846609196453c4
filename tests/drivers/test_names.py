from __future__ import annotations

import shlex
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drportal.drivers.base import ImageRef
from drportal.drivers.names import BadName, checked_name, is_good_name
from drportal.drivers.rbd_commands import RbdCommands, command_line

ALLOWED = set(string.ascii_letters + string.digits + "_.-")
SHELL_NASTIES = "-;&|$`'\"\\ \n\t\x00*?~<>(){}[]!#%^=+@/:,éñ\u202e"


@pytest.mark.parametrize("name", ["one", "one-0-0-0", "one-7", "one-sys-3-1", "a" * 96, "A.b_c-d", "0"])
def test_it_accepts_the_names_that_ceph_and_opennebula_make(name: str) -> None:
    assert checked_name(name, "image") == name


@pytest.mark.parametrize(
    "name", ["", "-rf", "--force", "a b", "a/b", "a@b", "a:b", "one-0\n", "a" * 97, "a;true", "$(true)", "ä", "a\x00"]
)
def test_it_refuses_names_that_could_be_options_paths_or_shell_words(name: str) -> None:
    with pytest.raises(BadName):
        checked_name(name, "image")
    with pytest.raises(BadName):
        ImageRef("one", name)
    with pytest.raises(BadName):
        ImageRef(name, "one-1")


@given(st.text(alphabet=st.one_of(st.sampled_from(SHELL_NASTIES), st.characters()), max_size=120))
def test_only_plain_names_pass_whatever_is_thrown_at_it(name: str) -> None:
    plain = 1 <= len(name) <= 96 and set(name) <= ALLOWED and name[0] != "-"
    assert is_good_name(name) == plain


@given(st.from_regex(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,95}", fullmatch=True), st.sampled_from(["demote", "promote"]))
def test_a_name_stays_one_word_of_the_command_line(name: str, act: str) -> None:
    argv = RbdCommands().act(act, ImageRef("one", name))
    assert shlex.split(command_line(argv)) == ["rbd", "mirror", "image", act, f"one/{name}"]


def test_a_bad_ceph_user_never_becomes_an_option() -> None:
    with pytest.raises(BadName):
        RbdCommands("--conf=/tmp/evil")
