"""Puts the site program into a login's home, and takes it out again. Runs at the site, once, and prints one JSON line.

Standard library only, Python 3.6 or later. It writes three things and nothing else: the program's file (and the one
before it, until the portal has seen the new one answer), its state directory, and its own lines of
``~/.ssh/authorized_keys``, each whole or not at all. Receipts are never removed.

Nothing that the portal uses is taken away before what replaces it has been seen to work: ``install`` and ``upgrade``
put the new beside the old, then the portal tries it, then ``settle`` takes the old away, or ``undo`` the new.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import sys
from typing import Any, Callable, Dict, List

Json = Dict[str, Any]

PROGRAM = os.path.join(".local", "lib", "drportal-site", "drportal-site.py")
STATE = ".drportal-site"
_MARK = re.compile(r" drportal-site:(?:read|act)$")
_ATTEMPT = re.compile(r"[A-Za-z0-9-]{1,64}")
_WORD = re.compile(r"[A-Za-z0-9_./=-]+")


def _write(path: str, text: str, mode: int) -> None:
    """Whole or not at all, also when the power goes or the disk is full."""
    temporary = "%s.%d.new" % (path, os.getpid())
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        try:
            data = text.encode("utf-8")
            while data:  # a disk that is nearly full takes a part, and says so at the next call only
                data = data[os.write(fd, data) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        os.chmod(temporary, mode)
        os.rename(temporary, path)
    except BaseException:
        _remove(temporary)
        raise
    _sync(os.path.dirname(path))


def _sync(directory: str) -> None:
    folder = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8")
    except FileNotFoundError:
        return ""


def _key_line(home: str, python: str, rights: str, key: str, arguments: List[str]) -> str:
    words = [python, "-I", os.path.join(home, PROGRAM), "--rights", rights] + arguments
    words += ["--state", os.path.join(home, STATE)]
    for word in words:
        if _WORD.fullmatch(word) is None:
            raise ValueError("%r can't stand in a forced command" % word)
    kind, body = key.split()[:2]
    return 'restrict,command="%s" %s %s drportal-site:%s' % (" ".join(words), kind, body, rights)


def _set_keys(home: str, keeps: Callable[[str], bool], new: List[str]) -> None:
    """Of the lines that bear our mark those stay that ``keeps`` says; other people's lines stay as they are."""
    folder = os.path.join(home, ".ssh")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.join(folder, "authorized_keys")
    before = _read(path)
    stay = [line for line in before.splitlines() if not _MARK.search(line) or keeps(line)]
    after = "".join(line + "\n" for line in stay + new)
    if after != before:
        _write(path, after, 0o600)


def _only(keys: Json) -> Callable[[str], bool]:
    bodies = [key.split()[1] for key in keys.values()]
    return lambda line: any(body in line.split() for body in bodies)


# ---- the program's file: what lay there before an attempt is kept beside it, empty where there was nothing


def _before(path: str, attempt: str) -> str:
    if _ATTEMPT.fullmatch(attempt) is None:
        raise ValueError("%r is no attempt" % (attempt,))
    return "%s.before-%s" % (path, attempt)


def _replace(path: str, program: str, attempt: str) -> None:
    before = _before(path, attempt)
    if os.path.exists(before):
        raise ValueError("this attempt was undone before it began, or was made already")
    _write(before, _read(path), 0o644)
    _write(path, program, 0o644)


def _undo(path: str, attempt: str) -> None:
    """As if the attempt had not been; one that has not begun yet (its connection was lost) never does."""
    before = _before(path, attempt)
    if not os.path.exists(before):
        _write(before, "", 0o644)
    elif os.path.getsize(before):
        os.rename(before, path)
        _sync(os.path.dirname(path))
    else:
        _remove(path)
        _remove(before)


def _forget_before(path: str) -> None:
    for name in os.listdir(os.path.dirname(path)):
        if name.startswith(os.path.basename(path) + ".before-"):
            _remove(os.path.join(os.path.dirname(path), name))


def _told(home: str) -> Json:
    path = os.path.join(home, PROGRAM)
    text = _read(path)
    keys = [line for line in _read(os.path.join(home, ".ssh", "authorized_keys")).splitlines() if _MARK.search(line)]
    receipts = os.path.join(home, STATE, "ops")
    return {
        "path": path,
        "sha256": hashlib.sha256(text.encode("utf-8")).hexdigest() if text else None,
        "keys": keys,
        "state": os.path.join(home, STATE),
        "receipts": len(os.listdir(receipts)) if os.path.isdir(receipts) else 0,
    }


def _install(request: Json, home: str, path: str) -> None:
    """The program, and with ``keys`` a line for each beside those that are there."""
    keys = request.get("keys", {})
    new = [_key_line(home, sys.executable, rights, keys[rights], request["arguments"][rights]) for rights in keys]
    os.makedirs(os.path.join(home, STATE), mode=0o700, exist_ok=True)
    _replace(path, request["program"], request["attempt"])
    try:
        _set_keys(home, lambda line: True, new)
    except BaseException:
        _undo(path, request["attempt"])
        raise


def perform(request: Json, home: str) -> Json:
    """``request``: ``do``, and as it needs ``program``, ``keys`` (rights -> public key), ``arguments`` (rights -> those
    of the program) and ``attempt`` (a word of the portal's own for this one).

    ``install``, ``upgrade``: put it there. ``settle``: only the lines of ``keys`` stay, and nothing of before.
    ``undo``: the same lines stay, and the program is what it was before ``attempt``. ``uninstall``, ``show``.
    Raises OSError, ValueError: what was there before is there still.
    """
    do, path = request["do"], os.path.join(home, PROGRAM)
    if do == "show":
        return _told(home)
    if do not in ("install", "upgrade", "settle", "undo", "uninstall"):
        raise ValueError("there is nothing like %r to be done" % (do,))
    if do == "upgrade" and not os.path.exists(path):
        raise ValueError("nothing is installed in %s" % home)
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # one whose connection was lost may still be at work
        if do in ("install", "upgrade"):
            _install(request, home, path)
        elif do == "undo":
            _set_keys(home, _only(request["keys"]), [])
            _undo(path, request["attempt"])
        else:
            _set_keys(home, _only(request["keys"] if do == "settle" else {}), [])
            _forget_before(path)
            if do == "uninstall":
                _remove(path)
    finally:
        os.close(folder)
    return _told(home)


def answer(request: str, home: str) -> str:
    """The line that is printed."""
    try:
        return json.dumps({"ok": True, "site": perform(json.loads(request), home)})
    except (OSError, ValueError, KeyError, TypeError) as error:
        return json.dumps({"ok": False, "text": "%s: %s" % (type(error).__name__, error)})


if __name__ == "__main__":
    os.umask(0o077)
    sys.stdout.write(answer(sys.argv[1], os.path.realpath(os.path.expanduser("~"))) + "\n")
