// The invented sites, images, VMs and plans of dev/mock.mjs.
export const ago = (s) => new Date(Date.now() - s * 1000).toISOString();
export const reach = (ok = true) => ({
  ok,
  since: ago(5000),
  sentence: ok ? "Answers." : "Does not answer: timed out after 5 s.",
});

export const site = (slug, name, ok = true) => ({
  slug,
  name,
  version: 3,
  ssh_host: `${slug}.example.org`,
  ssh_port: 22,
  ssh_user: "drportal",
  ceph_user: "drportal",
  opennebula_url: `https://${slug}.example.org:2633/RPC2`,
  opennebula_user: "drportal",
  host_keys: [{ type: "ssh-ed25519", fingerprint: "SHA256:abcd1234", line: "ssh-ed25519 AAAA" }],
  ssh: reach(ok),
  ceph: ok ? reach() : { ok: null, since: ago(60), sentence: "Not tried." },
  opennebula: reach(),
  reachable: ok,
  last_heard: ago(ok ? 3 : 90),
  ceph_version: "18.2.4",
  opennebula_version: "7.0.0",
  ceph_support: { ok: true, sentence: "Ceph 18.2.4 is supported; the measurements were made with 16.2." },
  opennebula_support: {
    ok: true,
    sentence: "OpenNebula 7.0.0 is supported; the measurements were made with 7.5.",
  },
  clock_skew_s: 0.2,
  credentials: { ssh_key: ago(86400), opennebula_password: null },
  pools: [
    { name: "one", mode: "image", health: "OK", daemon_health: "OK", daemons: [{}], peers: [{}], read_at: ago(4) },
  ],
});

export const side = (primary) => ({
  exists: true,
  primary,
  state: primary ? "up+stopped" : "up+replaying",
  description: primary ? "local image is primary" : 'replaying, {"entries_behind_primary":0}',
  entries_behind: primary ? null : 0,
  bytes_behind: null,
  features: ["layering", "exclusive-lock", "journaling"],
  parent: null,
  status_age_s: 12.1,
  heard_at: ago(4),
  reachable: true,
});

export const VERDICTS = ["protected", "behind", "two_primaries", "cannot_tell", "diverged", "broken_mirroring"];
export const image = (id, world) => ({
  id,
  pool: "one",
  name: `one-${id}-${100 + id}-0`,
  global_id: `9d2c${id}-4f`,
  mode: id % 2 ? "journal" : "snapshot",
  size_bytes: 10 * 2 ** 30,
  verdict: world.trouble ? VERDICTS[id % VERDICTS.length] : "protected",
  verdict_sentence: "Site A is primary and Site B replays with nothing left to replay, read 4 s ago.",
  primary_site: "site-a",
  sides: { "site-a": side(true), "site-b": side(false) },
  vms: [{ id: Math.ceil(id / 2), name: `web-${Math.ceil(id / 2)}`, site: "site-a" }],
  changed_at: ago(7200),
  gone_at: null,
});

export const images = (world) => Array.from({ length: world.images }, (_, n) => image(n + 1, world));
export const vm = (id) => ({
  id,
  site: "site-a",
  one_id: 40 + id,
  name: `web-${id}`,
  phase: "running",
  state_word: "running",
  host: "node1",
  cpu: 1,
  memory_mb: 2048,
  nics: [{ nic_id: 0, network_id: 3, network: "office", ip: "10.0.0.5", mac: "02:00:0a:00:00:05" }],
  disks: [2 * id - 1, 2 * id].map((n, at) => ({
    disk_id: at,
    kind: "persistent",
    source: `one/one-${n}-${100 + n}-0`,
    target: `vd${"ab"[at]}`,
    size_bytes: 10 * 2 ** 30,
    image_id: n,
    verdict: "protected",
  })),
  group: id === 1 ? { id: 1, name: "web-shop" } : null,
  protectable: id !== 3,
  why_not: id === 3 ? ["Disk 1 is volatile: it ends with the VM."] : [],
  copy_of: null,
  definition: { number: 2, captured_at: ago(9000), seen_at: ago(50) },
  read_at: ago(20),
  gone_at: null,
});
export const vms = (world) => Array.from({ length: Math.ceil(world.images / 2) }, (_, n) => vm(n + 1));

export const planOf = (world) => ({
  id: 1,
  name: "web-shop",
  version: 4,
  group: { id: 1, name: "web-shop" },
  home_site: "site-a",
  peer_site: "site-b",
  active_site: "site-a",
  vm_count: Math.ceil(world.images / 2),
  image_count: world.images,
  worst_verdict: world.trouble ? "two_primaries" : "protected",
  active_run_id: null,
  next_kinds: [
    { kind: "planned_failover", possible: true, why_not: null },
    { kind: "failback", possible: false, why_not: "The group is at home." },
  ],
});

export const GATES = ["G-META", "G-ONE", "G-PATH"];
export const gateOf = (id, outcome) => ({
  gate: id,
  outcome,
  sentence: outcome === "met" ? "Read now and found so." : "The target's mirror daemon has not been heard for 90 s.",
  checked_at: ago(2),
  remedy: outcome === "met" ? null : "Start rbd-mirror at Site B and look at its log.",
});
export function readiness(world) {
  const bad = world.trouble ? 12 : 0;
  const unsure = world.trouble ? 2 : 0;
  const outcome = (n) => (n < bad ? "not_met" : n < bad + unsure ? "cannot_tell" : "met");
  const all = images(world);
  return {
    kind: "planned_failover",
    state: world.trouble ? "not_ready" : "ready",
    checked_at: ago(1),
    findings: [
      ...(world.trouble
        ? [
            {
              code: "daemon_down",
              severity: "block",
              subject: "one at Site B",
              sentence: "No mirror daemon is alive.",
              remedy: "Start it.",
            },
          ]
        : []),
      {
        code: "capacity",
        severity: "warn",
        subject: "Site B",
        sentence: "Memory will be 91 % used.",
        remedy: "Stop what is not needed.",
      },
      {
        code: "copies",
        severity: "info",
        subject: "web-1",
        sentence: "It starts at Site B for the first time.",
        remedy: null,
      },
    ],
    images: all.map((each, n) => ({
      image_id: each.id,
      name: `one/${each.name}`,
      vm_name: each.vms[0].name,
      verdict: each.verdict,
      verdict_sentence: each.verdict_sentence,
      gates: GATES.map((id) => gateOf(id, id === "G-PATH" ? outcome(n) : "met")),
    })),
    vms: vms(world)
      .slice(0, 40)
      .map((each) => ({
        name: each.name,
        priority: 3,
        phase_source: "running",
        phase_target: "none",
        gates: [gateOf("G-META", "met")],
      })),
    counts: { met: world.images - bad - unsure, not_met: bad, cannot_tell: unsure },
  };
}

export function preview(world) {
  const steps = [];
  for (const each of images(world)) {
    const vmName = each.vms[0].name;
    steps.push(
      {
        key: `off-${each.id}`,
        kind: "vm.power_off",
        title: "Power off",
        subject: vmName,
        vm_name: vmName,
        site: "site-a",
        commands: [`one.vm.action poweroff ${40 + each.id}`],
        needs: [],
        gates: ["G-PATH"],
        destructive: true,
      },
      {
        key: `dem-${each.id}`,
        kind: "image.demote",
        title: "Demote",
        subject: `one/${each.name}`,
        vm_name: vmName,
        site: "site-a",
        commands: [`rbd mirror image demote one/${each.name}`],
        needs: [`off-${each.id}`],
        gates: ["G-OFF", "G-SYNC"],
        destructive: true,
      },
      {
        key: `pro-${each.id}`,
        kind: "image.promote",
        title: "Promote",
        subject: `one/${each.name}`,
        vm_name: vmName,
        site: "site-b",
        commands: [`rbd mirror image promote one/${each.name}`],
        needs: [`dem-${each.id}`],
        gates: ["G-DEMOTED"],
        destructive: true,
      },
    );
  }
  return {
    kind: "planned_failover",
    plan_version: 4,
    source_site: "site-a",
    target_site: "site-b",
    steps,
    phrase: "move web-shop to site-b",
    button: `Move ${Math.ceil(world.images / 2)} VMs and ${world.images} images to Site B`,
    consequences: [
      `${Math.ceil(world.images / 2)} VMs are powered off at Site A and start at Site B.`,
      `${world.images} images become primary at Site B; Site A keeps their copies.`,
      "Nothing is forced; a step whose gate is not met waits or stops the run.",
    ],
  };
}
