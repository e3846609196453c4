"""``python -m tests.bench.filling``: a large inventory made of a small one's rows, under the environment of a stack.

``fill N``: copies of the images and VMs that are there, until there are N images. ``pulse``: until it is ended, what a
poller does to a page: every few seconds the pair is watched, one image of a hundred has changed, and a hint goes out.
(A real poller would find that the sites know nothing of the copies.)
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from typing import Any

PULSE_S = 5.0
SHARE = 0.01
BATCH = 1000


def fill(wanted: int) -> None:
    from drportal.inventory.models import MirroredImage, VirtualMachine, VmDisk

    patterns = list(MirroredImage.objects.filter(gone_at=None).order_by("pk"))
    vms = list(VirtualMachine.objects.filter(gone_at=None, site__slug="site-a").order_by("pk"))
    number = len(patterns)
    while number < wanted:
        upto = min(wanted, number + BATCH)
        images = [
            _copy(patterns[n % len(patterns)], name=f"one-9{n:05}", global_id=f"copy-{n}") for n in range(number, upto)
        ]
        owners = [
            _copy(vms[n % len(vms)], name=f"shop-{n:05}", one_id=100_000 + n, marker=f"copy-{n}")
            for n in range(number, upto)
        ]
        MirroredImage.objects.bulk_create(images)
        VirtualMachine.objects.bulk_create(owners)
        VmDisk.objects.bulk_create(
            VmDisk(vm=vm, disk_id=0, kind="persistent", source=str(image), image=image)
            for vm, image in zip(owners, images, strict=True)
        )
        number = upto


def _copy(row: Any, **changes: Any) -> Any:
    plain = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields if not field.primary_key}
    return type(row)(**{**plain, **changes})


def pulse() -> None:
    from django.utils import timezone

    from drportal.events import apublish
    from drportal.inventory.models import MirroredImage, SitePair

    keys = list(MirroredImage.objects.filter(gone_at=None).values_list("pk", flat=True))
    while True:
        SitePair.objects.update(polled_at=timezone.now())
        chosen = random.sample(keys, max(1, int(len(keys) * SHARE)))
        MirroredImage.objects.filter(pk__in=chosen).update(changed_at=timezone.now())
        for pair_id in SitePair.objects.values_list("pk", flat=True):
            asyncio.run(apublish(f"pair:{pair_id}"))
        time.sleep(PULSE_S)


if __name__ == "__main__":
    import django

    django.setup()
    if sys.argv[1] == "fill":
        fill(int(sys.argv[2]))
    else:
        pulse()
