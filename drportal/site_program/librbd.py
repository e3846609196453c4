"""Ceph through python3-rados and python3-rbd: the engine ``librbd``. One connection for reading, one for acting.

What the bindings do not offer (the positions of a journal, the mirror snapshots of an image that is not open) is asked
of the OSDs as librbd itself asks it (``unopened``). An act goes by the role that librbd tells of the open image.
"""

import contextlib
import json
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from drportal.site_program.clients import (
    BLOCKLIST_WORDS,
    SHUT_OUT,
    Clients,
    Held,
    asks_for_resync,
    in_parallel,
    listed_clients,
    read_fault,
)
from drportal.site_program.connection import Connection, asked, rados, rbd, shut_out
from drportal.site_program.measuring import compared
from drportal.site_program.unopened import Unopened, feature_words, mirroring_words
from drportal.site_program.wire import Fault, Json

_STATES = ("unknown", "error", "syncing", "starting_replay", "replaying", "stopping_replay", "stopped")
_DIRECTIONS = ("rx-only", "tx-only", "rx-tx")
_MODES = ("disabled", "image", "pool")
# How many roles librbd tells in one go, those of all images of a pool, for what one image costs that is opened, or that
# is asked about without opening it. Measured on 16.2.15: 0.5 ms of processor time for a role of many, 5 ms, and 1 ms.
ROLES_FOR_AN_OPENING = 10
ROLES_FOR_A_QUESTION = 2
_READING = {"client_mount_timeout": "5", "rados_mon_op_timeout": "5", "rados_osd_op_timeout": "5"}


class OpenImage(Held):
    """An image that is open for an act. Opened by name; what is open is bound to the image's id from then on."""

    def __init__(self, engine: "Librbd", pool: str, image: str, output: str) -> None:
        Held.__init__(self, engine, pool, image, output)
        self._acting, self._engine = engine.acting, engine
        self._session = engine.acting.enter()
        try:
            self._ioctx = engine.acting.pool_of(self._session, pool)
            self._open = self._asked(lambda: rbd.Image(self._ioctx, image))
        except Fault:
            engine.acting.leave(self._session)
            raise

    def _asked(self, question: Callable[[], Any]) -> Any:
        try:
            return asked(question)
        except Fault as fault:
            if shut_out(fault):
                self._acting.drop(self._session)
            raise

    def info(self) -> Json:
        return dict(self._asked(lambda: info_of(self._open, self._image)))

    def snapshots(self) -> List[Json]:
        return list(self._asked(lambda: self._engine.snapshots_of(self._ioctx, self._open.id())))

    def watchers(self) -> List[Json]:
        return list(self._asked(lambda: self._engine.watching(self._open)))

    def act(self, verb: str, lock: int) -> Tuple[int, str]:
        if verb == "mirror-snapshot":
            # By the client: the number that it prints is left in a file, whatever becomes of this process. Nothing
            # else tells our snapshot from one of the manager's schedule.
            return Held.act(self, verb, lock)
        acts: Dict[str, Callable[[], Any]] = {
            "demote": self._open.mirror_image_demote,
            "promote": lambda: self._open.mirror_image_promote(False),
            "force-promote": lambda: self._open.mirror_image_promote(True),
            "resync": self._open.mirror_image_resync,
        }
        try:
            acts[verb]()
        except (rbd.Error, rados.Error) as error:
            exit_status = abs(int(getattr(error, "errno", 0) or 0)) or 255
            if exit_status in SHUT_OUT:
                self._acting.drop(self._session)
            return exit_status, str(error)
        return 0, ""

    def close(self) -> None:
        with contextlib.suppress(rbd.Error, rados.Error):  # a dead cluster; nothing of ours depends on it
            self._open.close()
        self._acting.leave(self._session)


def info_of(image: Any, name: str) -> Json:
    """An open image in the shape of ``rbd info``. Raises rbd.Error."""
    mirror = image.mirror_image_get_info()
    enabled = mirror["state"] != rbd.RBD_MIRROR_IMAGE_DISABLED
    found: Json = {
        "name": image.get_name(),
        "id": image.id(),
        "size": image.size(),
        "features": feature_words(image.features()),
    }
    try:
        parent = image.get_parent_image_spec()
        found["parent"] = {
            "pool": parent["pool_name"],
            "pool_namespace": parent["pool_namespace"],
            "image": parent["image_name"],
            "snapshot": parent["snap_name"],
        }
    except rbd.ImageNotFound:
        pass
    if enabled:
        found["mirroring"] = mirroring_words(mirror, image.mirror_image_get_mode())
    if found["name"] != name:
        raise Fault("refused", "%s has another name now: %s." % (name, found["name"]), exit=0, reason="other")
    return found


def status_of(image: Any) -> Any:
    """Of an open image. Raises rbd.Error."""
    if image.mirror_image_get_info()["state"] == rbd.RBD_MIRROR_IMAGE_DISABLED:
        raise Fault("refused", "Mirroring is not enabled for it.", exit=22, reason="not-mirrored")
    return image.mirror_image_get_status()


class Librbd(Unopened):
    """The engine ``librbd``. Raises Fault: not-found, unreachable, refused."""

    name = "librbd"

    def __init__(self, ceph_user: Optional[str]) -> None:
        Unopened.__init__(self, ceph_user, Connection(ceph_user, _READING))
        # No limits here: an act that gives up half-way leaves the outcome open.
        self.acting = Connection(ceph_user, {"client_mount_timeout": "10"})

    def hold(self, pool: str, image: str, output: str) -> Held:
        # The acting connection waits for ever: ask with limits first whether anybody answers.
        self._image_id(pool, image)
        return OpenImage(self, pool, image, output)

    def own_addresses(self) -> List[str]:
        def addresses(connection: Connection) -> List[str]:
            return connection.ask(lambda: str(connection.cluster().get_addrs())).split(",")

        return addresses(self.reading) + addresses(self.acting)

    def acting_client(self) -> Optional[str]:
        fsid = self.acting.ask(lambda: str(self.acting.cluster().get_fsid()))
        return "%s %s" % (fsid, self.acting.client())

    # ---- one image

    def resync_requested(self, pool: str, image: str, mode: str) -> bool:
        if mode == "snapshot":
            found = self._opened(pool, image, lambda opened: dict(opened.metadata_list()))
            return any(asks_for_resync(key, value) for key, value in found.items())
        journal = self.journal_of(pool, self._image_id(pool, image)) or {"registered_clients": []}
        return any(client.get("resync_requested") for client in journal["registered_clients"])

    def _opened(self, pool: str, image: str, read: Callable[[Any], Json]) -> Json:
        def look() -> Json:
            with rbd.Image(self.reading.pool(pool), image, read_only=True) as opened:
                return read(opened)

        return self.reading.ask(look)

    def info(self, pool: str, image: str) -> Json:
        return self._opened(pool, image, lambda opened: info_of(opened, image))

    def measure(self, pool: str, image: str, snap_id: Optional[int]) -> Json:
        if snap_id is None:
            return Clients.measure(self, pool, image, snap_id)

        def compare() -> Json:
            ioctx = self.reading.pool(pool)
            with rbd.Image(ioctx, image, read_only=True) as now, rbd.Image(ioctx, image, read_only=True) as then:
                then.set_snap_by_id(snap_id)
                return compared(then, now)

        return self.reading.ask(compare)

    def watching(self, opened: Any) -> List[Json]:
        """Raises rbd.Error."""
        ours = (self.reading.client(), self.acting.client())
        return [
            {"address": one["addr"], "client": one["id"], "cookie": one["cookie"]}
            for one in opened.watchers_list()
            if str(one["id"]) not in ours
        ]

    def image(self, pool: str, image: str, parts: Sequence[str]) -> Json:
        """One opening for all parts that need it, none where there is another way."""
        opening = [part for part in ("info", "watchers", "status") if part in parts]
        if not opening:
            return self._closed(pool, image, parts)
        try:
            told = self._told_parts(pool, image, parts) if opening == ["info"] else None
            if told is not None:
                return told
            return self._opened(pool, image, lambda opened: self._parts(pool, image, parts, opened))
        except Fault as fault:
            if fault.code == "not-found":
                return {"absent": True}
            return {"errors": {part: fault.as_json() for part in parts}}

    def _told_parts(self, pool: str, image: str, parts: Sequence[str]) -> Optional[Json]:
        """Without opening it; None where that does not tell. Raises Fault."""
        image_id = self._image_id(pool, image)
        told = self._told_info(pool, image, image_id)
        if told is None:
            return None
        found = self._closed(pool, image, [part for part in parts if part == "journal"], image_id)
        return dict(found, info=told[0], **({"snapshots": told[1]} if "snapshots" in parts else {}))

    def _closed(self, pool: str, image: str, parts: Sequence[str], image_id: Optional[str] = None) -> Json:
        def number() -> str:
            return image_id if image_id is not None else self._image_id(pool, image)

        readers: List[Tuple[str, Callable[[], Any]]] = [
            ("journal", lambda: self.journal_of(pool, number())),
            ("snapshots", lambda: self._snapshots(pool, number())),
        ]
        return self.gathered([(part, read) for part, read in readers if part in parts])

    def _parts(self, pool: str, image: str, parts: Sequence[str], opened: Any) -> Json:
        image_id = opened.id()
        readers: List[Tuple[str, Callable[[], Any]]] = [
            ("info", lambda: asked(lambda: info_of(opened, image))),
            ("journal", lambda: self.journal_of(pool, image_id)),
            ("snapshots", lambda: self._snapshots(pool, image_id)),
            ("watchers", lambda: {"watchers": asked(lambda: self.watching(opened))}),
            ("status", lambda: self._status_of(pool, asked(lambda: status_of(opened)))),
        ]
        return self.gathered([(part, read) for part, read in readers if part in parts])

    # ---- a pool

    def mirrored(self, pool: str) -> List[str]:
        return [status["name"] for status in self._statuses(pool)]

    def _statuses(self, pool: str) -> List[Json]:
        return self.reading.ask(lambda: list(rbd.RBD().mirror_image_status_list(self.reading.pool(pool))))

    def _status_of(self, pool: str, status: Json, sites: Optional[Dict[str, str]] = None) -> Json:
        names = self._peer_names(pool) if sites is None else sites
        return {
            "name": status["name"],
            "global_id": status["info"]["global_id"],
            **_site_status(status),
            "peer_sites": [
                dict(site_name=names.get(one["mirror_uuid"], ""), mirror_uuids=one["mirror_uuid"], **_site_status(one))
                for one in status["remote_statuses"]
            ],
        }

    def _peer_names(self, pool: str) -> Dict[str, str]:
        return {peer["mirror_uuid"]: peer["site_name"] for peer in self._peers(pool)}

    def _peers(self, pool: str) -> List[Json]:
        return self.reading.ask(lambda: list(rbd.RBD().mirror_peer_list(self.reading.pool(pool))))

    def images(self, pool: str, names: Optional[Sequence[str]], parts: Sequence[str]) -> Dict[str, Json]:
        """The parts of many images: roles and states by a few questions for all, the rest by cheap ones for each."""
        if names is not None and len(names) <= 4:
            return {name: self.image(pool, name, parts) for name in names}
        statuses = {}
        if names is None or "status" in parts:
            sites = self._peer_names(pool)
            statuses = {one["name"]: self._status_of(pool, one, sites) for one in self._statuses(pool)}
        wanted = list(statuses) if names is None else list(names)
        ids = {one["name"]: one["id"] for one in self._all(pool)}
        # Whoever has an image open for its watchers has its role for next to nothing.
        known: Dict[str, Any] = {}
        if "info" in parts and "watchers" not in parts:
            there = {name: ids[name] for name in wanted if name in ids}
            known = self._infos(pool, there, len(ids), parts, names is not None)

        def one(name: str) -> Json:
            if name not in ids:
                return {"absent": True}
            told = known.get(name)
            had = {"info"} if isinstance(told, Fault) else set(told or ())
            left = [part for part in ("info", "journal", "snapshots", "watchers") if part in parts and part not in had]
            opening = "info" in left or "watchers" in left
            found = self.image(pool, name, left) if opening else self._closed(pool, name, left, ids[name])
            if isinstance(told, Fault):
                found.setdefault("errors", {})["info"] = told.as_json()
            elif told is not None and not found.get("absent"):
                found.update(told)
            if "status" in parts and name in statuses and not found.get("absent"):
                found["status"] = statuses[name]
            return found

        return dict(zip(wanted, in_parallel(one, wanted)))

    def _infos(
        self, pool: str, ids: Dict[str, str], of_all: int, parts: Sequence[str], named: bool
    ) -> Dict[str, Optional[Any]]:
        """Info, with the snapshots that told it where they are wanted too, by name; None: it has to be opened for that;
        or a Fault. ``ids``: by name; ``of_all``: of the pool.

        All roles are told at once, or those of a few one by one: whichever is less in this pool.
        """

        def each(tell: Callable[[str], Any], names: Sequence[str]) -> Dict[str, Any]:
            return dict(zip(names, in_parallel(tell, names)))

        def told(name: str) -> Optional[Json]:
            found = self._told_info(pool, name, ids[name])
            if found is None:
                return None
            return {"info": found[0], "snapshots": found[1]} if "snapshots" in parts else {"info": found[0]}

        def cheap(name: str) -> Optional[Json]:
            info = self._cheap_info(pool, name, ids[name], roles.get(ids[name]))
            return None if info is None else {"info": info}

        infos: Dict[str, Any] = {}
        if named and ("snapshots" in parts or len(ids) * ROLES_FOR_A_QUESTION < of_all):
            infos = each(told, list(ids))
        rest = [name for name in ids if infos.get(name) is None]
        if len(rest) * ROLES_FOR_AN_OPENING < of_all:
            return infos
        roles = self._roles(pool) if rest else {}
        return dict(infos, **each(cheap, rest))

    def _all(self, pool: str) -> List[Json]:
        return self.reading.ask(lambda: list(rbd.RBD().list2(self.reading.pool(pool))))

    def _roles(self, pool: str) -> Dict[str, Tuple[int, Json]]:
        """Image id -> (mode, role) of all mirrored images: exact, and without opening one."""
        return {number: (info["mode"], info) for number, info in self.reading.ask(
            lambda: list(rbd.RBD().mirror_image_info_list(self.reading.pool(pool)))
        )}  # fmt: skip

    def pool_part(self, pool: str, part: str) -> Any:
        if part != "listing":
            return Clients.pool_part(self, pool, part)

        def row(image: Json) -> Optional[Json]:
            try:
                info = self._cheap_info(pool, image["name"], image["id"], None) or self.info(pool, image["name"])
            except Fault as fault:
                if fault.code == "not-found":
                    return None
                raise
            found = {"image": image["name"], "id": image["id"], "size": info["size"]}
            return dict(found, parent=info["parent"]) if "parent" in info else found

        rows = in_parallel(row, self._all(pool))
        for one in rows:
            if isinstance(one, Fault):
                raise one
        return [one for one in rows if one is not None]

    def _pool(self, pool: str) -> Json:
        """The summary's words are those of ``rbd`` itself; the daemons are asked for as it asks for them."""
        ask = self.reading.ask
        mode = ask(lambda: rbd.RBD().mirror_mode_get(self.reading.pool(pool)))
        info: Json = {"mode": _MODES[mode] if mode < len(_MODES) else "mode %d" % mode}
        info["site_name"] = ask(lambda: rbd.RBD().mirror_site_name_get(self.reading.cluster()))
        info["peers"] = [
            {
                "uuid": peer["uuid"],
                "direction": _DIRECTIONS[peer["direction"]],
                "site_name": peer["site_name"],
                "mirror_uuid": peer["mirror_uuid"],
                "client_name": peer["client_name"],
            }
            for peer in self._peers(pool)
        ]
        summary = self.read_json("mirror", "pool", "status", pool)["summary"]
        number = ask(lambda: int(self.reading.pool(pool).get_pool_id()))
        return {"info": info, "summary": summary, "daemons": self._daemons(number)}

    def _daemons(self, pool_id: int) -> List[Json]:
        try:
            services = self._told("service dump")["services"]
            states = self._told("service status").get("rbd-mirror", {})
        except Fault as fault:
            if fault.facts.get("exit") == 13:
                return []  # as rbd does for a user who may not ask; the summary says UNKNOWN then
            raise
        found = []
        for service, daemon in services.get("rbd-mirror", {}).get("daemons", {}).items():
            if not isinstance(daemon, dict):
                continue  # "summary", a word between the daemons
            about = daemon["metadata"]
            text = states.get(service, {}).get("status", {}).get("json", "")
            of_pool = (json.loads(text) if text else {}).get(str(pool_id), {})
            levels = [callout.get("level", "") for callout in of_pool.get("callouts", {}).values()]
            found.append(
                {
                    "service_id": service,
                    "instance_id": of_pool.get("instance_id", ""),
                    "client_id": about.get("id", ""),
                    "hostname": about.get("hostname", ""),
                    "ceph_version": about.get("ceph_version_short", ""),
                    "leader": bool(of_pool.get("leader", False)),
                    "health": "ERROR" if "error" in levels else "WARNING" if levels else "OK" if of_pool else "UNKNOWN",
                }
            )
        return found

    def _monitor(self, command: Json) -> Tuple[int, bytes, str]:
        """(exit status, output, text) of a command to the monitors."""
        code, out, text = self.reading.ask(lambda: self.reading.cluster().mon_command(json.dumps(command), b""))
        return abs(code), out, text

    def blocklisted(self) -> List[str]:
        for word in BLOCKLIST_WORDS:
            code, out, text = self._monitor({"prefix": "osd %s ls" % word, "format": "json"})
            if code == 0:
                return listed_clients(out.decode())
        raise read_fault(code, text)

    def _told(self, prefix: str) -> Json:
        code, out, text = self._monitor({"prefix": prefix, "format": "json"})
        if code:
            raise read_fault(code, text)
        return dict(json.loads(out.decode() or "{}"))


def _site_status(status: Json) -> Json:
    if "state" not in status:  # the bindings leave out what no daemon has written yet; rbd says it so
        return {"state": "down+unknown", "description": "status not found", "last_update": ""}
    word = _STATES[status["state"]] if status["state"] < len(_STATES) else "state %d" % status["state"]
    return {
        "state": ("up+" if status["up"] else "down+") + word,
        "description": status["description"],
        "last_update": status["last_update"].strftime("%Y-%m-%d %H:%M:%S"),
    }
