"""librbd's own log lines, which a cluster with Ceph's default logging puts on standard error as well.

They name the cause that the exit code hides. Where they stand relative to rbd's own line varies from run to run, so
whoever reads them must match substrings.
"""

from __future__ import annotations

import datetime as dt
import secrets

_TEXTS = {
    2: "No such file or directory",
    16: "Device or resource busy",
    17: "File exists",
    22: "Invalid argument",
    30: "Read-only file system",
    110: "Connection timed out",
}
_PROMOTE = "librbd::mirror::PromoteRequest: 0x{} handle_get_info: "
_LOGS = {
    "already primary": (
        _PROMOTE + "image is already primary",
        "librbd::api::Mirror: image_promote: failed to promote image",
    ),
    "remote is primary": (
        _PROMOTE + "image is primary within a remote cluster or demotion is not propagated yet",
        "librbd::api::Mirror: image_promote: failed to promote image",
    ),
    "locked by rbd-mirror": ("librbd::api::Mirror: image_promote: failed to promote image",),
    "remote is primary, pool": (
        _PROMOTE + "image is primary within a remote cluster or demotion is not propagated yet",
        "librbd::io::AioCompletion: 0x{} fail: (16) Device or resource busy",
    ),
    "not primary": (
        "librbd::mirror::DemoteRequest: 0x{} handle_get_info: image is not primary",
        "librbd::api::Mirror: image_demote: failed to demote image",
    ),
    "resync on primary": ("librbd::api::Mirror: image_resync: image is primary, cannot resync to itself",),
    "snapshot on non-primary": (
        "librbd::mirror::snapshot::util:  can_create_primary_snapshot: trying to create primary snapshot without force "
        "when previous snapshot is non-primary",
    ),
    "disable on non-primary": (
        "librbd::mirror::DisableRequest: 0x{} handle_get_mirror_info: mirrored image is not primary, add force option "
        "to disable mirroring",
        "librbd::api::Mirror: image_disable: cannot disable mirroring: (22) Invalid argument",
    ),
    "other mode": (
        "librbd::mirror::EnableRequest: 0x{} handle_get_mirror_image: invalid current image mirror mode",
        "librbd::api::Mirror: image_enable: cannot enable mirroring: (22) Invalid argument",
    ),
    "dead cluster": ("monclient(hunting): authenticate timed out after 5",),
}


def errno_text(number: int) -> str:
    return _TEXTS.get(number, "Unknown error")


def default_log(why: str) -> str:
    """The lines for one case, with a time, a thread and an address in them; "" for a case that logs nothing."""
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
    level = " 0" if why == "dead cluster" else "-1"
    return "".join(
        f"{now} 7f{secrets.token_hex(5)} {level} {line.format('7f' + secrets.token_hex(5))}\n"
        for line in _LOGS.get(why, ())
    )
