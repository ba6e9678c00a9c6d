"""However an IPv4 address is wrapped into IPv6, it is judged as itself; what is not public does not pass."""

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.adapters.http.addresses import AddressRules
from headrace.adapters.http.policy import EgressPolicy
from headrace.adapters.http.targets import Complaint, parse_target

OPEN_WRAPPERS = ("::/0",)
"""An operator who opened all of IPv6. What it wraps is judged all the same."""
PRIVATE = [ipaddress.ip_network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8")] + [
    ipaddress.ip_network(each) for each in ("169.254.0.0/16", "100.64.0.0/10", "0.0.0.0/8", "224.0.0.0/3")
]

private = st.sampled_from(PRIVATE).flatmap(lambda network: st.ip_addresses(v=4, network=network))
tails = st.integers(min_value=0, max_value=0xFFFF)


def wrap(inner: ipaddress.IPv4Address, form: str, tail: int) -> ipaddress.IPv6Address:
    """The IPv6 address that carries `inner` in one of the forms in use."""
    number = int(inner)
    high, low = number >> 16, number & 0xFFFF
    whole = {
        "mapped": (0xFFFF << 32) | number,
        "compatible": number,
        "translated": (0xFFFF << 48) | number,
        "nat64": (0x64FF9B << 96) | number,
        "local-nat64-96": (0x64FF9B0001 << 80) | number,
        "local-nat64-48": (0x64FF9B0001 << 80) | (high << 64) | (low << 40),
        "local-nat64-56": (0x64FF9B0001 << 80) | ((number >> 24) << 64) | ((number & 0xFFFFFF) << 32),
        "local-nat64-64": (0x64FF9B0001 << 80) | (number << 24),
        "6to4": (0x2002 << 112) | (number << 80) | tail,
        "teredo-client": (0x20010000 << 96) | (0x08080808 << 64) | (tail << 32) | (number ^ 0xFFFFFFFF),
        "teredo-server": (0x20010000 << 96) | (number << 64) | (tail << 32) | (0x08080808 ^ 0xFFFFFFFF),
        "isatap": (0x2A001450 << 96) | (0x5EFE << 32) | number,
        "isatap-global": (0x2A001450 << 96) | (0x02005EFE << 32) | number,
    }[form]
    return ipaddress.IPv6Address(whole)


FORMS = [
    *("mapped", "compatible", "translated", "nat64", "local-nat64-96", "local-nat64-48", "local-nat64-56"),
    *("local-nat64-64", "6to4", "teredo-client", "teredo-server", "isatap", "isatap-global"),
]


@pytest.mark.parametrize(
    "policy", [EgressPolicy(), EgressPolicy(allowed_networks=OPEN_WRAPPERS)], ids=["closed", "open"]
)
@pytest.mark.parametrize("form", FORMS)
@given(inner=private, tail=tails)
@example(inner=ipaddress.IPv4Address("169.254.169.254"), tail=0)
@example(inner=ipaddress.IPv4Address("127.0.0.1"), tail=1)
@example(inner=ipaddress.IPv4Address("10.0.0.0"), tail=0)
def test_a_private_address_is_refused_in_every_wrapper(
    policy: EgressPolicy, form: str, inner: ipaddress.IPv4Address, tail: int
) -> None:
    wrapped = wrap(inner, form, tail)
    rules = AddressRules(policy)

    # ::0.0.0.0 and ::0.0.0.1 are IPv6's own unspecified and loopback addresses; an operator who opens ::/0 means them.
    if form == "compatible" and int(inner) < 2 and policy.allowed_networks:
        return
    for spelling in (str(wrapped), wrapped.exploded, str(wrapped).upper()):
        assert rules.refuse("receiver.example.test", spelling, 443) is not None


@given(address=st.ip_addresses(v=4))
def test_what_passes_is_global_in_python_s_eyes_too_and_mapping_changes_nothing(address: ipaddress.IPv4Address) -> None:
    rules = AddressRules(EgressPolicy())
    refused = rules.refuse("h", str(address), 443) is not None

    assert refused or address.is_global
    assert refused == (rules.refuse("h", f"::ffff:{address}", 443) is not None)


@given(address=st.ip_addresses(v=6))
def test_an_ipv6_address_that_passes_lies_in_the_global_range(address: ipaddress.IPv6Address) -> None:
    if AddressRules(EgressPolicy()).refuse("h", str(address), 443) is None:
        assert address in ipaddress.ip_network("2000::/3") or address.ipv4_mapped is not None
        assert address.is_global


def spell(address: ipaddress.IPv4Address, form: int) -> str:
    number = int(address)
    first, rest = number >> 24, number & 0xFFFFFF
    return [
        str(number),
        hex(number),
        f"0{number:o}",
        f"{first}.{rest}",
        f"{hex(first)}.{hex(rest)}",
        f"0{first:o}.{rest}",
        ".".join(f"{each:03d}" for each in address.packed) + ".",
        f"{address}.",
    ][form]


@given(address=st.ip_addresses(v=4), form=st.integers(min_value=0, max_value=7))
def test_no_unusual_spelling_of_an_address_becomes_a_name(address: ipaddress.IPv4Address, form: int) -> None:
    target = parse_target(f"http://{spell(address, form)}/")

    assert isinstance(target, Complaint)
    assert target.kind == "refused"


@given(text=st.text(max_size=60))
@example(text="http://a@b")
@example(text="http://[::1]:80:80/")
@example(text="http://\ud800/")
def test_any_text_is_a_target_or_a_complaint(text: str) -> None:
    for candidate in (text, f"http://{text}", f"https://h/{text}", f"http://{text}/"):
        target = parse_target(candidate)
        if not isinstance(target, Complaint):
            assert target.host.isascii()
            assert target.url.raw_host == target.host
            assert target.url.raw_user is None
            assert not set(target.url.raw_path_qs) & set("\r\n\x00 ")
