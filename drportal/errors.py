"""The errors that people see. Each becomes one RFC 9457 problem document: status, code for programs, sentence."""

from __future__ import annotations


class PortalError(Exception):
    """Something was asked that is not going to happen.

    ``code`` is stable and for programs; ``detail`` says what happened, what was not done, and what to do next.
    ``extra`` is added to the problem document (JSON values only).
    """

    status = 400
    code = "bad_request"

    def __init__(
        self, detail: str, *, code: str | None = None, status: int | None = None, extra: dict[str, object] | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.code
        self.status = status or self.status
        self.extra = extra or {}


class NotFound(PortalError):
    status = 404
    code = "not_found"


class Forbidden(PortalError):
    status = 403
    code = "forbidden"


class Unauthenticated(PortalError):
    status = 401
    code = "not_signed_in"


class StaleVersion(PortalError):
    """The thing has changed since the caller read it (If-Match does not fit)."""

    status = 412
    code = "stale_version"


class Conflict(PortalError):
    status = 409
    code = "conflict"


class Invalid(PortalError):
    status = 422
    code = "invalid"


class WorkerUnavailable(PortalError):
    status = 503
    code = "no_worker"
