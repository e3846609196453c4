"""A listening port that can be shut, or go dead without closing, in front of a server that knows nothing of it."""

from __future__ import annotations

import asyncio
import contextlib
import socket


class Door:
    """Forwards 127.0.0.1:`port` to 127.0.0.1:`inner`. Closed: connections are refused. Hung: accepted, never served.

    While it is closed the port stays its own: another lab that was given it would be taken for this site, come alive.
    """

    def __init__(self, inner: int) -> None:
        self.inner = inner
        self.port = 0
        self._server: asyncio.Server | None = None
        self._kept: socket.socket | None = None  # bound, and listening to nobody
        self._flow = asyncio.Event()
        self._flow.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, port: int = 0) -> int:
        """Raises OSError if the port is taken. Harmless when open already."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", port or self.port)
            self.port = self._server.sockets[0].getsockname()[1]
            self._let_port_go()
        return self.port

    async def close(self) -> None:
        """Refuse connections from now on, and cut those there are."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            self._keep_port()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _keep_port(self) -> None:
        self._kept = socket.socket()
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # somebody was faster
            self._kept.bind(("127.0.0.1", self.port))

    def _let_port_go(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def hang(self) -> None:
        self._flow.clear()

    def flow(self) -> None:
        """End a hang; what was held goes on its way."""
        self._flow.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        far: asyncio.StreamWriter | None = None
        try:
            await self._flow.wait()
            inside, far = await asyncio.open_connection("127.0.0.1", self.inner)
            self._writers.add(far)
            await asyncio.gather(self._pump(reader, far), self._pump(inside, writer))
        except (OSError, asyncio.CancelledError):
            pass  # either end went away, or the door was closed: nothing to say to anybody
        finally:
            for end in (writer, far):
                if end is not None:
                    self._writers.discard(end)
                    end.close()
            self._tasks.discard(task)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """To the end of `source`, even when `sink` is gone: closing with unread bytes would reset the connection, and
        the last words for the other end, such as why sshd hung up, would be lost."""
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                await self._flow.wait()
                with contextlib.suppress(OSError):
                    sink.write(data)
                    await sink.drain()
        with contextlib.suppress(OSError):
            if sink.can_write_eof() and not sink.is_closing():
                sink.write_eof()
