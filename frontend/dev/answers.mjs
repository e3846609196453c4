// The invented answers of dev/mock.mjs.
import { run, step, summary } from "./runs.mjs";
import { ago, image, images, planOf, preview, readiness, site, vm, vms } from "./things.mjs";

const session = (world) => ({
  authenticated: world.signedIn,
  user: world.signedIn
    ? {
        username: "operator",
        name: "Olga Operator",
        roles: ["operator"],
        permissions: ["view", "run", "plan", "discover", "audit", "sites"],
      }
    : null,
  csrf_token: "t",
  version: "0.1.0",
  demo: true,
  demo_logins: world.signedIn
    ? []
    : ["viewer", "operator", "administrator"].map((role) => ({ role, username: role, password: `${role}-demo` })),
  now: ago(0),
});
const pair = {
  id: 1,
  version: 1,
  a: "site-a",
  b: "site-b",
  pools: ["one"],
  polled_at: ago(3),
  discovered_at: ago(400),
  discovery: { state: "done", done: 14, total: 14, sentence: "Found 6 VMs and 12 images.", started_at: ago(405) },
};

/** A page of a long table; places are numbers here. */
const listOf = (all, from = 0) => ({
  items: all.slice(from, from + 100),
  next: all.length > from + 100 ? String(from + 100) : null,
  total: all.length,
  counts: {},
});

export function answersFor(world, method, path, query, body) {
  const id = Number(path.match(/\d+/)?.[0]);
  const sites = [site("site-a", "Site A"), site("site-b", "Site B", !world.trouble)];
  const reads = [
    [/^\/sites$/, () => ({ items: sites })],
    [/^\/sites\/[a-z-]+$/, () => sites.find((each) => path.endsWith(each.slug))],
    [/^\/sites\/.*\/vms$/, () => listOf(path.includes("site-a") ? vms(world) : [])],
    [
      /^\/sites\/.*\/networks$/,
      () => ({
        items: [{ one_id: 3, name: path.includes("site-a") ? "office" : "office-b", ranges: [], gone_at: null }],
      }),
    ],
    [
      /^\/sites\/.*\/resources$/,
      () => ({ items: [{ kind: "datastore", one_id: 101, name: "ceph", facts: {}, read_at: ago(9) }] }),
    ],
    [/^\/changes$/, () => ({ items: [], next: null })],
    [/^\/pairs$/, () => ({ items: [pair] })],
    [
      /^\/pairs\/1\/images$/,
      () => ({
        ...listOf(
          images(world).filter((each) => !query.get("verdict") || each.verdict === query.get("verdict")),
          Number(query.get("cursor") || 0),
        ),
        counts: { protected: world.images },
      }),
    ],
    [
      /^\/images\/\d+$/,
      () => ({
        ...image(id, world),
        observations: [
          {
            site: "site-a",
            command: `rbd info one/one-${id} --format json`,
            at: ago(4),
            duration_s: 0.2,
            exit_status: 0,
            output: '{"mirroring": {"primary": true}}',
          },
        ],
        allowed: ["planned_failover", "drill"],
        needs: [],
      }),
    ],
    [/^\/vms\/\d+$/, () => vm(id)],
    [
      /^\/vms\/\d+\/definition$/,
      () => ({
        number: 2,
        captured_at: ago(9000),
        sha256: "ab".repeat(32),
        vm_xml: "<VM><ID>41</ID></VM>",
        images: {},
        target_files: {
          image_files: [{ disk_id: 0, text: 'NAME="web-1-disk-0"\nPERSISTENT="YES"\n' }],
          vm_template: 'NAME="web-1"\nCPU="1"\n',
        },
      }),
    ],
    [
      /^\/overview$/,
      () => ({
        sites,
        counts: world.trouble
          ? { protected: 180, behind: 4, two_primaries: 1, cannot_tell: 2 }
          : { protected: world.images },
        groups: [
          {
            id: 1,
            name: "web-shop",
            home_site: "site-a",
            active_site: "site-a",
            active_run_id: 12,
            worst_verdict: "protected",
          },
        ],
        two_primaries: world.trouble ? [{ image_id: 2, name: "one/one-2-102-0" }] : [],
        runs: [summary(world), summary(world, 11, "succeeded")],
        live: { poller_at: ago(3), worker: !world.trouble },
      }),
    ],
    [/^\/plans$/, () => ({ items: [planOf(world)] })],
    [
      /^\/plans\/1$/,
      () => ({
        ...planOf(world),
        members: vms(world)
          .slice(0, 4)
          .map((each, n) => ({ vm: each, priority: n + 1 })),
        network_map: { 3: 3 },
        image_datastore_id: null,
        networks_home: [{ one_id: 3, name: "office", ranges: [], gone_at: null }],
        networks_peer: [{ one_id: 3, name: "office-b", ranges: [], gone_at: null }],
        runs: [summary(world, 11, "succeeded")],
      }),
    ],
    [/^\/plans\/1\/readiness$/, () => readiness(world)],
    [/^\/plans\/1\/preview$/, () => preview(world)],
    [
      /^\/runs$/,
      () => ({
        items: [
          summary(world),
          summary(world, 11, "succeeded"),
          summary(world, 10, "aborted"),
          summary(world, 9, "succeeded_with_exceptions"),
        ],
        next: null,
      }),
    ],
    [/^\/runs\/\d+$/, () => run(world)],
    [/^\/runs\/\d+\/steps\/\d+$/, () => step(Number(path.split("/").at(-1)), world)],
    [
      /^\/tokens$/,
      () => ({
        items: [
          {
            id: 1,
            name: "nagios",
            scope: ["view"],
            created_at: ago(99999),
            expires_at: ago(-999999),
            last_used_at: ago(80),
          },
        ],
      }),
    ],
    [
      /^\/sessions$/,
      () => ({
        items: [
          { id: 1, started_at: ago(999), seen_at: ago(1), address: "192.0.2.1", agent: "Firefox/140.0", here: true },
        ],
      }),
    ],
    [
      /^\/audit$/,
      () => ({
        items: Array.from({ length: 6 }, (_, n) => ({
          seq: 90 - n,
          at: ago(10 * n),
          actor: "operator",
          action: "step.act",
          subject: "one/one-1-101-0",
          site: "site-a",
          run_id: 12,
          payload: { command: "rbd mirror image demote one/one-1-101-0" },
          previous_hash: "3e".repeat(32),
          hash: "4f".repeat(32),
        })),
        next: 84,
        searched_to: null,
      }),
    ],
    [
      /^\/audit\/chain$/,
      () => ({
        head: { seq: 90, hash: "4f".repeat(32) },
        public_key: "ab".repeat(32),
        anchor_every_s: 900,
        places: [
          {
            place: "file:/srv/anchors.jsonl",
            noted_seq: 80,
            noted_at: ago(600),
            ok: true,
            tried_at: ago(600),
            sentence: "Noted.",
          },
        ],
        now: ago(0),
      }),
    ],
    [
      /^\/audit\/verify$/,
      () => ({
        ok: true,
        entries: 90,
        head: { seq: 90, hash: "4f".repeat(32) },
        anchors: 3,
        sentence: "Every entry fits the one before it.",
      }),
    ],
  ];
  if (path === "/session") {
    if (method === "POST" && body.password !== `${body.username}-demo`) {
      return [
        401,
        {
          title: "Not signed in",
          status: 401,
          code: "wrong_password",
          detail: "User name and password do not fit. You are not signed in.",
        },
      ];
    }
    if (method !== "GET") world.signedIn = method === "POST";
    return method === "DELETE" ? [204] : [200, session(world)];
  }
  if (method === "POST" && path.endsWith("/runs")) return [201, summary(world)];
  if (method === "POST" && path.endsWith("/connection-test")) {
    return [
      200,
      {
        ssh: {
          outcome: "host_key_not_accepted",
          sentence: "The host shows a key that nobody has accepted.",
          offered_keys: [
            { type: "ssh-ed25519", fingerprint: "SHA256:zzzz9999", line: "ssh-ed25519 BBBB", accepted: false },
          ],
        },
        ceph: { outcome: "unreachable", sentence: "Not tried without SSH.", version: "" },
        opennebula: { outcome: "ok", sentence: "Signed in.", version: "7.0.0" },
      },
    ];
  }
  if (method !== "GET")
    return [
      409,
      { title: "Conflict", status: 409, code: "mock", detail: "The mock changes nothing. Nothing was changed." },
    ];
  const found = reads.find(([pattern]) => pattern.test(path));
  return found ? [200, found[1]()] : null;
}
