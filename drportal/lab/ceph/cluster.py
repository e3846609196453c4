"""One site's Ceph cluster: a monitor, a manager, an OSD on a sparse file, an rbd-mirror."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import shutil
import socket
import struct
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from drportal.lab.ceph.processes import Daemon, run, wait_until
from drportal.lab.ceph.worker import Worker, WorkerError
from drportal.lab.control import LabError

POOL = "one"
_OSD_BYTES = 16 * 2**30  # sparse
_UP_PATIENCE_S = 60.0

_CONF = """\
# site {site} of the lab; written when it starts
[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{mon_v2},v1:127.0.0.1:{mon_v1}]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_port_min = {bind_min}
ms_bind_port_max = {bind_max}
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
osd_crush_chooseleaf_type = 0
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 16
osd_pool_default_pg_autoscale_mode = off
run_dir = {sockets}
admin_socket = {sockets}/$name.asok
pid_file =
crash_dir = {root}/crash
[client]
keyring = {root}/keyring.client
admin_socket =
rbd_default_features = 69
[client.rbd-mirror.{site}]
admin_socket = {sockets}/rbd-mirror.asok
keyring = {root}/keyring.rbd-mirror
log_file = {root}/log/rbd-mirror.log
[mon]
mon_data = {root}/mon
log_file = {root}/log/mon.log
mon_cluster_log_file = {root}/log/cluster.log
mon_allow_pool_size_one = true
mon_allow_pool_delete = true
mon_warn_on_pool_no_redundancy = false
mon_warn_on_insecure_global_id_reclaim_allowed = false
auth_allow_insecure_global_id_reclaim = false
mon_data_avail_warn = 2
mon_data_avail_crit = 1
mon_max_pg_per_osd = 1000
# by default map changes are collected for up to a second
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
mgr_initial_modules = iostat
[mgr]
mgr_data = {root}/mgr
log_file = {root}/log/mgr.log
keyring = {root}/mgr/keyring
[osd]
osd_data = {root}/osd
log_file = {root}/log/osd.log
keyring = {root}/osd/keyring
osd_objectstore = bluestore
bluestore_block_size = {osd_bytes}
bluestore_block_create = true
bluestore_block_db_create = false
bluestore_block_wal_create = false
bluestore_fsck_on_mkfs = false
# closing the block file waits for this poll, and a starting OSD closes it a dozen times
bdev_aio_poll_ms = 10
bluestore_cache_autotune = false
bluestore_cache_size = 67108864
osd_memory_target = 939524096
osd_op_num_shards = 2
osd_op_num_threads_per_shard = 2
osd_max_object_name_len = 256
osd_max_object_namespace_len = 64
"""


@dataclass(frozen=True, slots=True)
class Ports:
    """A site's own ports: monitor (two protocols), sshd, OpenNebula, and 40 for the other daemons from `first + 10`.

    `claim`: a socket bound to one of them that no daemon uses, for as long as the lab lives: two labs that start at the
    same moment find the same ports free.
    """

    first: int
    claim: socket.socket

    @property
    def mon_v2(self) -> int:
        return self.first

    @property
    def mon_v1(self) -> int:
        return self.first + 1

    @property
    def ssh(self) -> int:
        return self.first + 2

    @property
    def opennebula(self) -> int:
        return self.first + 3


async def port_open(port: int) -> bool:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 1)
    except OSError:
        return False
    writer.close()
    return True


class Cluster:
    """`site` is "a" or "b"; everything lives below `root`, which must not exist yet."""

    def __init__(self, site: str, root: Path, ports: Ports, *, guest_writes: bool = False) -> None:
        if re.search(r"[\s\"'$;#]", str(root)):
            raise LabError(
                f"{root}: Ceph's configuration takes no spaces, quotes, $, ; or # there. Choose another DIR."
            )
        self.site = site
        self.root = root
        self.ports = ports
        self.fsid = str(uuid.uuid4())
        self.conf = root / "ceph.conf"
        self.sockets: Path | None = None
        log = root / "log"
        conf: list[str | Path] = ["-f", "-c", self.conf]
        self.mon = self._daemon("mon", ["ceph-mon", *conf, "-i", site])
        self.mgr = self._daemon("mgr", ["ceph-mgr", *conf, "-i", site])
        self.osd = self._daemon("osd", ["ceph-osd", *conf, "-i", "0"])
        self.mirror = self._daemon("rbd-mirror", ["rbd-mirror", *conf, "-n", f"client.rbd-mirror.{site}"])
        self.worker = Worker(self.conf, POOL, log / "client.out", guest_writes=guest_writes)

    def _daemon(self, name: str, argv: list[str | Path]) -> Daemon:
        return Daemon(f"{name} of site {self.site}", argv, self.root / "log" / f"{name}.out", self.root)

    @property
    def daemons(self) -> list[Daemon]:
        """In the order in which they start."""
        return [self.mon, self.mgr, self.osd, self.worker, self.mirror]

    def write_files(self) -> None:
        for name in ("mon", "mgr", "osd", "log", "crash"):
            (self.root / name).mkdir(parents=True)
        # not below root, which may be deeper than the 107 bytes that unix(7) gives to a socket's path
        self.sockets = Path(tempfile.mkdtemp(prefix=f"lab-{self.site}-"))
        ports = self.ports
        self.conf.write_text(
            _CONF.format(
                site=self.site,
                root=self.root,
                sockets=self.sockets,
                fsid=self.fsid,
                mon_v2=ports.mon_v2,
                mon_v1=ports.mon_v1,
                bind_min=ports.first + 10,
                bind_max=ports.first + 49,
                osd_bytes=_OSD_BYTES,
            )
        )
        self._write_keyrings()

    def _write_keyrings(self) -> None:
        everything = {"mon": "allow *", "osd": "allow *", "mgr": "allow *"}
        mon = _entity("mon.", {"mon": "allow *"})
        admin = _entity("client.admin", everything)
        mgr = _entity(f"mgr.{self.site}", {"mon": "allow profile mgr", "osd": "allow *"})
        osd = _entity("osd.0", {"mon": "allow profile osd", "mgr": "allow profile osd", "osd": "allow *"})
        mirror = _entity(
            f"client.rbd-mirror.{self.site}",
            {"mon": "profile rbd-mirror", "osd": "profile rbd", "mgr": "profile rbd"},
        )
        for path, text in (
            ("keyring.initial", mon + admin + mgr + osd + mirror),  # the monitor begins with these
            ("keyring.client", admin),
            ("keyring.rbd-mirror", mirror),
            ("mgr/keyring", mgr),
            ("osd/keyring", osd),
        ):
            (self.root / path).touch(mode=0o600)
            (self.root / path).write_text(text)

    async def build(self) -> None:
        """From nothing to a usable empty pool. rbd-mirror is not started: it needs its peer."""
        root = self.root
        conf: list[str | Path] = ["-c", self.conf]
        osd_uuid = str(uuid.uuid4())
        # mkfs of the OSD needs no monitor: it runs beside
        osd_made = asyncio.create_task(
            run(["ceph-osd", *conf, "-i", "0", "--mkfs", "--osd-uuid", osd_uuid, "--no-mon-config"])
        )
        address = f"[v2:127.0.0.1:{self.ports.mon_v2},v1:127.0.0.1:{self.ports.mon_v1}]"
        await run(["monmaptool", "--create", "--fsid", self.fsid, "--addv", self.site, address, root / "monmap"])
        keys = root / "keyring.initial"
        await run(["ceph-mon", *conf, "--mkfs", "-i", self.site, "--monmap", root / "monmap", "--keyring", keys])
        keys.unlink()
        self.mon.start()
        # a client that finds the port closed sleeps for 3 s
        await self._listening()
        self.worker.start()
        await self.worker.connected()
        self.mgr.start()
        await self.worker.ask("mon", prefix="osd new", uuid=osd_uuid)
        await osd_made
        self.osd.start()
        await self.worker.ask(
            "mon", prefix="osd pool create", pool=POOL, pool_type="replicated", size=1, yes_i_really_mean_it=True
        )
        await self.worker.ask("mon", prefix="osd pool application enable", pool=POOL, app="rbd")
        await wait_until(f"the OSD of site {self.site} is up", self._osd_is_up, _UP_PATIENCE_S)
        await self.worker.ask("init_pool", site_name=f"site-{self.site}")

    async def _listening(self) -> None:
        async def listens() -> bool:
            self.mon.check()
            return await port_open(self.ports.mon_v2)

        await wait_until(f"the monitor of site {self.site} listens", listens, _UP_PATIENCE_S)

    async def _osd_is_up(self) -> bool:
        """Up in the map, and as this very process: the address of an OSD ends in its process id."""
        self.osd.check()
        assert self.osd.process is not None
        osds = (await self.worker.ask("mon", prefix="osd dump"))["osds"]
        return bool(osds and osds[0]["up"] and osds[0]["public_addr"].endswith(f"/{self.osd.process.pid}"))

    async def manager_active(self) -> None:
        async def active() -> bool:
            self.mgr.check()
            return bool((await self.worker.ask("mon", prefix="mgr stat")).get("available"))

        await wait_until(f"the manager of site {self.site} is active", active, _UP_PATIENCE_S)

    def forget_sockets(self) -> None:
        """When the daemons are gone for good."""
        if self.sockets is not None:
            shutil.rmtree(self.sockets, ignore_errors=True)

    def hang(self) -> None:
        for daemon in self.daemons:
            daemon.hang()

    async def thaw(self) -> None:
        """Returns when the cluster serves reads again."""
        for daemon in self.daemons:
            daemon.thaw()
        # a lone OSD that slept past its read lease serves no reads until it peers again
        await self.worker.ask("mon", prefix="osd down", ids=["0"], timeout_s=60)
        await self._serves()

    async def start_again(self) -> None:
        """After all its daemons were killed. Returns when the cluster serves reads."""
        self.mon.start()
        await self._listening()
        self.osd.start()
        self.mgr.start()
        self.worker.start()
        await self.worker.connected(_UP_PATIENCE_S)
        await self._serves()

    async def _serves(self) -> None:
        await wait_until(f"the OSD of site {self.site} is up", self._osd_is_up, _UP_PATIENCE_S)
        # a client that knows the dead OSD's address only asks again after 10 s
        await self.worker.ask("latest_map")

        async def reads() -> bool:
            try:
                await self.worker.ask("exists", name="-")
            except WorkerError:
                return False
            return True

        await wait_until(f"the cluster of site {self.site} serves reads", reads, _UP_PATIENCE_S)


def _entity(name: str, caps: dict[str, str]) -> str:
    """A stanza of a keyring. The key's form: type 1 (AES), time of creation, length, 16 random bytes (Ceph: cephx)."""
    key = base64.b64encode(struct.pack("<hIIh", 1, int(time.time()), 0, 16) + os.urandom(16)).decode()
    return f"[{name}]\n\tkey = {key}\n" + "".join(f'\tcaps {kind} = "{cap}"\n' for kind, cap in caps.items())
