"""Which IP addresses calls may reach. Pure: text in, a reason for refusing out.

We do not ask `ipaddress.is_private` and its kin: they call NAT64 and 6to4 forms of the metadata address global, and
their answers change between Python's patch releases. Instead every address is taken apart into all the addresses it
stands for, and each of them is held against an explicit list. What is not understood is refused.
"""

import ipaddress
from dataclasses import dataclass

from headrace.adapters.http.policy import EgressPolicy, Network, matches_host, parse_networks

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class _Range:
    network: Network
    description: str
    private: bool
    """An operator's host name may lead here (`allowed_hosts`)."""


def _ranges(*rows: tuple[str, str, bool]) -> tuple[_Range, ...]:
    return tuple(_Range(ipaddress.ip_network(network), description, private) for network, description, private in rows)


# RFC 6890 and its successors, and what the clouds put there. The first range that holds an address names it.
_IPV4_RANGES = _ranges(
    ("100.100.100.200/32", "a cloud metadata address", False),
    ("168.63.129.16/32", "an address of the cloud platform itself", False),
    ("169.254.0.0/16", "a link-local address, where clouds keep their metadata", False),
    ("127.0.0.0/8", "a loopback address", True),
    ("10.0.0.0/8", "a private address", True),
    ("172.16.0.0/12", "a private address", True),
    ("192.168.0.0/16", "a private address", True),
    ("100.64.0.0/10", "a shared address behind carrier NAT", True),
    ("0.0.0.0/8", "an unspecified address", False),
    ("192.0.0.0/24", "an address for protocol assignments", False),
    ("192.0.2.0/24", "a documentation address", False),
    ("192.88.99.0/24", "a 6to4 relay address", False),
    ("198.18.0.0/15", "a benchmarking address", False),
    ("198.51.100.0/24", "a documentation address", False),
    ("203.0.113.0/24", "a documentation address", False),
    ("224.0.0.0/4", "a multicast address", False),
    ("240.0.0.0/4", "a reserved address", False),
)
_IPV6_RANGES = _ranges(
    ("fd00:ec2::/32", "a cloud metadata address", False),
    ("fd20:ce::/32", "a cloud metadata address", False),
    ("::1/128", "a loopback address", True),
    ("fc00::/7", "a private address", True),
    ("fe80::/10", "a link-local address", False),
    ("fec0::/10", "a site-local address", False),
    ("ff00::/8", "a multicast address", False),
    ("64:ff9b::/96", "a NAT64 address", False),
    ("64:ff9b:1::/48", "a local NAT64 address", False),
    ("100::/64", "a discard address", False),
    ("2001::/32", "a Teredo address", False),
    ("2001::/23", "an address for protocol assignments", False),
    ("2001:db8::/32", "a documentation address", False),
    ("2002::/16", "a 6to4 address", False),
    ("3ffe::/16", "a returned test address", False),
    ("3fff::/20", "a documentation address", False),
)
_GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")
_NOT_GLOBAL = _Range(ipaddress.ip_network("::/0"), "not a public address", False)

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")
_TRANSLATED = ipaddress.ip_network("::ffff:0:0:0/96")
_COMPATIBLE = ipaddress.ip_network("::/96")


def parse(text: str) -> Address | None:
    """The address, or None for anything but its ordinary notation: no zone, no octal, no shortened forms."""
    if "%" in text:
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def embedded(address: ipaddress.IPv6Address) -> tuple[ipaddress.IPv4Address, ...]:
    """The IPv4 addresses that an IPv6 address carries a packet to, by any translation or tunnel known to us."""
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    number = int(address)
    last = ipaddress.IPv4Address(number & 0xFFFFFFFF)
    if address in _NAT64 or address in _TRANSLATED or (address in _COMPATIBLE and number > 1):
        return (last,)
    if address in _LOCAL_NAT64:
        return _in_local_nat64(number, last)
    if (number >> 32) & 0xFDFFFFFF == 0x00005EFE:  # ISATAP
        return (last,)
    return ()


def _in_local_nat64(number: int, last: ipaddress.IPv4Address) -> tuple[ipaddress.IPv4Address, ...]:
    """RFC 6052 puts the IPv4 address behind a prefix of 48, 56, 64 or 96 bits; which one is the network's secret."""
    found = [last] if int(last) else []
    # (bits of the IPv4 address before the reserved octet, bits of suffix that must then be zero)
    for before, suffix in ((16, 40), (8, 32), (0, 24)):
        if number & ((1 << suffix) - 1) == 0:
            head = (number >> 64) & ((1 << before) - 1)
            tail = (number >> suffix) & ((1 << (32 - before)) - 1)
            found.append(ipaddress.IPv4Address(head << (32 - before) | tail))
    return tuple(found) or (last,)


class AddressRules:
    """The policy's rules for addresses and ports."""

    def __init__(self, policy: EgressPolicy) -> None:
        self._allowed = parse_networks("allowed_networks", policy.allowed_networks)
        self._denied = parse_networks("denied_networks", policy.denied_networks)
        self._hosts = policy.allowed_hosts
        self._ports = frozenset(policy.allowed_ports)
        self._blocked_ports = policy.blocked_ports

    def refuse(self, host: str, address: str, port: int) -> str | None:
        """Why a call to `host` may not use this address and port, as a sentence for the operator; None when it may."""
        parsed = parse(address)
        if parsed is None:
            return f"{_lead(host, address)} not an IP address in ordinary notation: call the receiver by its name"
        inner = embedded(parsed) if isinstance(parsed, ipaddress.IPv6Address) else ()
        # A mapped address is its IPv4 address, to the kernel too; all other forms are checked besides what they carry.
        forms: tuple[Address, ...] = inner if _is_mapped(parsed) else (parsed, *inner)
        by_name = matches_host(host, self._hosts)
        opened = False
        for form in forms:
            lead = _lead(host, address) if form == parsed else f"{_lead(host, address, 'stands for')} {form}, which is"
            if _within(form, self._denied):
                return f"{lead} in a network that the operator has shut (HEADRACE_EGRESS__DENIED_NETWORKS)"
            special = _special(form)
            if special is None:
                continue
            if _within(form, self._allowed):
                opened = opened or special.private
            elif not (special.private and by_name):
                return f"{lead} {special.description}: {_remedy(form, special)}"
        return None if opened else self._refuse_port(port)

    def _refuse_port(self, port: int) -> str | None:
        if port in self._ports or (port >= 1024 and port not in self._blocked_ports):
            return None
        if port in self._blocked_ports:
            return f"port {port} usually belongs to a database, broker or control plane: {_PORT_REMEDY}"
        return f"port {port} is below 1024 and not a web server's: {_PORT_REMEDY}"


_PORT_REMEDY = "add it to HEADRACE_EGRESS__ALLOWED_PORTS if workflows may call it"


def _lead(host: str, address: str, verb: str = "is") -> str:
    if host == address:
        return f"{address} {verb}"
    return f"{host} resolves to {address}, which {verb}"


def _remedy(form: Address, special: _Range) -> str:
    if special.private:
        return "add it to HEADRACE_EGRESS__ALLOWED_NETWORKS if workflows may call it"
    return f"calls never go there unless HEADRACE_EGRESS__ALLOWED_NETWORKS names {form} or its network"


def _is_mapped(address: Address) -> bool:
    return isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)


def _special(address: Address) -> _Range | None:
    ranges = _IPV4_RANGES if isinstance(address, ipaddress.IPv4Address) else _IPV6_RANGES
    for candidate in ranges:
        if address in candidate.network:
            return candidate
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_IPV6:
        return _NOT_GLOBAL
    return None
