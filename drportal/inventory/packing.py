"""Raw answers, kept small: there are some for each of ten thousand images, and all have the same words in them."""

from __future__ import annotations

import zlib

# What is kept was packed with exactly this: it never changes. Other words would be another first byte.
_FORM = b"\x01"
_WORDS = (
    b"<VM_POOL><VM><ID></ID><UID></UID><GID></GID><UNAME></UNAME><GNAME></GNAME><NAME></NAME><STATE></STATE>"
    b"<LCM_STATE></LCM_STATE><TEMPLATE><DISK><DISK_ID><![CDATA[0]]></DISK_ID><IMAGE_ID><![CDATA[</IMAGE_POOL>"
    b'"errors":{"text":"code":"facts":"absent":true,"snapshot","namespace":{"type":"mirror","state":"complete":'
    b'"syncing","up+error","up+unknown","up+starting_replay","down+unknown","remote image is not primary",'
    b'"failed to refresh the remote image","split-brain","parent":{"pool":"image":"snapshot":"overlay":'
    b'{"name":"one-","id":"","size":21474836480,"features":["layering","exclusive-lock","object-map","fast-diff",'
    b'"deep-flatten","journaling"],"mirroring":{"mode":"snapshot","state":"enabled","global_id":"","primary":false}}'
    b'"mirroring":{"mode":"journal","state":"enabled","global_id":"","primary":true}}'
    b'{"name":"one-","global_id":"","state":"up+replaying","description":"replaying, '
    b'{\\"bytes_per_second\\":0.0,\\"bytes_per_snapshot\\":0.0,\\"last_snapshot_bytes\\":0,\\"last_snapshot_sync_seconds'
    b'\\":0,\\"local_snapshot_timestamp\\":1795,\\"remote_snapshot_timestamp\\":1795,\\"replay_state\\":\\"idle\\"}'
    b'"state":"up+replaying","description":"replaying, {\\"bytes_per_second\\":0.0,\\"entries_behind_primary\\":0,'
    b'\\"entries_per_second\\":0.0,\\"non_primary_position\\":{\\"entry_tid\\":3,\\"object_number\\":3,\\"tag_tid\\":1},'
    b'\\"primary_position\\":{\\"entry_tid\\":3,\\"object_number\\":3,\\"tag_tid\\":1}}","daemon_service":'
    b'{"service_id":"4","instance_id":"4","daemon_id":"rbd-mirror.","hostname":""},"last_update":"2026-11-28 12:00:00",'
    b'"peer_sites":[{"site_name":"","mirror_uuids":"","state":"up+stopped","description":"local image is primary",'
    b'"last_update":"2026-11-28 12:00:00"}]}'
)


def packed(text: str) -> bytes:
    packing = zlib.compressobj(6, zdict=_WORDS)
    return _FORM + packing.compress(text.encode("utf-8", "surrogatepass")) + packing.flush()


def unpacked(kept: bytes) -> str:
    if kept[:1] != _FORM:
        raise ValueError("this answer was kept in a form that is not known here")
    return zlib.decompressobj(zdict=_WORDS).decompress(kept[1:]).decode("utf-8", "surrogatepass")
