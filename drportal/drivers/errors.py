"""Every way in which a site can disappoint us, classified once.

A driver raises nothing but these. The class says what may be believed about the act:

=====================  =====================================================================
class                  what is known
=====================  =====================================================================
``Refused``            the site answered and did *not* do it; ``reason`` says why
``AlreadySo``          the site answered: the wished state is there already
``Unreachable``        surely not sent, or a read that got no answer; nothing changed
``IdentityChanged``    the host key is not the pinned one; nothing was sent
``OutcomeUnknown``     sent, and no trustworthy answer came back: look before anything else
=====================  =====================================================================
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drportal.drivers.base import Answer


class Reason(enum.StrEnum):
    """Why a site refused.

    The texts and exit codes behind each are in ``drivers/ceph_errors.py`` and ``drivers/opennebula.py``.
    """

    NOT_FOUND = "not_found"
    DEMOTION_NOT_ARRIVED = "demotion_not_arrived"
    NOT_MIRRORED = "not_mirrored"
    IS_PRIMARY = "is_primary"
    IS_NOT_PRIMARY = "is_not_primary"
    LOCK_HELD = "lock_held"
    BUSY = "busy"  # the site program: another operation acts on the image, or too many wait; not begun
    WRONG_STATE = "wrong_state"
    STALE_FENCE = "stale_fence"
    LOCKED = "locked"
    NO_RIGHTS = "no_rights"
    BAD_CREDENTIALS = "bad_credentials"
    NO_ROOM = "no_room"
    NAME_TAKEN = "name_taken"
    BAD_REQUEST = "bad_request"
    UNREADABLE = "unreadable"
    OTHER = "other"


class DriverError(Exception):
    """Base of all driver errors.

    ``detail`` is a sentence for the operator; ``answer`` is the raw answer behind it, where there was one.
    """

    def __init__(self, detail: str, answer: Answer | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.answer = answer


class Refused(DriverError):
    """The site answered, and it did not do what was asked."""

    def __init__(self, detail: str, reason: Reason, answer: Answer | None = None) -> None:
        super().__init__(detail, answer)
        self.reason = reason


class AlreadySo(DriverError):
    """The site answered that the wished state is already there. Still to be proved by a read."""


class Unreachable(DriverError):
    """No conversation took place (or a read stayed without an answer). Nothing was changed."""


class IdentityChanged(DriverError):
    """The host showed a key that is not the pinned one. Nothing was sent."""


class OutcomeUnknown(DriverError):
    """Something that changes the site was sent, and its end is not known. Only an exact read may resolve this."""
