"""One site's sshd: the system's own, on a port of the lab, with keys of the lab."""

from __future__ import annotations

import getpass
import os
import shutil
from pathlib import Path

from drportal.lab.ceph.cluster import port_open
from drportal.lab.ceph.processes import Daemon, kill_hard, run, wait_until
from drportal.lab.control import LabError, SshAccess

_CONF = """\
# sshd of site {site}; written when the lab starts
ListenAddress 127.0.0.1
Port {port}
HostKey {key}
PidFile none
# the lab's own, and those that the login keeps in its home
AuthorizedKeysFile {root}/authorized_keys {root}/home/.ssh/authorized_keys
AllowUsers {user}
PermitRootLogin prohibit-password
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
# the lab may lie below a world-writable directory such as /tmp
StrictModes no
UseDNS no
PrintMotd no
# MaxSessions stays at its default, 10; only connections that come at once are not to be dropped at random
MaxStartups 100
# a home of the site's own: two hosts do not share one, and nobody's shell start-up files are to run here
SetEnv CEPH_CONF={conf} HOME={root}/home
"""


class Sshd:
    """`root` is created. `conf` is the ceph.conf that commands of this host find in CEPH_CONF."""

    def __init__(self, site: str, root: Path, port: int, conf: Path) -> None:
        self.site = site
        self.root = root
        self.port = port
        self._ceph_conf = conf
        program = shutil.which("sshd", path=f"/usr/sbin:/sbin:{os.environ.get('PATH', '')}")
        if program is None:
            raise LabError("sshd is not installed. Install it with: apt-get install openssh-server")
        # sshd insists on its absolute path
        self.daemon = Daemon(
            f"sshd of site {site}", [program, "-D", "-e", "-f", root / "sshd_config"], root / "sshd.out", root
        )

    async def prepare(self) -> None:
        """Keys and configuration."""
        self.root.mkdir(parents=True, mode=0o700)
        for name in ("host", "wrong_host", "client"):
            await run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"lab-{self.site}", "-f", self.root / name])
        shutil.copy(self.root / "client.pub", self.root / "authorized_keys")
        (self.root / "home").mkdir()
        self._configure("host")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd separates its privileges

    def _configure(self, key: str) -> None:
        (self.root / "sshd_config").write_text(
            _CONF.format(
                site=self.site,
                port=self.port,
                key=self.root / key,
                root=self.root,
                user=getpass.getuser(),
                conf=self._ceph_conf,
            )
        )

    def access(self) -> SshAccess:
        host_key = " ".join((self.root / "host.pub").read_text().split()[:2])
        return SshAccess("127.0.0.1", self.port, getpass.getuser(), (self.root / "client").read_text(), host_key)

    async def start(self) -> None:
        self.daemon.start()

        async def listens() -> bool:
            self.daemon.check()
            return await port_open(self.port)

        await wait_until(f"sshd of site {self.site} listens", listens, 15)

    async def use_key(self, *, wrong: bool) -> None:
        """Start again with another host key. Connections are cut; commands that run go on, as they do in life."""
        await kill_hard([self.daemon], program="sshd")
        self._configure("wrong_host" if wrong else "host")
        await self.start()
