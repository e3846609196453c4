"""What the site program tells of Ceph at one site: many reads in one exchange."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from sys import intern
from typing import Any

from drportal.drivers import ceph_parse as parse
from drportal.drivers.base import (
    Answer,
    ImageInfo,
    ImageRef,
    JournalReading,
    MirrorClients,
    MirrorStatus,
    PoolReading,
    SnapshotReading,
    SnapshotSchedules,
    WatcherReading,
)
from drportal.drivers.errors import DriverError, Reason, Refused, Unreachable
from drportal.drivers.gathering import Gatherer
from drportal.drivers.names import is_good_name
from drportal.drivers.observation import IMAGE_PARTS, ImageObservation, Measured, Part, PoolObservation
from drportal.drivers.site_link import AnswerLost, Hello, Reply, SiteLink, Taker
from drportal.drivers.site_program_errors import refusal
from drportal.drivers.site_program_words import (
    PARSERS,
    clock_of,
    digits,
    error_of,
    seen,
)
from drportal.drivers.told import Told
from drportal.drivers.vantage import Address, Seen

MEASURE_S = 65.0  # beyond a read's own time: what the site program gives itself, and a little
_NONE: dict[Part, DriverError] = {}  # one for all
_POOL_PARTS = ("pool", "listing", "status")


class ProgramReader:
    """The reads of a ``CephSite`` that is reached through the site program. Raises only ``drivers.errors``.

    ``told``: of each pool what was told before, for who asks again and again over one connection after the other.
    """

    def __init__(self, link: SiteLink, *, deadline_s: float, told: dict[str, Told] | None = None) -> None:
        self._link = link
        self._deadline_s = deadline_s
        self._together = Gatherer(self._ask_together)
        self._told = {} if told is None else told

    async def hello(self) -> Hello:
        """What the program says of itself: engine, versions, rights."""
        return await self._link.hello()

    async def _read(
        self, what: str, verb: str, more_s: float = 0.0, taker: Taker | None = None, /, **fields: Any
    ) -> Reply:
        """An answer that is ``ok``, in time (``more_s``: more of it); ``taker``: takes its images as they come.

        Raises Unreachable, IdentityChanged, Refused.
        """
        try:
            reply = await self._link.ask(verb, fields, deadline_s=self._deadline_s + more_s, images=taker)
        except AnswerLost as lost:
            raise Unreachable(f"{self._host} did not answer `{what}`: {lost}. Nothing was changed.") from lost
        if not reply.content.get("ok"):
            raise refusal(error_of(reply.content), self._answer(what, reply, reply.content.get("error")))
        return reply

    @property
    def _host(self) -> str:
        return self._link.target.name

    def _answer(self, command: str, reply: Reply, said: object, exit_status: int = 0) -> Answer:
        text = json.dumps(said, separators=(",", ":"))
        return Answer(command, self._host, exit_status, text, "", reply.started_at, reply.duration_s)

    async def _image(self, ref: ImageRef, part: Part) -> tuple[Answer, Reply]:
        what = f"observe-image {ref} {part}"
        reply = await self._together.ask((ref.pool, (part,)), ref.name)
        image = reply.content["images"].get(ref.name) or {"absent": True}
        return self._part(what, reply, image, ref.name, part), reply

    async def image(self, ref: ImageRef, parts: Collection[Part]) -> ImageObservation:
        """See ``CephSite.image``: what is asked of many images at the same moment is one exchange."""
        wanted = tuple(part for part in IMAGE_PARTS if part in parts)
        reply = await self._together.ask((ref.pool, wanted), ref.name)
        return self._observation(reply, ref, reply.content["images"].get(ref.name) or {"absent": True}, wanted)

    async def _ask_together(self, about: tuple[str, tuple[Part, ...]], names: list[str]) -> Reply:
        """The same parts of some images, in the shape of observe-pool's answer."""
        pool, parts = about
        words = [part.value for part in parts]
        if len(names) > 1:
            what = f"observe-pool {pool} {' '.join(words)} of {len(names)} images"
            return await self._read(what, "observe-pool", pool=pool, parts=words, images=names)
        what = f"observe-image {pool}/{names[0]} {' '.join(words)}"
        reply = await self._read(what, "observe-image", pool=pool, image=names[0], parts=words)
        return replace(reply, content={**reply.content, "images": {names[0]: reply.content["image"]}})

    def _part(self, what: str, reply: Reply, image: dict[str, Any], name: str, part: Part) -> Answer:
        """One part of one image as an answer of its own. Raises Refused, Unreachable."""
        if image.get("absent"):
            answer = self._answer(what, reply, image, exit_status=2)
            raise Refused(f"There is no image {name} at {self._host}.", Reason.NOT_FOUND, answer)
        if part.value not in image:
            error = (image.get("errors") or {}).get(part.value)
            answer = self._answer(what, reply, error, exit_status=1)
            raise (
                refusal(error, answer)
                if error
                else Refused(f"{name} at {self._host} has no {part}.", Reason.OTHER, answer)
            )
        return self._answer(what, reply, image[part.value])

    async def info(self, ref: ImageRef) -> ImageInfo:
        answer, _ = await self._image(ref, Part.INFO)
        return parse.info(ref, answer)

    async def journal(self, ref: ImageRef) -> JournalReading:
        answer, _ = await self._image(ref, Part.JOURNAL)
        return parse.journal(ref, answer)

    async def snapshots(self, ref: ImageRef) -> SnapshotReading:
        answer, _ = await self._image(ref, Part.SNAPSHOTS)
        return parse.snapshots(ref, answer)

    async def watchers(self, ref: ImageRef) -> WatcherReading:
        answer, _ = await self._image(ref, Part.WATCHERS)
        return parse.watchers(ref, answer)

    async def status(self, ref: ImageRef) -> tuple[MirrorStatus, Answer]:
        answer, reply = await self._image(ref, Part.STATUS)
        return parse.status(answer, clock_of(reply)), answer

    async def observe(
        self, pool: str, parts: Collection[Part], names: Collection[str] | None = None
    ) -> PoolObservation:
        """See ``CephSite.observe``: one exchange, whatever is asked for."""
        if names is not None and Part.POOL in parts:
            # The pool's own reading is of all its images.
            rest = [part for part in parts if part is not Part.POOL]
            some, reading = await asyncio.gather(self.observe(pool, rest, names), self.pool(pool))
            return replace(some, pool=reading, answers=some.answers + reading.answers)
        if names is None and set(parts) == {Part.INFO, Part.POOL}:
            told = self._told.setdefault(pool, Told())
            if told.large and (await self.hello()).raw.get("news"):
                return await self._news(pool, told)
        of_images = [part for part in IMAGE_PARTS if part in parts]
        words = [part.value for part in Part if part in parts]
        words += [word for word in _POOL_PARTS if Part.POOL in parts and word not in words]
        what = f"observe-pool {pool} {' '.join(words)}"
        fields: dict[str, Any] = {"pool": pool, "parts": words}
        if names is not None:
            fields["images"] = sorted(names)
        reply = await self._read(what, "observe-pool", **fields)
        return self._observed(pool, what, reply, parts, of_images)

    def _observed(
        self, pool: str, what: str, reply: Reply, parts: Collection[Part], of_images: Sequence[Part]
    ) -> PoolObservation:
        """A reply that has everything it was asked for."""
        images = {
            name: self._observation(reply, ImageRef(pool, name), image, of_images)
            for name, image in reply.content["images"].items()
            if is_good_name(name)
        }
        return PoolObservation(
            images=images,
            pool=self._pool_reading(pool, what, reply) if Part.POOL in parts else None,
            mirror_clients=self._mirror_clients(pool, what, reply) if Part.MIRROR_CLIENTS in parts else None,
            answers=(self._answer(what, reply, {"images": len(images)}),),
        )

    async def _news(self, pool: str, told: Told) -> PoolObservation:
        """As ``observe`` with the roles of all images and the pool, but what was told before is not told again."""
        what, parts = f"observe-pool {pool} info pool listing status", ["info", *_POOL_PARTS]
        async with told.lock:
            asked = Reply({}, dt.datetime.now(dt.UTC), 0.0)
            taking = told.taking(
                lambda name, image: (
                    self._observation(asked, ImageRef(pool, intern(name)), image, [Part.INFO])
                    if is_good_name(name)
                    else None
                ),
                lambda name, said: self._answer(f"observe-image {pool}/{name}", asked, said),
            )
            reply = await self._read(what, "observe-pool", 0.0, taking.images, pool=pool, parts=parts, news=told.number)
            self._whole(what, reply)
            if reply.content.get("since") == 0 and taking.few is not None:
                told.forget()
                told.large = False
                whole = replace(reply, content={**reply.content, "images": taking.few})
                return self._observed(pool, what, whole, (Part.INFO, Part.POOL), (Part.INFO,))
            answers = taking.end(reply.content)
            return PoolObservation(
                images=dict(told.images),
                pool=self._pool_reading(pool, what, reply, told),
                mirror_clients=None,
                answers=(self._answer(what, reply, {"images": taking.count}),),
                asked_at=reply.started_at,
                news=tuple(
                    replace(answer, started_at=reply.started_at, duration_s=reply.duration_s) for answer in answers
                ),
            )

    def _whole(self, what: str, reply: Reply) -> None:
        """Raises Refused, Unreachable when a part of the pool could not be read."""
        errors = reply.content.get("errors", {})
        for part in _POOL_PARTS:
            if part in errors:
                raise refusal(errors[part], self._answer(what, reply, errors, 1))

    def _observation(
        self, reply: Reply, ref: ImageRef, image: dict[str, Any], parts: Sequence[Part]
    ) -> ImageObservation:
        if image.get("absent"):
            return ImageObservation(ref, absent=True)
        found, troubles = dict[str, Any](), dict[Part, DriverError]()
        clock = clock_of(reply) if Part.STATUS in parts else None  # ten thousand times what says the same
        for part in parts:
            try:
                if part is Part.JOURNAL and part.value not in image and part.value not in image.get("errors", {}):
                    continue
                answer = self._part(f"observe-image {ref} {part}", reply, image, ref.name, part)
                said = image[part.value]
                found[part.value] = (
                    parse.status(answer, clock, said) if part is Part.STATUS else PARSERS[part](ref, answer, said)
                )
            except DriverError as error:
                troubles[part] = error
        return ImageObservation(ref, troubles=troubles or _NONE, **found)

    async def pool(self, pool: str) -> PoolReading:
        """Info, daemons, states and list of one pool in one exchange. One that fails fails the whole reading."""
        reading = (await self.observe(pool, [Part.POOL])).pool
        assert reading is not None
        return reading

    def _pool_reading(self, pool: str, what: str, reply: Reply, told: Told | None = None) -> PoolReading:
        """``told``: what was told before, where the reply has only news."""
        self._whole(what, reply)
        content = reply.content
        about = content.get("pool") or {}
        state = {"summary": about.get("summary"), "daemons": about.get("daemons")}
        if told is None:
            state["images"] = [image["status"] for image in content["images"].values() if "status" in image]
        info = self._answer(f"{what} (info)", reply, about.get("info"))
        status = self._answer(f"{what} (status)", reply, state)
        listing = self._answer(f"{what} (listing)", reply, content.get("listing"))
        clock, clock_said = clock_of(reply), self._answer(f"{what} (site_clock)", reply, content.get("site_clock"))
        mode, site_name, peers = parse.parsed(info, parse.pool_info)
        health, daemon_health, daemons = parse.parsed(status, parse.pool_health, state)
        if told is None:
            statuses = parse.parsed(status, lambda data: parse.pool_statuses(data, clock), state)
            names, parents = parse.parsed(listing, parse.image_list)
        else:
            statuses, (names, parents) = dict(told.statuses), told.listing
        ended_at = reply.started_at + dt.timedelta(seconds=reply.duration_s)
        answers: tuple[Answer, ...] = (info, status, listing, clock_said)
        if "listing" in content.get("same", ()):
            answers = (info, status, clock_said)
        return PoolReading(
            pool=pool,
            mode=mode,
            site_name=site_name,
            peers=peers,
            health=health,
            daemon_health=daemon_health,
            daemons=daemons,
            statuses=statuses,
            image_names=names,
            parents=parents,
            site_clock_skew_s=(clock - ended_at).total_seconds() if clock is not None else None,
            answers=answers,
            site_now=clock if told is not None else None,
        )

    async def mirror_clients(self, pool: str) -> MirrorClients:
        reading = (await self.observe(pool, [Part.MIRROR_CLIENTS])).mirror_clients
        assert reading is not None
        return reading

    def _mirror_clients(self, pool: str, what: str, reply: Reply) -> MirrorClients:
        if error := (reply.content.get("errors") or {}).get("mirror-clients"):
            raise refusal(error, self._answer(what, reply, error, 1))
        answer = self._answer(f"{what} (mirror-clients)", reply, reply.content.get("mirror-clients"))
        return parse.parsed(answer, lambda data: MirrorClients(pool, frozenset(map(digits, data)), answer))

    async def version(self) -> tuple[str, Answer]:
        reply = await self._read("hello", "hello")
        answer = self._answer("hello", reply, reply.content.get("hello"))
        found = parse.parsed(answer, lambda data: data["ceph"])
        if not isinstance(found, str):
            raise Refused(f"{self._host} has no Ceph client.", Reason.OTHER, answer)
        return found, answer

    async def look_at(self, addresses: Sequence[Address]) -> tuple[tuple[Seen, ...], Answer]:
        """A program older than 1.1 refuses it (BAD_REQUEST)."""
        what = f"reach {' '.join(map(str, addresses))}"
        targets = [{"host": address.host, "port": address.port} for address in addresses]
        reply = await self._read(what, "reach", 10.0, targets=targets)  # a name may have to be looked up
        answer = self._answer(what, reply, reply.content.get("reached"))
        return parse.parsed(answer, lambda told: seen(told, addresses)), answer

    async def schedules(self, pool: str) -> SnapshotSchedules:
        reply = await self._read(f"schedules {pool}", "schedules", 6.0, pool=pool)  # the client is given 15 s there
        return parse.schedules(pool, self._answer(f"schedules {pool}", reply, reply.content.get("schedules")))

    async def measure(self, ref: ImageRef, since_snapshot: int | None) -> tuple[Measured, Answer]:
        """A program older than 1.4 refuses it (BAD_REQUEST)."""
        since = {} if since_snapshot is None else {"snap_id": since_snapshot}
        what = f"measure {ref}" + ("" if since_snapshot is None else f" since snapshot {since_snapshot}")
        reply = await self._read(what, "measure", MEASURE_S, pool=ref.pool, image=ref.name, **since)
        answer = self._answer(what, reply, reply.content.get("measured"))
        return parse.parsed(answer, lambda told: Measured(told["entries"], int(told["bytes"]))), answer

    async def close(self) -> None:
        await self._link.close()
