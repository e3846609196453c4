"""XML-RPC over HTTP/1.1 on asyncio: just enough of it for one front end at /RPC2."""

from __future__ import annotations

import asyncio
import contextlib
import xmlrpc.client
from collections.abc import Awaitable, Callable
from typing import Final
from xml.parsers.expat import ExpatError

PATH: Final = "/RPC2"
_MAX_BODY_BYTES: Final = 16 * 1024 * 1024

# Takes the body of a request; None cuts the connection without an answer.
Responder = Callable[[bytes], Awaitable[bytes | None]]


def decode_call(body: bytes) -> tuple[str, tuple[object, ...]]:
    """(method, parameters). Raises ValueError for anything that is no XML-RPC call."""
    try:
        params, method = xmlrpc.client.loads(body)
    except (ExpatError, xmlrpc.client.Error, ValueError, TypeError, LookupError) as error:
        raise ValueError(f"Call is not a proper XML-RPC call. {error}") from error
    if not method:
        raise ValueError("Call is not a proper XML-RPC call. It names no method.")
    return method, tuple(params)


def encode_success(result: str | int) -> bytes:
    return _encode([True, result, 0])


def encode_failure(text: str, code: int) -> bytes:
    return _encode([False, text, code, -1])


def encode_fault(code: int, text: str) -> bytes:
    return xmlrpc.client.dumps(xmlrpc.client.Fault(code, text)).encode()


def _encode(answer: list[object]) -> bytes:
    return xmlrpc.client.dumps((answer,), methodresponse=True).encode()


class HttpEndpoint:
    """One listening socket. `close` refuses further connections and cuts the open ones; `listen` may follow it."""

    def __init__(self, respond: Responder) -> None:
        self._respond = respond
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def listening(self) -> bool:
        return self._server is not None

    async def listen(self, host: str, port: int) -> int:
        """Returns the port; 0 asks for a free one."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=256 * 1024)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await self._serve_request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client went away, or talks something else
        finally:
            self._open.discard(writer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Returns whether the connection stays."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request_line, *lines = head.split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        method, path, _ = (request_line + "  ").split(" ", 2)
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > _MAX_BODY_BYTES:
            _write(writer, "400 Bad Request", b"", keep=False)
            return False
        body = await reader.readexactly(int(length))
        keep = headers.get("connection", "").lower() != "close"
        if path != PATH:
            _write(writer, "404 Not Found", b"", keep=keep)
        elif method != "POST":
            _write(writer, "405 Method Not Allowed", b"", keep=keep)
        else:
            answer = await self._respond(body)
            if answer is None:
                writer.transport.abort()
                return False
            _write(writer, "200 OK", answer, keep=keep)
        await writer.drain()
        return keep


def _write(writer: asyncio.StreamWriter, status: str, body: bytes, *, keep: bool) -> None:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n"
    )
    writer.write(head.encode("latin-1"))
    writer.write(body)
