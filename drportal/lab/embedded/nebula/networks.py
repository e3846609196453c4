"""Virtual networks: address ranges, leases, and their XML."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from .errors import INTERNAL, NebulaError
from .syntax import Template, cdata
from .users import PERMISSIONS_XML, ids_xml, owner_xml

_OWNER_IS_A_VM = 0x10 << 32  # how the server marks the holder of an allocated address


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """`address` is the subnet ("192.168.10.0/24"); `ranges` are (first IP, number of addresses)."""

    name: str
    address: str
    ranges: tuple[tuple[str, int], ...]


@dataclass(slots=True)
class AddressRange:
    id: int
    first_ip: ipaddress.IPv4Address
    size: int
    leases: dict[int, int] = field(default_factory=dict)  # index -> VM id
    next_index: int = 0

    def ip(self, index: int) -> str:
        return str(self.first_ip + index)

    def mac(self, index: int) -> str:
        return mac_of(self.first_ip + index)

    def index_of(self, ip: str) -> int | None:
        try:
            index = int(ipaddress.IPv4Address(ip)) - int(self.first_ip)
        except ipaddress.AddressValueError:
            return None
        return index if 0 <= index < self.size else None

    def next_free(self) -> int | None:
        """The index an automatic lease gets. Only these move NEXT_INDEX; an address that was asked for does not."""
        for step in range(self.size):
            index = (self.next_index + step) % self.size
            if index not in self.leases:
                self.next_index = (index + 1) % self.size
                return index
        return None

    def _common_xml(self) -> str:
        return (
            f"<AR_ID>{cdata(str(self.id))}</AR_ID><IP>{cdata(self.ip(0))}</IP><MAC>{cdata(self.mac(0))}</MAC>"
            f"<NEXT_INDEX>{cdata(str(self.next_index))}</NEXT_INDEX><SHARED>{cdata('NO')}</SHARED>"
            f"<SIZE>{cdata(str(self.size))}</SIZE><TYPE>{cdata('IP4')}</TYPE>"
        )

    def pool_xml(self) -> str:
        used = "".join(f" {index} {_OWNER_IS_A_VM | vm}" for index, vm in sorted(self.leases.items()))
        return f"<AR><ALLOCATED>{cdata(used)}</ALLOCATED>{self._common_xml()}</AR>"

    def info_xml(self) -> str:
        leases = "".join(
            f"<LEASE><IP>{cdata(self.ip(index))}</IP><MAC>{cdata(self.mac(index))}</MAC><VM>{cdata(str(vm))}</VM></LEASE>"
            for index, vm in sorted(self.leases.items())
        )
        last = self.size - 1
        return (
            f"<AR>{self._common_xml()}<MAC_END>{cdata(self.mac(last))}</MAC_END><IP_END>{cdata(self.ip(last))}</IP_END>"
            f"<USED_LEASES>{len(self.leases)}</USED_LEASES><LEASES>{leases}</LEASES></AR>"
        )


@dataclass(frozen=True, slots=True)
class Lease:
    ar_id: int
    ip: str
    mac: str


@dataclass(slots=True)
class Network:
    id: int
    name: str
    template: Template
    ranges: list[AddressRange]

    def lease(self, vm_id: int, ip: str = "", mac: str = "") -> Lease:
        """One text for an address outside the ranges, one that is taken, and a full network, as the server has it."""
        wanted = ip or ip_of(mac)
        for address_range in self.ranges:
            index = address_range.index_of(wanted) if wanted else address_range.next_free()
            if index is None or index in address_range.leases or (mac and address_range.mac(index) != mac.lower()):
                continue
            if mac and ip and ip_of(mac) != ip:
                continue
            address_range.leases[index] = vm_id
            return Lease(address_range.id, address_range.ip(index), address_range.mac(index))
        raise NebulaError(INTERNAL, f"Cannot get IP/MAC lease from virtual network {self.id}.")

    def release(self, vm_id: int) -> None:
        for address_range in self.ranges:
            for index in [index for index, holder in address_range.leases.items() if holder == vm_id]:
                del address_range.leases[index]

    @property
    def vms(self) -> list[int]:
        return sorted({vm for address_range in self.ranges for vm in address_range.leases.values()})

    def xml(self, *, with_leases: bool) -> str:
        bridge, bridge_type = self.template.text("BRIDGE"), self.template.text("BRIDGE_TYPE")
        ranges = "".join(item.info_xml() if with_leases else item.pool_xml() for item in self.ranges)
        return (
            f"<VNET><ID>{self.id}</ID>{owner_xml(0, 0, 'oneadmin', 'oneadmin', self.name)}{PERMISSIONS_XML}"
            f"<CLUSTERS><ID>0</ID></CLUSTERS><BRIDGE>{cdata(bridge)}</BRIDGE>"
            f"<BRIDGE_TYPE>{cdata(bridge_type)}</BRIDGE_TYPE><STATE>{cdata('1')}</STATE>"
            f"<PREV_STATE>{cdata('1')}</PREV_STATE><PARENT_NETWORK_ID/><TEMPLATE_ID/>"
            f"<VN_MAD>{cdata(self.template.text('VN_MAD'))}</VN_MAD><PHYDEV/><VLAN_ID/><OUTER_VLAN_ID/>"
            "<VLAN_ID_AUTOMATIC>0</VLAN_ID_AUTOMATIC><OUTER_VLAN_ID_AUTOMATIC>0</OUTER_VLAN_ID_AUTOMATIC>"
            f"<USED_LEASES>{sum(len(item.leases) for item in self.ranges)}</USED_LEASES><VROUTERS></VROUTERS>"
            f"{ids_xml('UPDATED_VMS', self.vms)}<OUTDATED_VMS></OUTDATED_VMS><UPDATING_VMS></UPDATING_VMS>"
            f"<ERROR_VMS></ERROR_VMS>{self.template.xml('TEMPLATE')}<AR_POOL>{ranges}</AR_POOL></VNET>"
        )


def mac_of(ip: ipaddress.IPv4Address) -> str:
    """OpenNebula makes a MAC out of the prefix 02:00 and the address."""
    return "02:00:" + ":".join(f"{byte:02x}" for byte in ip.packed)


def ip_of(mac: str) -> str:
    """The address inside such a MAC; "" when there is none."""
    parts = mac.lower().split(":")
    if len(parts) != 6 or parts[:2] != ["02", "00"]:
        return "invalid" if mac else ""
    try:
        return ".".join(str(int(part, 16)) for part in parts[2:])
    except ValueError:
        return "invalid"


def make_network(network_id: int, spec: NetworkSpec) -> Network:
    subnet = ipaddress.IPv4Network(spec.address)
    gateway = str(subnet.network_address + 1)
    template = Template(
        [
            ("BRIDGE", "br0"),
            ("BRIDGE_TYPE", "linux"),
            ("DNS", gateway),
            ("GATEWAY", gateway),
            ("NETWORK_ADDRESS", str(subnet.network_address)),
            ("NETWORK_MASK", str(subnet.netmask)),
            ("OUTER_VLAN_ID", ""),
            ("PHYDEV", ""),
            ("SECURITY_GROUPS", "0"),
            ("VLAN_ID", ""),
            ("VN_MAD", "bridge"),
        ]
    )
    ranges = [
        AddressRange(number, ipaddress.IPv4Address(first), size) for number, (first, size) in enumerate(spec.ranges)
    ]
    return Network(network_id, spec.name, template, ranges)


def default_networks(letter: str) -> list[NetworkSpec]:
    """The protected network of the site and an unrelated one; the second range is for labs with hundreds of VMs."""
    number = {"a": 10, "b": 20}.get(letter, 30)
    return [
        NetworkSpec(
            f"production-{letter}",
            f"192.168.{number}.0/24",
            ((f"192.168.{number}.10", 240), (f"10.{number}.0.10", 4000)),
        ),
        NetworkSpec(f"office-{letter}", f"172.16.{number}.0/24", ((f"172.16.{number}.10", 100),)),
    ]
