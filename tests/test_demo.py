"""What a demo leaves behind for the next one."""

from __future__ import annotations

from pathlib import Path

from drportal import demo


def test_a_new_demo_is_not_held_against_the_trail_of_the_one_before(tmp_path: Path) -> None:
    """Its secrets stay, so that somebody who is signed in need not wonder; of its trail nothing does."""
    env = demo.environment(tmp_path, 1, 2)
    anchors, database = env["DRPORTAL_ANCHORS"].removeprefix("file:"), env["DRPORTAL_DATABASE_URL"].partition("///")[2]
    for path in (anchors, database, f"{database}-wal"):
        Path(path).write_text("of the trail before")
    demo.forget_the_world(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.json"]
