"""The control endpoint of a lab: POST /VERB with a JSON object and a bearer token. Used by both labs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from drportal.lab.control import LabError

log = logging.getLogger(__name__)
Handle = Callable[[str, dict[str, Any]], Awaitable[Any]]
_MAX_BODY = 2**20


class ControlEndpoint:
    """Answers {"result": ...} with what `handle(verb, params)` returns, or 400 {"error": sentence} for a LabError."""

    def __init__(self, handle: Handle, token: str) -> None:
        self._handle = handle
        self._token = token
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            status, body = await self._answer(reader)
            text = json.dumps(body).encode()
            head = [
                f"HTTP/1.1 {status}",
                "Content-Type: application/json",
                f"Content-Length: {len(text)}",
                "Connection: close",
            ]
            writer.write("\r\n".join([*head, "", ""]).encode() + text)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            log.info("a control connection ended before its answer")
        finally:
            with contextlib.suppress(OSError):
                writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[str, dict[str, Any]]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        method, path, *_ = [*head[0].split(), "", ""]
        length = fields.get("content-length", "0")
        if not length.isdigit() or int(length) > _MAX_BODY:
            return "413 Too Large", {"error": "The request is too large."}
        body = await reader.readexactly(int(length))
        if not secrets.compare_digest(fields.get("authorization", ""), f"Bearer {self._token}"):
            return "401 Unauthorized", {"error": "The token is wrong; it is in lab.json."}
        if method != "POST":
            return "405 Method Not Allowed", {"error": "Only POST /VERB."}
        try:
            params = json.loads(body or b"{}")
            return "200 OK", {"result": await self._handle(path.strip("/"), params)}
        except LabError as error:
            return "400 Bad Request", {"error": str(error)}
        except Exception as error:  # the boundary: whatever it was, the caller must hear of it
            log.exception("control request %s failed", path)
            return "500 Internal Server Error", {"error": f"The lab failed: {type(error).__name__}: {error}"}
