"""`python -m drportal.lab up DIR --kind ceph`: start the real lab. All other commands are those of both labs."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from drportal.lab.control import FILE_NAME, LabDescription, LabError

_PROGRAMS = {
    "ceph-mon": "ceph-mon",
    "ceph-mgr": "ceph-mgr",
    "ceph-osd": "ceph-osd",
    "rbd-mirror": "rbd-mirror",
    "rbd": "ceph-common",
    "monmaptool": "ceph-common",
    "sshd": "openssh-server",
    "ssh-keygen": "openssh-client",
    "setpriv": "util-linux",
}
_MODULES = {"rados": "python3-rados", "rbd": "python3-rbd"}
_UP_PATIENCE_S = 240.0


def missing_packages() -> list[str]:
    """The Debian packages that the lab needs and this machine does not have, sorted."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = {package for program, package in _PROGRAMS.items() if not shutil.which(program, path=path)}
    for module, package in _MODULES.items():
        asked = ["/usr/bin/python3", "-I", "-c", f"import {module}"]
        if not Path(asked[0]).exists() or subprocess.run(asked, capture_output=True).returncode:
            missing.add(package)
    return sorted(missing)


def main(argv: list[str]) -> int:
    """Exit code 0, 1 with a sentence on standard error when the lab cannot start, 2 when packages or arguments lack."""
    args = _parser().parse_args(argv)
    if missing := missing_packages():
        print(
            f"The real lab needs packages that are not installed: apt-get install {' '.join(missing)}", file=sys.stderr
        )
        return 2
    try:
        if args.background:
            _up_in_background(args, argv)
        else:
            _up(args)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description="Two real Ceph clusters on this machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start the lab and stay until SIGINT, SIGTERM or `lab down`")
    up.add_argument("directory", type=Path, metavar="DIR")
    up.add_argument("--kind", choices=("ceph",), required=True)
    up.add_argument("--vms", type=_count, default=3, metavar="N")
    up.add_argument("--images", type=_count, default=0, metavar="N", help="mirrored images that belong to no VM")
    up.add_argument("--mode", choices=("journal", "snapshot", "mixed"), default="mixed")
    up.add_argument("--guest-writes", action="store_true", help="running VMs write, so that checksums do not stay")
    where = up.add_mutually_exclusive_group()
    where.add_argument("--foreground", action="store_true", help="the default")
    where.add_argument("--background", action="store_true", help="return when it is up")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def _refuse_second(directory: Path) -> None:
    try:
        pid = LabDescription.read(directory).pid
        os.kill(pid, 0)
    except (LabError, ProcessLookupError):
        return
    raise LabError(f"A lab is up in {directory} already, as process {pid}. End it with: lab down {directory}")


def _up(args: argparse.Namespace) -> None:
    from drportal.lab.ceph.lab import CephLabOptions, run

    _refuse_second(args.directory)
    options = CephLabOptions(args.vms, args.images, args.mode, args.guest_writes)
    asyncio.run(run(args.directory, options, lambda text: print(text, flush=True)))


def _up_in_background(args: argparse.Namespace, argv: list[str]) -> None:
    _refuse_second(args.directory)
    args.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    (args.directory / FILE_NAME).unlink(missing_ok=True)
    log_path = args.directory / "lab.log"
    with log_path.open("ab") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "drportal.lab", *(word for word in argv if word != "--background")],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
        )
    until = time.monotonic() + _UP_PATIENCE_S
    while time.monotonic() < until:
        if child.poll() is not None:
            raise LabError(f"The lab ended with exit code {child.returncode}; its last words are in {log_path}.")
        if (args.directory / FILE_NAME).exists():
            print(f"The real lab is up: {args.directory / FILE_NAME} (process {child.pid}, log {log_path})")
            return
        time.sleep(0.1)
    child.terminate()
    raise LabError(f"The lab was not up after {_UP_PATIENCE_S:.0f} s and was ended; see {log_path}.")
