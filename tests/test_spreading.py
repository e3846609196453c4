"""Which tests stay together, and which process takes which."""

from __future__ import annotations

import pytest

from tests.spreading import company, next_for, rank, waits


@pytest.mark.parametrize(
    ("nodeid", "group"),
    [
        ("tests/people/test_names.py::test_a[x]", "tests/people/test_names.py"),
        ("tests/faults/test_two_executors.py::test_a[P1]", "tests/faults/test_two_executors.py::test_a[P1]"),
        (
            "tests/contract/test_acts.py::test_a[ceph-program-installed]",
            "real Ceph: tests/contract/ ceph-program-librbd",
        ),
        ("tests/contract/test_traps.py::test_a[ceph]", "real Ceph: tests/contract/test_traps ceph"),
        ("tests/contract/test_traps.py::test_a[ceph-program-rbd]", "real Ceph: tests/contract/ ceph-program-rbd"),
        ("tests/site_program/test_faults.py::test_killed[librbd-before-act]", "real Ceph: site program librbd"),
        ("tests/site_program/test_faults.py::test_a_stale_number_has_no_effect[rbd]", "real Ceph: site program rbd"),
        ("tests/site_program/test_faults.py::test_killed[fake-before-act]", "tests/site_program/test_faults.py"),
        ("tests/site_program/test_least_caps.py::test_a[librbd]", "real Ceph: site program rbd"),
        ("tests/end_to_end/test_killing_processes.py::test_a[7]", "tests/end_to_end/test_killing_processes.py 1"),
    ],
)
def test_what_shares_something_costly_is_together(nodeid: str, group: str) -> None:
    assert company(nodeid) == group


def test_half_of_the_processes_begin_with_what_waits_and_each_takes_the_others_work_in_the_end() -> None:
    queue = sorted(["tests/people/test_names.py", "real Ceph: site program rbd"], key=rank)
    assert [next_for(place, queue) for place in range(4)] == [queue[0], queue[1]] * 2
    assert [waits(group) for group in queue] == [True, False]
    for place in range(2):
        assert next_for(place, queue[:1]) == queue[0]
        assert next_for(place, queue[1:]) == queue[1]
