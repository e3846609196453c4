"""How old a mirror status is, by the site's own clock."""

from __future__ import annotations

import datetime as dt
import functools

_STAMP = "%Y-%m-%d %H:%M:%S"


def age_s(last_update: str, site_now: dt.datetime | None) -> float | None:
    """Seconds since ``last_update``, both by the site's clock and in its local time; None if either is missing.

    A negative age (a clock that was set back) is kept: it is not fresh, and hiding it would make it look so.
    """
    updated = _read(last_update)
    if site_now is None or updated is None:
        return None
    # Both ends are the site's local wall clock; the zone is left out on purpose, because rbd prints none.
    return (site_now.replace(tzinfo=None) - updated).total_seconds()


@functools.lru_cache(maxsize=1024)  # thousands of images have the same few times
def _read(stamp: str) -> dt.datetime | None:
    try:
        return dt.datetime.strptime(stamp, _STAMP)
    except ValueError:
        return None
