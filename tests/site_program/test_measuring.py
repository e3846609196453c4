"""Counting a journal's entries and comparing two states of an image, without a cluster."""

from __future__ import annotations

import pytest

from drportal.site_program.clients import Clients
from drportal.site_program.measuring import BLOCK_BYTES, MEASURE_WITHIN_S, compared, counted
from drportal.site_program.wire import Fault

# As `rbd journal inspect --verbose` of 16.2.15 writes it.
ENTRY = """Entry: tag_id={tag}, commit_tid={tid}
{{
    "event_type": "{kind}",
    "offset": 1060864,
    "length": {length},
    "timestamp": "2026-11-28T11:17:40.012123+0000"
}}
"""
OTHERS = """Entry: tag_id=7, commit_tid=4
{
    "event_type": "AioFlush",
    "timestamp": "2026-11-28T11:17:40.012261+0000"
}
Entry: tag_id=9, commit_tid=5
{
    "event_type": "Demote/Promote",
    "timestamp": "0.000000"
}
"""


def journal(summary: str = "Summary:\n  5 entries inspected, 0 errors\n") -> str:
    entries = [ENTRY.format(tag=6 + tid // 3, tid=tid, kind="AioWrite", length=4096) for tid in (1, 2)]
    return "".join([*entries, ENTRY.format(tag=7, tid=3, kind="AioDiscard", length=8192), OTHERS, summary])


def test_writes_are_counted_over_tags_and_a_demotion_is_none() -> None:
    assert counted(journal()) == {"entries": 3, "bytes": 2 * 4096 + 8192, "how": "journal"}
    assert counted("Summary:\n  0 entries inspected, 0 errors\n") == {"entries": 0, "bytes": 0, "how": "journal"}


@pytest.mark.parametrize("summary", ["", "Summary:\n  5 entries inspected, 2 errors\n"])
def test_half_a_journal_is_no_figure(summary: str) -> None:
    with pytest.raises(Fault, match="could not be read whole"):
        counted(journal(summary))


class Image:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def size(self) -> int:
        return len(self.content)

    def read(self, offset: int, length: int) -> bytes:
        return self.content[offset : offset + length]


def test_blocks_that_differ_are_counted_whole_a_grown_end_too() -> None:
    then = bytes(5 << 20)
    now = bytearray(then) + bytearray(BLOCK_BYTES)
    assert compared(Image(then), Image(then))["bytes"] == 0
    now[10] = 1
    now[(4 << 20) + 5] = now[(4 << 20) + 6] = 1
    assert compared(Image(then), Image(bytes(now)))["bytes"] == 3 * BLOCK_BYTES


def test_what_takes_too_long_is_given_up_with_a_word() -> None:
    ticks = iter([0.0, 1.0, MEASURE_WITHIN_S + 1.0])
    with pytest.raises(Fault) as caught:
        compared(Image(bytes(9 << 20)), Image(bytes(9 << 20)), lambda: next(ticks))
    assert caught.value.code == "too-long"


def test_the_rbd_client_says_that_it_cannot_compare_with_a_mirror_snapshot() -> None:
    with pytest.raises(Fault) as caught:
        Clients(None).measure("one", "disk", 9)
    assert caught.value.code == "not-allowed"
