"""docs/site-program.md is the protocol: whatever the program takes or says has its word there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drportal.site_program.acts import _RECEIPT_FIELDS
from drportal.site_program.assemble import program_text
from drportal.site_program.wire import IMAGE_PARTS, POOL_PARTS, PROGRAM_VERSION, VERBS
from tests.site_program.running import SiteProcess

PAGE = (Path(__file__).parents[2] / "docs" / "site-program.md").read_text()
WORDS = {
    "verbs": set(VERBS),
    "fields of requests": {field for fields in VERBS.values() for field in fields},
    "parts": {*IMAGE_PARTS, *POOL_PARTS},
    "members of receipts": {*_RECEIPT_FIELDS, "alive"},
    "codes of refusals": set(re.findall(r'Fault\(\s*"([a-z-]+)"', program_text())),
}


@pytest.mark.parametrize("kind", WORDS)
def test_every_word_is_on_the_page(kind: str) -> None:
    assert len(WORDS[kind]) > 5
    assert [word for word in sorted(WORDS[kind]) if f"`{word}`" not in PAGE] == []


def test_every_argument_is_on_the_page() -> None:
    arguments = re.findall(r'add_argument\("(--[a-z-]+)"', program_text())
    assert len(arguments) > 7
    assert [argument for argument in arguments if f"| `{argument}" not in PAGE] == []


def test_hello_is_on_the_page_as_it_is_said(program: SiteProcess) -> None:
    told = PAGE[PAGE.index('{"hello": "drportal-site"') :].split("```")[0]
    members = re.findall(r'"([a-z0-9_]+)":', told)
    assert sorted(members) == sorted([*program.hello, *program.hello["limits"]])
    assert f'"program": "{PROGRAM_VERSION}"' in told
