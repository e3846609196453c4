"""What was changed at the sites, by their own records: every act that had an effect, counted per image and VM."""

from __future__ import annotations

import re
from collections import Counter

from drportal.lab.control import LabClient

Deeds = Counter[tuple[str, str, str]]  # (site, act, subject)
SITES = ("a", "b")


def deeds(lab: LabClient) -> Deeds:
    """All effective acts so far. Subjects: RBD images by name, VMs by id (their name where they are made)."""
    found: Deeds = Counter()
    for site in SITES:
        for act in lab.acts(site):
            if act["exit_code"] == 0:
                *_, verb, image = act["command"].split()
                found[site, verb, image.partition("/")[2]] += 1
        for call in lab.call("calls", site=site):
            if call["outcome"] == "ok":
                found[(site, *_named(call["method"].removeprefix("one."), call["args"]))] += 1
    return found


def _named(method: str, args: list[str]) -> tuple[str, str]:
    if method == "vm.action":
        return args[0], args[1]
    if method == "vm.allocate":
        return method, _element(args[0], "NAME")
    if method == "image.allocate":
        return method, _element(args[0], "SOURCE").partition("/")[2]
    return method, args[0]


def _element(template: str, name: str) -> str:
    found = re.search(rf"<{name}>(?:<!\[CDATA\[)?([^<\]]*)", template)
    assert found, f"no {name} in {template}"
    return found[1]


def images(lab: LabClient) -> set[str]:
    return set(lab.status()["sites"]["a"]["images"])


def vm_ids(lab: LabClient, site: str) -> set[str]:
    return {key for key, vm in lab.status()["sites"][site]["vms"].items() if vm["state"] != "DONE"}


def once(site: str, act: str, subjects: set[str]) -> Deeds:
    return Counter({(site, act, subject): 1 for subject in subjects})


def assert_all_is_at(lab: LabClient, target: str) -> None:
    """Every image is primary there and nowhere else, and exactly the three VMs run there and none elsewhere."""
    for site, there in lab.status()["sites"].items():
        primary = {name for name, image in there["images"].items() if image["primary"]}
        assert primary == (set(there["images"]) if site == target else set()), f"site {site}"
        running = sorted(vm["name"] for vm in there["vms"].values() if vm["state"] not in ("POWEROFF", "DONE"))
        assert running == (["app-1", "db-1", "web-1"] if site == target else []), f"site {site}: {there['vms']}"


def a_failover(lab: LabClient, home: set[str]) -> Deeds:
    """What a first failover changes, each once: ``home`` are the ids of the VMs that it powers off."""
    names = {"app-1", "db-1", "web-1"}
    return (
        once("a", "poweroff", home)
        + once("a", "demote", images(lab))
        + once("b", "promote", images(lab))
        + once("b", "image.allocate", images(lab))
        + once("b", "vm.allocate", names)
    )
