"""What an operator allows outgoing calls to do. docs/egress.md explains each setting."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from headrace.core.errors import HeadraceError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SERVICE_PORTS: frozenset[int] = frozenset(
    {
        *(
            1433,
            1521,
            3050,
            3306,
            5432,
            5433,
            6432,
            7687,
            8529,
            9042,
            9160,
            26257,
            27017,
            27018,
            27019,
            28015,
        ),  # databases
        *(5984, 6379, 6380, 9200, 9300, 11211, 16379, 26379),  # stores, caches, search
        *(1883, 4222, 5671, 5672, 6222, 6650, 8222, 8883, 9092, 9093, 9094, 9095, 61613, 61616),  # brokers
        *(2181, 2379, 2380, 2888, 3888, 7946, 8300, 8301, 8302, 8500, 8600),  # coordination
        *(2375, 2376, 2377, 4194, 6443, 10248, 10249, 10250, 10255, 10256, 10257, 10259),  # containers
        *(2049, 3128, 3389, 5900, 5901, 5985, 5986, 6000, 6666, 6667, 6668, 6669, 8125),  # files, proxies, consoles
    }
)
"""Ports from 1024 on where a data store, broker or control plane usually listens: never a webhook's receiver."""

MOST_CIRCUIT_PAUSE_SECONDS = 60.0


class EgressPolicyError(HeadraceError):
    """Raised for a policy that cannot hold: a broken network, host or limit. The message names the setting."""


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """The rules for outgoing calls. The defaults let calls reach public addresses only.

    Addresses: `denied_networks` beats everything; `allowed_networks` opens ranges that are refused by default; names in
    `allowed_hosts` (exact, or `.example.com` for all below it) may lead to private, loopback and shared addresses, but
    not to cloud metadata and other special ranges. All addresses of a name must pass, not only the one used.
    Ports: those in `allowed_ports`, and from 1024 on all but `blocked_ports`; any port of a private or loopback address
    that `allowed_networks` opens.
    Raises EgressPolicyError when a setting makes no sense.
    """

    allowed_networks: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    denied_networks: tuple[str, ...] = ()
    allowed_ports: tuple[int, ...] = (80, 443)
    blocked_ports: frozenset[int] = SERVICE_PORTS
    max_response_bytes: int = 256 * 1024
    """Kept of a response's body, after decompression. The rest is not read."""
    max_request_bytes: int = 1024 * 1024
    max_header_bytes: int = 8190
    """The longest single header line of a response; it may have at most 100 of them."""
    max_redirects: int = 0
    connect_timeout_seconds: float = 5.0
    """For DNS, TCP and TLS together; the call's own deadline may cut it shorter."""
    per_host_concurrency: int = 32
    """Calls in flight to one scheme, host and port. Further ones wait in the order they came."""
    circuit_misses: int = 10
    """So many calls in a row that do not get through to a host and port open its circuit; 0: nothing does."""
    circuit_pause_seconds: float = 5.0
    """For so long a circuit is open at first; it doubles up to a minute while the host cannot be reached."""
    user_agent: str = "Headrace"

    def __post_init__(self) -> None:
        parse_networks("allowed_networks", self.allowed_networks)
        parse_networks("denied_networks", self.denied_networks)
        for host in self.allowed_hosts:
            if not host.strip(".") or host != host.strip() or "*" in host or "/" in host or ":" in host:
                raise EgressPolicyError(f"allowed_hosts: {host!r} is no host name; write a.example.com or .example.com")
        for name in ("max_response_bytes", "max_request_bytes", "max_header_bytes", "per_host_concurrency"):
            if getattr(self, name) < 1:
                raise EgressPolicyError(f"{name} must be at least 1")
        if not 0 <= self.max_redirects <= 3:
            raise EgressPolicyError("max_redirects must be between 0 and 3")
        if self.circuit_misses < 0:
            raise EgressPolicyError("circuit_misses must be at least 0")
        if not 0 < self.circuit_pause_seconds <= MOST_CIRCUIT_PAUSE_SECONDS:
            raise EgressPolicyError(
                f"circuit_pause_seconds must be greater than 0, and at most {MOST_CIRCUIT_PAUSE_SECONDS:g}"
            )
        if not self.connect_timeout_seconds > 0:
            raise EgressPolicyError("connect_timeout_seconds must be greater than 0")
        if not self.user_agent.isascii() or not self.user_agent.isprintable():
            raise EgressPolicyError("user_agent must be printable ASCII")


def parse_networks(setting: str, networks: Iterable[str]) -> tuple[Network, ...]:
    """The networks in CIDR notation. Raises EgressPolicyError, naming the setting, when one is not."""
    parsed = []
    for network in networks:
        try:
            parsed.append(ipaddress.ip_network(network))
        except ValueError as error:
            raise EgressPolicyError(f"{setting}: {network!r} is no network in CIDR notation ({error})") from None
    return tuple(parsed)


def matches_host(host: str, patterns: Iterable[str]) -> bool:
    """Whether a host name is one of the patterns: `a.example.com` itself, `.example.com` for every name below it."""
    name = host.lower().rstrip(".")
    for pattern in patterns:
        wanted = pattern.lower().rstrip(".")
        if (wanted.startswith(".") and name.endswith(wanted)) or name == wanted:
            return True
    return False
