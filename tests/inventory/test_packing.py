"""Raw answers are kept small, and what was kept can be read for ever."""

from __future__ import annotations

import pytest

from drportal.inventory.packing import packed, unpacked

KEPT = "0178bbda7f24eaab262ebde0b0a45601544dbddfbfd7461f48030013ee1b8b"


def test_what_was_kept_by_the_first_portal_that_packed_is_read_as_it_was() -> None:
    said = '{"state":"up+replaying","description":"local image is primary"} <VM>\ufffd</VM>'
    assert unpacked(bytes.fromhex(KEPT)) == said


@pytest.mark.parametrize("said", ["", "x", '{"name": "one-1"}' * 9000, "\ufffd\U0001f5a5\ud800"])
def test_an_answer_comes_back_as_it_was(said: str) -> None:
    assert unpacked(packed(said)) == said


def test_another_form_is_not_taken_for_this_one() -> None:
    with pytest.raises(ValueError, match="a form that is not known"):
        unpacked(b"\x02" + bytes.fromhex(KEPT)[1:])
