"""What the sites are and what they answered.

Written by discovery, polling and the sites' own settings page; by nothing else.
"""

from __future__ import annotations

from django.db import models

from drportal.inventory.packing import unpacked


class CephThrough(models.TextChoices):
    """How the portal reaches a site's Ceph over SSH (docs/site-program.md)."""

    PROGRAM = "program", "the site program, sent each time"
    INSTALLED = "installed", "the site program, installed there as the key's forced command"
    RBD = "rbd", "the rbd client, a process for each command"


class Site(models.Model):
    """One OpenNebula front end and one Ceph cluster. ``version`` goes up at each change of its settings (If-Match)."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=100)
    ssh_host = models.CharField(max_length=255)
    ssh_port = models.PositiveIntegerField(default=22)
    ssh_user = models.CharField(max_length=64)
    host_keys = models.JSONField(default=list)  # OpenSSH public key lines, accepted by a person
    ceph_through = models.CharField(max_length=20, choices=CephThrough, default=CephThrough.PROGRAM)
    program = models.JSONField(default=dict)  # the installed site program, as it last told: version, sha256, path, …
    ceph_user = models.CharField(max_length=64, blank=True)  # rbd --id; blank: the site's default
    salvage_dir = models.CharField(max_length=200, blank=True)  # at the SSH host; blank: nothing is saved there
    looked_for = models.JSONField(default=list)  # [{what, host, port}]: where else it is looked for when it is silent
    opennebula_url = models.URLField(max_length=300)
    opennebula_user = models.CharField(max_length=100)
    version = models.PositiveIntegerField(default=1)
    ssh_reachable = models.BooleanField(null=True)
    ssh_since = models.DateTimeField(null=True)
    ssh_sentence = models.TextField(blank=True)
    ceph_reachable = models.BooleanField(null=True)
    ceph_since = models.DateTimeField(null=True)
    ceph_sentence = models.TextField(blank=True)
    opennebula_reachable = models.BooleanField(null=True)
    opennebula_since = models.DateTimeField(null=True)
    opennebula_sentence = models.TextField(blank=True)
    last_heard = models.DateTimeField(null=True)
    ceph_version = models.CharField(max_length=60, blank=True)
    opennebula_version = models.CharField(max_length=60, blank=True)
    clock_skew_s = models.FloatField(null=True)

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name


class Sight(models.Model):
    """What one viewpoint (``portal``, the slug of the site whose host looks, or ``witness:`` and a witness's name) sees
    at one address of a site.

    ``echo``: ``drivers.vantage.Echo``; empty where the viewpoint could not be asked. Written by
    ``inventory/sights.py``.
    """

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="sights")
    viewpoint = models.CharField(max_length=80)
    what = models.CharField(max_length=100)
    address = models.CharField(max_length=300)
    echo = models.CharField(max_length=20, blank=True)
    sentence = models.TextField()
    since = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["site", "viewpoint", "what"], name="one_sight_of_an_address")]

    def __str__(self) -> str:
        return f"{self.viewpoint} sees {self.what}: {self.sentence}"


class Credential(models.Model):
    """A secret of a site, encrypted (``drportal/sealing.py``). Never sent to a browser, never logged."""

    class Kind(models.TextChoices):
        SSH_KEY = "ssh_key"
        OBSERVE_KEY = "observe_key"  # of the installed site program; made by the portal
        ACT_KEY = "act_key"
        OPENNEBULA_PASSWORD = "opennebula_password"  # noqa: S105  (the name of a kind)

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="credentials")
    kind = models.CharField(max_length=30, choices=Kind)
    ciphertext = models.BinaryField()
    changed_at = models.DateTimeField(auto_now=True)
    changed_by = models.CharField(max_length=150)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["site", "kind"], name="one_credential_of_a_kind")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.site_id}"


class SitePair(models.Model):
    """Two sites whose pools of the same name mirror each other. ``lease_*``: the one poller that watches this pair."""

    a = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="pairs_as_a")
    b = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="pairs_as_b")
    pools = models.JSONField(default=list)  # names
    version = models.PositiveIntegerField(default=1)
    lease_owner = models.CharField(max_length=100, blank=True)
    lease_until = models.DateTimeField(null=True)
    polled_at = models.DateTimeField(null=True)
    discovered_at = models.DateTimeField(null=True)
    discovery = models.JSONField(default=dict)  # {state: idle|running|failed, done, total, sentence, started_at}

    class Meta:
        constraints = [models.UniqueConstraint(fields=["a", "b"], name="one_pair_of_two_sites")]

    def __str__(self) -> str:
        return f"{self.a_id} and {self.b_id}"


class Witness(models.Model):
    """A host at a third place that looks at both sites of a pair by itself. ``version`` goes up at each change.

    Its key is made by the portal and has a forced command: the site program, which there may only look at addresses.
    ``ciphertext``: the key, sealed; ``public_key``: its line for ``authorized_keys``.
    """

    pair = models.ForeignKey(SitePair, on_delete=models.CASCADE, related_name="witnesses")
    name = models.CharField(max_length=60)
    ssh_host = models.CharField(max_length=255)
    ssh_port = models.PositiveIntegerField(default=22)
    ssh_user = models.CharField(max_length=64)
    host_keys = models.JSONField(default=list)  # OpenSSH public key lines, accepted by a person
    public_key = models.TextField()
    ciphertext = models.BinaryField()
    version = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["pair", "name"], name="one_witness_of_a_name")]

    def __str__(self) -> str:
        return self.name


class Pool(models.Model):
    """A mirrored pool as one site sees it."""

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="pools")
    name = models.CharField(max_length=100)
    mode = models.CharField(max_length=20, blank=True)
    peers = models.JSONField(default=list)
    daemons = models.JSONField(default=list)
    health = models.CharField(max_length=20, blank=True)
    daemon_health = models.CharField(max_length=20, blank=True)
    read_at = models.DateTimeField(null=True)
    gone_at = models.DateTimeField(null=True)  # the site says that there is no such pool; the rest is as it was

    class Meta:
        constraints = [models.UniqueConstraint(fields=["site", "name"], name="one_pool_of_a_name")]

    def __str__(self) -> str:
        return self.name


class SnapshotSchedules(models.Model):
    """What Ceph's manager at a site takes mirror snapshots of a pool's images by, as last told.

    ``entries``: [pool, image, interval, start] each; no image: of the whole pool, no pool either: of all pools.
    ``trouble``: why they could not be read the last time; empty where they could.
    """

    pool = models.OneToOneField(Pool, on_delete=models.CASCADE, related_name="schedules")
    entries = models.JSONField(default=list)
    read_at = models.DateTimeField(null=True)  # null: never
    trouble = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"schedules of {self.pool_id}"


class MirroredImage(models.Model):
    """An image seen on either site of a pair, joined by mirroring global id (by name where it is not mirrored).

    ``side_a``/``side_b`` are the facts last read on each side (``inventory/facts.py`` turns them into engine facts),
    each part with its time.
    """

    # No index but those that are looked in: each costs room whenever a row is written anew.
    pair = models.ForeignKey(SitePair, on_delete=models.CASCADE, related_name="images", db_index=False)
    pool = models.CharField(max_length=100)
    name = models.CharField(max_length=200)
    global_id = models.CharField(max_length=64, blank=True)
    mode = models.CharField(max_length=20, blank=True)
    size_bytes = models.BigIntegerField(null=True)
    side_a = models.JSONField(default=dict)
    side_b = models.JSONField(default=dict)
    verdict = models.CharField(max_length=40, default="cannot_tell")
    verdict_sentence = models.TextField(blank=True)
    # Since it was seen primary at both sites; until both have been read again and at most one is. A side that falls
    # silent meanwhile has resolved nothing.
    two_primaries_since = models.DateTimeField(null=True)
    primary_side = models.CharField(max_length=1, blank=True)
    protected_until = models.DateTimeField(null=True)  # every write before this is shown to be at the copy
    track = models.JSONField(default=dict)  # what that proof stands on (``engine/exposure.py``)
    gaps = models.JSONField(default=list)  # what keeps it from being protected (``engine/gaps.py``), as of this row
    changed_at = models.DateTimeField(null=True)
    gone_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["pool", "name"]
        constraints = [models.UniqueConstraint(fields=["pair", "pool", "name"], name="one_image_of_a_name")]
        indexes = [
            models.Index(fields=["pair", "verdict"], condition=models.Q(gone_at=None), name="images_by_verdict"),
        ]

    def __str__(self) -> str:
        return f"{self.pool}/{self.name}"


class ExposureDay(models.Model):
    """The worst exposure of an image or a pool in each slot of one day (UTC).

    ``subject``: ``image:12`` or ``pool:one``. ``packed``: the figures, and in which slots no bound could be given or it
    could not be told, of one image of the pool at least (``inventory/slots.py``). Thinned and dropped by age
    (``inventory/exposure.py``).
    """

    # Its index is that of the one row of a day.
    pair = models.ForeignKey(SitePair, on_delete=models.CASCADE, related_name="exposure_days", db_index=False)
    subject = models.CharField(max_length=120)
    day = models.DateField(db_index=True)
    step_s = models.PositiveIntegerField()
    packed = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["pair", "subject", "day"], name="one_exposure_row_of_a_day")]

    def __str__(self) -> str:
        return f"{self.subject} on {self.day}"


class Observation(models.Model):
    """What one site answered at one time, raw, and packed. Kept for evidence, and thinned
    (``inventory/observations.py``).
    """

    # Its index is the one below.
    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="observations", db_index=False)
    subject = models.CharField(max_length=300)
    command = models.TextField()
    at = models.DateTimeField()
    duration_s = models.FloatField()
    exit_status = models.IntegerField(null=True)
    sha256 = models.CharField(max_length=64)
    packed = models.BinaryField()

    class Meta:
        ordering = ["-at"]
        indexes = [models.Index(fields=["site", "subject", "-at"], name="observations_of_a_subject")]

    def __str__(self) -> str:
        return f"{self.command} at {self.at:%F %T}"

    @property
    def output(self) -> str:
        return unpacked(bytes(self.packed))


class InventoryChange(models.Model):
    """One thing that changed at a site, a sentence for people. Written and bounded by ``inventory/changes.py``.

    ``subject``: pool/image, pool, or a number at the front end; empty for the site itself. ``what``: the part of it.
    """

    class Kind(models.TextChoices):
        IMAGE = "image"
        POOL = "pool"
        VM = "vm"
        NETWORK = "network"
        DATASTORE = "datastore"
        HOST = "host"
        SITE = "site"

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="changes")
    kind = models.CharField(max_length=20, choices=Kind)
    subject = models.CharField(max_length=300, blank=True)
    name = models.CharField(max_length=300)
    what = models.CharField(max_length=30)
    sentence = models.TextField()
    at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["site", "kind", "subject", "-id"], name="changes_of_a_subject")]

    def __str__(self) -> str:
        return self.sentence


class Network(models.Model):
    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="networks")
    one_id = models.IntegerField()
    name = models.CharField(max_length=200)
    ranges = models.JSONField(default=list)
    gone_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["site", "one_id"], name="one_network_of_an_id")]

    def __str__(self) -> str:
        return self.name


class SiteResource(models.Model):
    """Datastores and hosts of a site: what readiness needs to know of the ground there; images registered twice, and
    names under which images of the other site can't be registered here."""

    class Kind(models.TextChoices):
        DATASTORE = "datastore"
        HOST = "host"
        DOUBLE = "double"  # an RBD image that several image records name; one_id is the first of them
        TAKEN = "taken"  # one_id: the record here that has the name, or below 0: two of the other site have it

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="resources")
    kind = models.CharField(max_length=20, choices=Kind)
    one_id = models.IntegerField()
    name = models.CharField(max_length=200)
    facts = models.JSONField(default=dict)
    read_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["site", "kind", "one_id"], name="one_resource_of_an_id")]

    def __str__(self) -> str:
        return self.name


class VirtualMachine(models.Model):
    """A VM at one site, as last heard.

    ``home_of`` is set on a copy that the portal made: the VM it stands for at the other site.
    """

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="vms")
    one_id = models.IntegerField()
    name = models.CharField(max_length=200)
    phase = models.CharField(max_length=20)
    state_word = models.CharField(max_length=40)
    host = models.CharField(max_length=200, blank=True)
    cpu = models.FloatField(default=0)
    memory_mb = models.IntegerField(default=0)
    nics = models.JSONField(default=list)  # [{nic_id, network_id, network, ip, mac}]
    devices = models.JSONField(default=list)  # [{pci_id, what}]: of its host, which it has for itself
    uuid = models.CharField(max_length=64, blank=True)  # of the guest's machine, where its template sets one
    owner = models.CharField(max_length=100, blank=True)
    labels = models.TextField(blank=True)  # ",web,prod/shop,": each between commas, so that one can be looked for
    marker = models.CharField(max_length=200, blank=True, db_index=True)
    home_of = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="copies")
    read_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["name", "one_id"]
        constraints = [models.UniqueConstraint(fields=["site", "one_id"], name="one_vm_of_an_id")]

    def __str__(self) -> str:
        return self.name


class VmDisk(models.Model):
    """A disk of a VM and, where it runs directly on a mirrored image, that image."""

    vm = models.ForeignKey(VirtualMachine, on_delete=models.CASCADE, related_name="disks")
    disk_id = models.IntegerField()
    kind = models.CharField(max_length=20)
    source = models.CharField(max_length=300, blank=True)
    target = models.CharField(max_length=20, blank=True)
    size_bytes = models.BigIntegerField(default=0)
    record_id = models.IntegerField(null=True)  # of its image, in OpenNebula there
    record_name = models.CharField(max_length=200, blank=True)
    image = models.ForeignKey(MirroredImage, null=True, on_delete=models.SET_NULL, related_name="disks")

    class Meta:
        ordering = ["disk_id"]
        constraints = [models.UniqueConstraint(fields=["vm", "disk_id"], name="one_disk_of_an_id")]

    def __str__(self) -> str:
        return f"disk {self.disk_id} of {self.vm_id}"


class CapturedDefinition(models.Model):
    """The whole definition of a VM and of its images, kept by the portal so that the other site can be served when this
    one is dark.

    A new row at each change (``sha256`` over the parts that matter, not over counters and states); ``seen_at`` moves
    while it stays true.
    """

    vm = models.ForeignKey(VirtualMachine, on_delete=models.CASCADE, related_name="definitions")
    number = models.PositiveIntegerField()
    vm_xml = models.TextField()
    # disk id -> {image_id, name, source, type_word, size_bytes, dev_prefix, xml}
    images = models.JSONField(default=dict)
    sha256 = models.CharField(max_length=64)
    captured_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ["vm", "-number"]
        constraints = [models.UniqueConstraint(fields=["vm", "number"], name="one_definition_of_a_number")]

    def __str__(self) -> str:
        return f"definition {self.number} of {self.vm_id}"
