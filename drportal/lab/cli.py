"""`python -m drportal.lab`: start a lab, look at it, break it, mend it."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drportal.lab.control import FILE_NAME, LabClient, LabError
from drportal.lab.faults import faults_text

_UP_PATIENCE_S = 60.0


def main(argv: list[str] | None = None) -> int:
    """Exit code 0, 1 with a sentence on standard error when the lab refuses, 2 for wrong arguments."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if _wants_ceph(argv):
        ceph_main: Callable[[list[str]], int] = importlib.import_module("drportal.lab.ceph.commands").main
        return ceph_main(argv)
    args = _parser().parse_args(argv)
    try:
        run: Callable[[argparse.Namespace], None] = args.run
        run(args)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _wants_ceph(argv: list[str]) -> bool:
    """`up --kind ceph` belongs to the real lab; every other command works on both through the control endpoint."""
    return argv[:1] == ["up"] and ("--kind=ceph" in argv or ("--kind", "ceph") in list(itertools.pairwise(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description="Two sites to try disaster recovery on.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = _command(commands, "up", _up, "start a lab and stay until SIGINT, SIGTERM or `lab down`")
    up.add_argument(
        "--kind", choices=("embedded", "ceph"), default="embedded", help="ceph: two real clusters on this machine"
    )
    up.add_argument("--vms", type=int, default=3, metavar="N")
    up.add_argument("--mode", choices=("journal", "snapshot", "mixed"), default="mixed")
    up.add_argument("--speed", type=float, default=1.0, metavar="X", help="divide all waiting times by X")
    up.add_argument(
        "--default-logging", action="store_true", help="rbd prints librbd's log lines, as Ceph does by default"
    )
    up.add_argument(
        "--write-rate", type=float, default=2.0, metavar="R", help="journal entries per second and open disk"
    )
    where = up.add_mutually_exclusive_group()
    where.add_argument("--foreground", action="store_true", help="the default")
    where.add_argument("--background", action="store_true", help="return when it is up")

    status = _command(
        commands, "status", _status, "what is alive, where the images are primary, which faults are active"
    )
    status.add_argument("--json", action="store_true")
    _command(commands, "down", _down, "end the lab")

    _fault_commands(commands)
    _image_commands(commands)
    return parser


def _fault_commands(commands: Any) -> None:
    fail = _command(commands, "fail", _fail, "cause a fault")
    fail.formatter_class, fail.epilog = argparse.RawDescriptionHelpFormatter, faults_text()
    fail.add_argument("site", choices=("a", "b", "witness"))
    fail.add_argument("fault")
    fail.add_argument("--option", action="append", default=[], metavar="K=V")
    restore = _command(commands, "restore", _restore, "end one fault of a site, or all of them")
    restore.add_argument("site", choices=("a", "b", "witness"))
    restore.add_argument("fault", nargs="?")


def _image_commands(commands: Any) -> None:
    for name, run, words in (
        ("write", _write, "fill an image with data made from a seed"),
        ("checksum", _checksum, "sha256 of an image's content"),
        ("image", _image, "what the lab knows about one copy; --create makes a mirrored image"),
    ):
        command = _command(commands, name, run, words)
        command.add_argument("site", choices=("a", "b"))
        command.add_argument("image")
        if name == "write":
            command.add_argument("seed")
        if name == "image":
            command.add_argument("--create", choices=("journal", "snapshot"), metavar="MODE")
            command.add_argument("--size-mib", type=int, default=16)


def _command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], None], words: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=words, description=words)
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.set_defaults(run=run)
    return parser


def _up(args: argparse.Namespace) -> None:
    if args.background:
        _up_in_background(args)
        return
    from drportal.lab.embedded.server import LabOptions, run  # asyncssh is only needed here

    if args.vms < 0 or not args.speed > 0 or args.write_rate < 0:
        raise LabError("--vms and --write-rate must be 0 or more, and --speed above 0. Nothing was started.")
    options = LabOptions(args.vms, args.mode, args.speed, args.default_logging, args.write_rate)
    asyncio.run(run(args.directory, options, lambda text: print(text, flush=True)))


def _up_in_background(args: argparse.Namespace) -> None:
    args.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    log_path = args.directory / "lab.log"
    words = ["up", str(args.directory), "--vms", str(args.vms), "--mode", args.mode, "--speed", str(args.speed)]
    words += ["--write-rate", str(args.write_rate), *(["--default-logging"] if args.default_logging else [])]
    with log_path.open("ab") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "drportal.lab", *words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        )
    until = time.monotonic() + _UP_PATIENCE_S
    while time.monotonic() < until:
        if child.poll() is not None:
            raise LabError(f"The lab ended with exit code {child.returncode}; its last words are in {log_path}.")
        described = args.directory / FILE_NAME
        if described.exists() and json.loads(described.read_text())["pid"] == child.pid:
            print(f"The embedded lab is up: {described} (process {child.pid}, log {log_path})")
            return
        time.sleep(0.05)
    child.terminate()
    raise LabError(f"The lab was not up after {_UP_PATIENCE_S:.0f} s and was ended; see {log_path}.")


def _status(args: argparse.Namespace) -> None:
    status = LabClient(args.directory).status()
    if args.json:
        print(json.dumps(status, indent=1))
        return
    print(f"{status['kind']} lab, process {status['pid']}")
    for key, site in status["sites"].items():
        primary = sum(1 for image in site["images"].values() if image["primary"])
        running = sum(1 for vm in site["vms"].values() if vm["state"] == "RUNNING")
        print(f"{key} {site['name']}: {'alive' if site['alive'] else 'DEAD'}, rbd-mirror {site['rbd_mirror']}")
        print(f"  {len(site['images'])} images, {primary} primary; {len(site['vms'])} VMs, {running} running")
        for fault, options in site["faults"].items():
            print(f"  fault {fault} {options or ''}")
    if witness := status.get("witness"):
        print(f"witness: {'alive' if witness['alive'] else 'DEAD'}")
        for fault, options in witness["faults"].items():
            print(f"  fault {fault} {options or ''}")


def _down(args: argparse.Namespace) -> None:
    client = LabClient(args.directory)
    client.down()
    until = time.monotonic() + _UP_PATIENCE_S
    while (args.directory / FILE_NAME).exists():
        if time.monotonic() > until:
            raise LabError(f"The lab was told to end but {args.directory / FILE_NAME} is still there.")
        time.sleep(0.05)


def _fail(args: argparse.Namespace) -> None:
    options = {}
    for pair in args.option:
        key, is_pair, value = pair.partition("=")
        if not is_pair:
            raise LabError(f"An option is written K=V, not {pair!r}. Nothing was changed.")
        options[key] = value
    LabClient(args.directory).fail(args.site, args.fault, **options)


def _restore(args: argparse.Namespace) -> None:
    LabClient(args.directory).restore(args.site, args.fault)


def _write(args: argparse.Namespace) -> None:
    LabClient(args.directory).write(args.site, args.image, args.seed)


def _checksum(args: argparse.Namespace) -> None:
    print(LabClient(args.directory).checksum(args.site, args.image))


def _image(args: argparse.Namespace) -> None:
    client = LabClient(args.directory)
    if args.create:
        client.create_image(args.site, args.image, mode=args.create, size_bytes=args.size_mib * 2**20)
    print(json.dumps(client.image(args.site, args.image), indent=1))
