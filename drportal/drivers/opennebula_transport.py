"""How a call travels to an OpenNebula front end: XML-RPC over HTTP with a time limit that holds.

pyone's own ``timeout`` sets a process-wide socket default and does not end a call, and its transport obeys proxy
settings of the environment, which would get our credentials. So pyone builds and addresses the calls here, and this
transport carries them. A new TCP connection for each call: oned's MAX_CONN is 15 and idle connections count.
"""

from __future__ import annotations

import time
import xmlrpc.client
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from pyone.server_xrpc import OneServerXRPC, RequestsTransport

ANSWER_LIMIT_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class OpenNebulaTarget:
    """A front end. ``verify``: check its TLS certificate by the system's CAs (True) or those of a file (its path)."""

    url: str
    username: str
    password: str = field(repr=False)
    verify: bool | str = True

    @property
    def name(self) -> str:
        return urlsplit(self.url).netloc.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Reply:
    """What oned answered: (ok, a document or an id or an error text, error code)."""

    ok: bool
    body: Any
    code: int


class NotSentError(Exception):
    """The call surely did not reach oned."""


class NoAnswerError(Exception):
    """The call was sent, or may have been, and no readable answer came back."""


class FrontEnd(OneServerXRPC):  # type: ignore[misc]
    """pyone's server object for the calls of one thread, with our transport, giving oned's reply as it came.

    pyone would turn an error into an exception that has lost its code, and a document into objects without its text.
    """

    def __init__(self, target: OpenNebulaTarget, *, connect_s: float, total_s: float) -> None:
        super().__init__(target.url, f"{target.username}:{target.password}", https_verify=target.verify)
        carrier = _Transport(connect_s, total_s)
        carrier.set_https(target.url.startswith("https:"))
        carrier.set_https_verify(target.verify)
        # The only way in: xmlrpc.client keeps the transport in a private attribute. pyone's version is pinned for it.
        self._ServerProxy__transport = carrier

    def __repr__(self) -> str:
        return "<FrontEnd>"

    def _do_request(self, method: str, params: Sequence[Any]) -> tuple[bool, Reply, int]:
        """pyone's hook around a call. Success, so that pyone hands on the Reply untouched."""
        # Raised outside of the handlers, so that no exception keeps a reference to the request and its session string.
        fault: Reply | None = None
        problem: Exception | None = None
        try:
            answer = xmlrpc.client.ServerProxy._ServerProxy__request(self, method, params)  # type: ignore[attr-defined]
        except xmlrpc.client.Fault as exc:
            fault = Reply(False, str(exc.faultString), int(exc.faultCode))
        except (NotSentError, NoAnswerError) as exc:
            problem = type(exc)(*exc.args)
        except Exception as exc:  # junk of any kind: xmlrpc.client and expat have many words for it
            problem = NoAnswerError(f"the answer can't be read ({type(exc).__name__})")
        if problem is not None:
            raise problem
        return True, fault or _reply(answer), 0


def _reply(answer: Any) -> Reply:
    if not isinstance(answer, list | tuple) or len(answer) < 2 or not isinstance(answer[0], bool):
        raise NoAnswerError("the answer is not one of OpenNebula")
    code = answer[2] if len(answer) > 2 and isinstance(answer[2], int) else 0
    return Reply(answer[0], answer[1], code)


class _Transport(RequestsTransport):  # type: ignore[misc]
    """Carries one call. ``total_s`` bounds the whole exchange, also against a server that sends a byte now and then."""

    def __init__(self, connect_s: float, total_s: float) -> None:
        super().__init__()
        self._connect_s = connect_s
        self._total_s = total_s
        # Made once, because making one costs as much as the call; each call still has a connection of its own, for one
        # that oned closes just as we send would leave open whether it was done.
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy and no netrc from the environment

    def request(self, host: str, handler: str, request_body: bytes, verbose: bool = False) -> Any:
        problem: Exception
        try:
            return self._exchange(self._build_url(host, handler), request_body)
        except requests.RequestException as exc:
            problem = _sorted_out(exc)
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            problem = NoAnswerError(f"the connection broke while the answer was read ({type(exc).__name__})")
        raise problem

    def _exchange(self, url: str, body: bytes) -> Any:
        ends = time.monotonic() + self._total_s
        with self._session.post(
            url,
            data=body,
            headers=self.headers | {"Connection": "close"},
            verify=self.https_verify,
            timeout=(self._connect_s, self._total_s),
            allow_redirects=False,
            stream=True,
        ) as response:
            _check_status(response)
            return self._parsed(response, ends)

    def _parsed(self, response: requests.Response, ends: float) -> Any:
        parser, target = self.getparser()
        size = 0
        for chunk in response.iter_content(_CHUNK_BYTES):
            size += len(chunk)
            if size > ANSWER_LIMIT_BYTES:
                raise NoAnswerError(f"the answer is larger than {ANSWER_LIMIT_BYTES // 2**20} MiB")
            if time.monotonic() > ends:
                raise NoAnswerError(f"the answer was not complete after {self._total_s:.0f} s")
            parser.feed(chunk)
        parser.close()
        return target.close()


def _check_status(response: requests.Response) -> None:
    status = response.status_code
    if status == 200:
        return
    if 300 <= status < 500:
        # A proxy or a wrong address: oned itself answers 200 or drops the connection.
        raise NotSentError(f"HTTP status {status} instead of an answer: the address may be wrong")
    raise NoAnswerError(f"HTTP status {status} instead of an answer")


def _sorted_out(exc: requests.RequestException) -> Exception:
    """Whether a failed exchange can have reached oned. The words are ours: those of requests may hold the request."""
    if isinstance(exc, requests.exceptions.ConnectTimeout):
        return NotSentError("no answer to a connect")
    if isinstance(exc, requests.exceptions.SSLError):
        return NotSentError("its TLS certificate or handshake was not accepted")
    if isinstance(exc, requests.exceptions.ReadTimeout):
        return NoAnswerError("it accepted the call and did not answer in time")
    if isinstance(exc, requests.exceptions.ConnectionError):
        reason = getattr(exc.args[0] if exc.args else None, "reason", None)
        if isinstance(reason, urllib3.exceptions.NewConnectionError):
            return NotSentError("the connection was refused or the name is unknown")
        return NoAnswerError("the connection was cut before the answer came")
    if isinstance(exc, ValueError):  # requests' InvalidURL, MissingSchema and their kin
        return NotSentError(f"the address can't be used ({type(exc).__name__})")
    return NoAnswerError(f"the exchange failed ({type(exc).__name__})")
