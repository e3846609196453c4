"""How long things take in the embedded lab. One factor, `speed`, divides every duration.

The figures at speed 1 are those of two real Ceph 16.2.15 clusters with rbd-mirror's default settings.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations in seconds, rates per second."""

    tick_s: float = 30.0  # rbd-mirror writes its status texts on this beat, and at a few transitions
    poll_s: float = 5.0  # rbd-mirror looks for new journal entries on this beat
    settle_s: float = 3.0  # from "entry committed" to "a poll can see and apply it"
    entries_per_s: float = 500.0  # replay of 16 KiB journal entries
    notice_s: float = 0.8  # from a new mirror snapshot to the start of its copy
    create_s: float = 2.0  # from enabling mirroring to the image's appearance on the other side
    sync_bytes_per_s: float = 64 * 2**20
    sync_most_s: float = 20.0  # a full copy never takes longer than this, or a demo of large disks would stall
    watch_s: float = 30.0  # how long a dead client's watch, and so its lock, stays
    lost_s: float = 55.0  # how long the service map still lists a dead rbd-mirror
    restart_s: float = 2.0
    schedule_s: float = 60.0  # a minute of a mirror snapshot schedule
    command_s: float = 0.05  # one rbd process
    library_s: float = 0.01  # the same through librbd, in a process that is connected already

    @classmethod
    def at_speed(cls, speed: float) -> Timing:
        """Timing with every duration divided and every rate multiplied by `speed`. Raises ValueError unless > 0."""
        if not speed > 0:
            raise ValueError(f"speed must be above 0, not {speed}")
        base = cls()
        return cls(
            tick_s=base.tick_s / speed,
            poll_s=base.poll_s / speed,
            settle_s=base.settle_s / speed,
            entries_per_s=base.entries_per_s * speed,
            notice_s=base.notice_s / speed,
            create_s=base.create_s / speed,
            sync_bytes_per_s=base.sync_bytes_per_s * speed,
            sync_most_s=base.sync_most_s / speed,
            watch_s=base.watch_s / speed,
            lost_s=base.lost_s / speed,
            restart_s=base.restart_s / speed,
            schedule_s=base.schedule_s / speed,
            command_s=base.command_s / speed,
            library_s=base.library_s / speed,
        )
