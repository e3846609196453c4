"""The same answers as a person sees them, without `--format json`."""

from __future__ import annotations

from typing import Any


def size(number: int) -> str:
    """16777216 -> "16 MiB", as rbd writes sizes."""
    unit, value = "B", float(number)
    for bigger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if value < 1024:
            break
        unit, value = bigger, value / 1024
    return f"{value:.0f} {unit}" if value == int(value) else f"{value:.2g} {unit}"


def info(answer: dict[str, Any]) -> str:
    lines = [
        f"rbd image '{answer['name']}':",
        f"size {size(answer['size'])} in {answer['objects']} objects",
        f"order {answer['order']} ({size(answer['object_size'])} objects)",
        *(f"{key}: {answer[key]}" for key in ("snapshot_count", "id", "block_name_prefix", "format")),
        *(f"{key}: {', '.join(answer[key])}" for key in ("features", "op_features", "flags")),
        *(f"{key}: {answer[key]}" for key in ("create_timestamp", "access_timestamp", "modify_timestamp")),
    ]
    if "journal" in answer:
        lines.append(f"journal: {answer['journal']}")
    if "mirroring" in answer:
        mirroring = answer["mirroring"]
        lines += [f"mirroring state: {mirroring['state']}", f"mirroring mode: {mirroring['mode']}"]
        lines += [f"mirroring global id: {mirroring['global_id']}"]
        lines += [f"mirroring primary: {str(mirroring['primary']).lower()}"]
    return "\n\t".join(lines) + "\n"


def table(head: list[tuple[str, str]], rows: list[list[str]]) -> str:
    """Columns separated by two blanks; "<" or ">" says to which side a column leans."""
    widths = [max(len(name), *(len(row[n]) for row in rows)) if rows else len(name) for n, (name, _) in enumerate(head)]

    def line(cells: list[str]) -> str:
        return "  ".join(f"{cell:{head[n][1]}{widths[n]}}" for n, cell in enumerate(cells))

    titles = "  ".join(f"{name:<{widths[n]}}" for n, (name, _) in enumerate(head))
    return "\n".join([titles, *map(line, rows)]) + "\n"


def ls(answer: list[dict[str, Any]]) -> str:
    head = [("NAME", "<"), ("SIZE", ">"), ("PARENT", "<"), ("FMT", ">"), ("PROT", "<"), ("LOCK", ">")]
    rows = [
        [row["image"], size(row["size"]), "", str(row["format"]), "", "excl" if "lock_type" in row else ""]
        for row in answer
    ]
    return table(head, rows) if rows else ""


def watchers(answer: dict[str, Any]) -> str:
    if not answer["watchers"]:
        return "Watchers: none\n"
    rows = (f"\twatcher={w['address']} client.{w['client']} cookie={w['cookie']}\n" for w in answer["watchers"])
    return "Watchers:\n" + "".join(rows)


def snaps(answer: list[dict[str, Any]]) -> str:
    head = [("SNAPID", ">"), ("NAME", "<"), ("SIZE", ">"), ("PROTECTED", "<"), ("TIMESTAMP", "<"), ("NAMESPACE", "<")]
    rows = [
        [str(row["id"]), row["name"], size(row["size"]), "", row["timestamp"], _space(row["namespace"])]
        for row in answer
    ]
    return table(head, rows) if rows else ""


def _space(space: dict[str, Any]) -> str:
    text = f"{space['state']} peer_uuids:[{','.join(space['mirror_peer_uuids'])}]"
    if "primary_snap_id" in space:
        done = "copied" if space["complete"] else f"{space['last_copied_object_number']} objects copied"
        text += f" {space['primary_mirror_uuid']}:{space['primary_snap_id']} {done}"
    return f"mirror ({text})"


def journal(answer: dict[str, Any]) -> str:
    lines = [f"minimum_set: {answer['minimum_set']}", f"active_set: {answer['active_set']}", "registered clients: "]
    for client in answer["registered_clients"]:
        places = ", ".join(
            f"[object_number={p['object_number']}, tag_tid={p['tag_tid']}, entry_tid={p['entry_tid']}]"
            for p in client["commit_position"]["object_positions"]
        )
        lines.append(f"\t[id={client['id']}, commit_position=[positions=[{places}]], state={client['state']}]")
    return "\n".join(lines) + "\n"


def pool_info(answer: dict[str, Any]) -> str:
    peer = answer["peers"][0]
    return (
        f"Mode: {answer['mode']}\nSite Name: {answer['site_name']}\n\nPeer Sites: \n\nUUID: {peer['uuid']}\n"
        f"Name: {peer['site_name']}\nMirror UUID: {peer['mirror_uuid']}\nDirection: {peer['direction']}\n"
        f"Client: {peer['client_name']}\n"
    )


def image_status(answer: dict[str, Any]) -> str:
    lines = [
        f"{answer['name']}:",
        f"  global_id:   {answer['global_id']}",
        f"  state:       {answer['state']}",
        f"  description: {answer['description']}",
    ]
    if "daemon_service" in answer:
        lines.append(
            f"  service:     {answer['daemon_service']['daemon_id']} on {answer['daemon_service']['hostname']}"
        )
    lines += [f"  last_update: {answer['last_update']}", "  peer_sites:"]
    for peer in answer["peer_sites"]:
        lines += [f"    name: {peer['site_name']}", f"    state: {peer['state']}"]
        lines += [f"    description: {peer['description']}", f"    last_update: {peer['last_update']}"]
    if "snapshots" in answer:
        lines.append("  snapshots:")
        lines += [
            f"    {s['id']} {s['name']} (peer_uuids:[{','.join(s['mirror_peer_uuids'])}])" for s in answer["snapshots"]
        ]
    return "\n".join(lines) + "\n"


def pool_status(answer: dict[str, Any]) -> str:
    summary = answer["summary"]
    lines = [f"{key.replace('_', ' ')}: {summary[key]}" for key in ("health", "daemon_health", "image_health")]
    lines.append(f"images: {sum(summary['states'].values())} total")
    lines += [f"    {number} {state}" for state, number in summary["states"].items()]
    text = "\n".join(lines) + "\n"
    if "images" not in answer:
        return text
    return (
        text
        + "\nDAEMONS\n"
        + _daemons(answer["daemons"])
        + "\nIMAGES\n"
        + "\n".join(map(image_status, answer["images"]))
    )


def _daemons(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "  none\n"
    text = ""
    for row in rows:
        text += f"service {row['service_id']}:\n  instance_id: {row['instance_id']}\n  client_id: {row['client_id']}\n"
        text += f"  hostname: {row['hostname']}\n  version: {row['ceph_version']}\n"
        text += f"  leader: {str(row['leader']).lower()}\n  health: {row['health']}\n"
        if "callouts" in row:
            text += f"  callouts: {', '.join(row['callouts'])}\n"
        text += "\n"
    return text


def schedule(items: list[dict[str, str]]) -> str:
    return "".join(f"{_when(item)}\n" for item in items)


def schedules(answer: list[dict[str, Any]]) -> str:
    head = [("POOL", "<"), ("NAMESPACE", "<"), ("IMAGE", "<"), ("SCHEDULE", "<")]
    levels = [[one["pool"], one["namespace"], one["image"], ", ".join(map(_when, one["items"]))] for one in answer]
    return table(head, levels) if answer else ""


def _when(item: dict[str, str]) -> str:
    starting = f" starting at {item['start_time']}" if item["start_time"] else ""
    return f"every {item['interval']}{starting}"
