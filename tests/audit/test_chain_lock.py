"""Many writers at once still make one line."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, transaction

from drportal.audit.check import verify_database
from drportal.audit.models import AuditEntry
from drportal.audit.record import record


@pytest.mark.django_db(transaction=True)
def test_writers_at_the_same_time_make_one_chain_without_a_gap() -> None:
    troubles: list[BaseException] = []
    start = threading.Barrier(4)

    def write(name: str) -> None:
        try:
            start.wait(10)
            for number in range(10):
                with transaction.atomic():
                    record("test.write", f"{name} {number}", {}, actor=name)
        except BaseException as error:
            troubles.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(f"writer {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not troubles
    assert AuditEntry.objects.count() == 40
    assert verify_database().ok
