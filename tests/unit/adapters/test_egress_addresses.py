"""Which addresses and ports calls may reach."""

import socket

import pytest

from headrace.adapters.http.addresses import AddressRules
from headrace.adapters.http.policy import EgressPolicy, EgressPolicyError, matches_host
from tests.unit.adapters.egress_servers import (
    FakeResolver,
    answering,
    calling,
    fail,
    receiving,
    request,
    respond,
    response,
)

NAME = "receiver.example.test"

REFUSED = [
    # IPv4, each range at both ends
    *("0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "100.100.100.200"),
    *("127.0.0.1", "127.255.255.255", "168.63.129.16", "169.254.0.0", "169.254.169.254", "169.254.255.255"),
    *("172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.0"),
    *("192.168.255.255", "198.18.0.0", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255"),
    *("240.0.0.0", "255.255.255.255"),
    # IPv6 of its own
    *(
        "::",
        "::1",
        "::2",
        "fc00::1",
        "fdff::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
    ),
    *("100::1", "2001:db8::1", "2001::1", "2001:10::1", "2001:2::1", "3fff::1", "3ffe::1", "5f00::1", "4000::1"),
    # IPv6 that carries IPv4
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::ffff:10.0.0.1", "::127.0.0.1"),
    *("::ffff:0:10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::10.0.0.1", "64:ff9b:1::169.254.169.254"),
    *("64:ff9b:1:a9fe:a9:fe00::", "2002:a9fe:a9fe::1", "2002:7f00:1::", "2001:0:a9fe:a9fe::", "64:ff9b::8.8.8.8"),
    *("2002:808:808::1", "2a00:1450::5efe:10.0.0.1", "2a00:1450::200:5efe:169.254.169.254"),
    # no address in ordinary notation
    *("fe80::1%eth0", "0x7f.1", "2852039166", "0251.0376.0251.0376", "127.1", "127.0.0.01", " 8.8.8.8", "8.8.8.8.", ""),
    *("8.8.8.8/32", "①②⑦.0.0.1", "localhost", "::ffff:8.8.8.8%1", "1.2.3", "1.2.3.4.5"),
]
ALLOWED = [
    *(
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
    ),
    *(
        "168.63.129.15",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
    ),
    *("192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255"),
    *("2606:4700::1111", "2a00:1450:4001::200e", "2001:200::1", "2003::1", "2620:fe::9", "::ffff:8.8.8.8"),
]


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_is_not_public_is_refused_by_default(address: str) -> None:
    assert AddressRules(EgressPolicy()).refuse(NAME, address, 443) is not None


@pytest.mark.parametrize("address", ALLOWED)
def test_a_public_address_is_allowed_by_default(address: str) -> None:
    assert AddressRules(EgressPolicy()).refuse(NAME, address, 443) is None


@pytest.mark.parametrize(
    ("host", "address", "message"),
    [
        (
            "10.0.0.5",
            "10.0.0.5",
            "10.0.0.5 is a private address: add it to HEADRACE_EGRESS__ALLOWED_NETWORKS if workflows may call it",
        ),
        (
            NAME,
            "::ffff:10.0.0.5",
            f"{NAME} resolves to ::ffff:10.0.0.5, which stands for 10.0.0.5, which is a private address: "
            "add it to HEADRACE_EGRESS__ALLOWED_NETWORKS if workflows may call it",
        ),
        (
            NAME,
            "169.254.169.254",
            f"{NAME} resolves to 169.254.169.254, which is a link-local address, where clouds keep their metadata: "
            "calls never go there unless HEADRACE_EGRESS__ALLOWED_NETWORKS names 169.254.169.254 or its network",
        ),
    ],
)
def test_a_refusal_says_what_the_address_is_and_what_to_do(host: str, address: str, message: str) -> None:
    assert AddressRules(EgressPolicy()).refuse(host, address, 443) == message


@pytest.mark.parametrize(
    ("policy", "host", "address", "port", "allowed"),
    [
        (EgressPolicy(allowed_networks=("10.1.0.0/16",)), NAME, "10.1.2.3", 443, True),
        (EgressPolicy(allowed_networks=("10.1.0.0/16",)), NAME, "10.2.2.3", 443, False),
        (EgressPolicy(allowed_networks=("10.1.0.0/16",)), NAME, "::ffff:10.1.2.3", 443, True),
        (EgressPolicy(allowed_networks=("10.1.0.0/16",)), NAME, "64:ff9b::10.1.2.3", 443, False),
        (EgressPolicy(allowed_networks=("64:ff9b::/96",)), NAME, "64:ff9b::8.8.8.8", 443, True),
        (EgressPolicy(allowed_networks=("64:ff9b::/96",)), NAME, "64:ff9b::10.1.2.3", 443, False),
        (EgressPolicy(allowed_networks=("64:ff9b::/96", "10.0.0.0/8")), NAME, "64:ff9b::10.1.2.3", 443, True),
        (EgressPolicy(allowed_networks=("64:ff9b:1::/48",)), NAME, "64:ff9b:1::8.8.8.8", 443, True),
        (EgressPolicy(allowed_networks=("64:ff9b:1::/48",)), NAME, "64:ff9b:1:808:8:800::", 443, True),
        (EgressPolicy(allowed_networks=("64:ff9b:1::/48",)), NAME, "64:ff9b:1:a9fe:a9:fe00::", 443, False),
        (
            EgressPolicy(allowed_networks=("10.0.0.0/8",), denied_networks=("10.9.0.0/16",)),
            NAME,
            "10.9.0.1",
            443,
            False,
        ),
        (EgressPolicy(denied_networks=("8.8.8.0/24",)), NAME, "8.8.8.8", 443, False),
        (EgressPolicy(denied_networks=("8.8.8.0/24",)), NAME, "::ffff:8.8.8.8", 443, False),
        (EgressPolicy(allowed_hosts=(NAME,)), NAME, "10.0.0.1", 443, True),
        (EgressPolicy(allowed_hosts=(NAME,)), NAME.upper() + ".", "127.0.0.1", 443, True),
        (EgressPolicy(allowed_hosts=(NAME,)), "other.example.test", "10.0.0.1", 443, False),
        (EgressPolicy(allowed_hosts=(".example.test",)), NAME, "fd12::1", 443, True),
        (EgressPolicy(allowed_hosts=(".example.test",)), "example.test", "10.0.0.1", 443, False),
        (EgressPolicy(allowed_hosts=(".example.test",)), "badexample.test", "10.0.0.1", 443, False),
        (EgressPolicy(allowed_hosts=(NAME,)), NAME, "169.254.169.254", 443, False),
        (EgressPolicy(allowed_hosts=(NAME,)), NAME, "100.100.100.200", 443, False),
        (EgressPolicy(allowed_hosts=(NAME,)), NAME, "fd00:ec2::254", 443, False),
        (EgressPolicy(allowed_hosts=(NAME,)), NAME, "10.0.0.1", 6379, False),
        (EgressPolicy(allowed_hosts=(NAME,), denied_networks=("10.0.0.0/8",)), NAME, "10.0.0.1", 443, False),
    ],
)
def test_operator_settings_open_and_shut_addresses(
    policy: EgressPolicy, host: str, address: str, port: int, allowed: bool
) -> None:
    assert (AddressRules(policy).refuse(host, address, port) is None) is allowed


@pytest.mark.parametrize("port", [80, 443, 1024, 3000, 8080, 8443, 9000, 65535])
def test_a_port_where_web_servers_listen_is_allowed(port: int) -> None:
    assert AddressRules(EgressPolicy()).refuse(NAME, "8.8.8.8", port) is None


@pytest.mark.parametrize("port", [1, 22, 25, 53, 111, 445, 1023, 2375, 2379, 3306, 5432, 6379, 6443, 9092, 9200, 10250])
def test_a_port_of_another_service_is_refused_unless_allowed(port: int) -> None:
    assert "HEADRACE_EGRESS__ALLOWED_PORTS" in str(AddressRules(EgressPolicy()).refuse(NAME, "8.8.8.8", port))
    assert AddressRules(EgressPolicy(allowed_ports=(port,))).refuse(NAME, "8.8.8.8", port) is None


def test_a_private_network_that_is_opened_may_use_any_port_but_opening_a_public_one_changes_no_ports() -> None:
    rules = AddressRules(EgressPolicy(allowed_networks=("127.0.0.0/8", "8.0.0.0/8", "64:ff9b::/96")))

    assert rules.refuse("127.0.0.1", "127.0.0.1", 22) is None
    assert rules.refuse("8.8.8.8", "8.8.8.8", 22) is not None
    assert rules.refuse(NAME, "64:ff9b::8.8.8.8", 22) is not None


@pytest.mark.parametrize(
    "settings",
    [
        {"allowed_networks": ("10.0.0.1/8",)},
        {"allowed_networks": ("ten",)},
        {"denied_networks": ("0x7f.1",)},
        {"allowed_hosts": ("*.example.test",)},
        {"allowed_hosts": ("http://example.test",)},
        {"allowed_hosts": ("",)},
        {"allowed_hosts": (".",)},
        {"max_redirects": 4},
        {"max_response_bytes": 0},
        {"per_host_concurrency": 0},
        {"connect_timeout_seconds": float("nan")},
        {"user_agent": "a\r\nb: c"},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_name(settings: dict[str, object]) -> None:
    with pytest.raises(EgressPolicyError, match=next(iter(settings))):
        EgressPolicy(**settings)  # type: ignore[arg-type]


def test_a_host_pattern_matches_whole_labels_in_any_case() -> None:
    assert matches_host("A.Example.TEST", ("a.example.test",))
    assert matches_host("b.a.example.test.", (".example.test",))
    assert not matches_host("xa.example.test", ("a.example.test",))
    assert not matches_host("example.test.evil", (".example.test",))


ODD_HOSTS = [
    *("2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "127.1", "0", "0x7f.1", "0x7f000001"),
    *(
        "017700000001",
        "127.0.0.1.",
        "127.0.0.01",
        "127.000.000.001",
        "1.2.3.4.5",
        "256.1.1.1",
        "0x",
        "a.0x10",
        "1.2.3.08",
    ),
    *("①②⑦.⓪.⓪.①", "１２７.0.0.1", "127。0。0。1", "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[0:0:0:0:0:0:0:1]"),
    *("[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "[::]", "[::127.0.0.1]", "169.254.169.254", "[fd00:ec2::254]"),
]


@pytest.mark.parametrize("host", ODD_HOSTS)
async def test_an_odd_spelling_of_an_address_is_refused_without_looking_it_up(host: str) -> None:
    resolver = FakeResolver()

    async with calling(EgressPolicy(), resolver=resolver) as caller:
        failure = await fail(caller, request(f"http://{host}/"))

    assert (failure.kind, failure.sent, resolver.asked) == ("refused", False, [])


@pytest.mark.parametrize(
    "host", ["localhost", "localhost.", "LOCALHOST", "ℓocalhost", "metadata.internal", "bücher.test"]
)
async def test_a_name_is_judged_by_the_address_it_leads_to(host: str) -> None:
    asked = {"ℓocalhost": "localhost", "bücher.test": "xn--bcher-kva.test"}.get(host, host.lower())
    resolver = FakeResolver({asked: [("127.0.0.1",)]})

    async with calling(EgressPolicy(), resolver=resolver) as caller:
        failure = await fail(caller, request(f"http://{host}/"))

    assert (failure.kind, failure.sent, resolver.asked) == ("refused", False, [asked])
    assert "127.0.0.1, which is a loopback address" in failure.message


@pytest.mark.parametrize(
    "answers", [("127.0.0.1", "10.0.0.1"), ("10.0.0.1", "127.0.0.1"), ("127.0.0.1", "::ffff:10.0.0.1")]
)
async def test_a_name_with_one_forbidden_address_among_good_ones_is_refused(answers: tuple[str, ...]) -> None:
    async with (
        receiving(answering(response())) as receiver,
        calling(EgressPolicy(allowed_networks=("127.0.0.0/8",)), resolver=FakeResolver({NAME: [answers]})) as caller,
    ):
        failure = await fail(caller, request(receiver.url(host=NAME)))

    assert (failure.kind, failure.sent, receiver.connections) == ("refused", False, 0)


async def test_a_name_that_changes_to_a_private_address_is_refused_at_its_next_connection() -> None:
    resolver = FakeResolver({NAME: [("127.0.0.1",), ("169.254.169.254",)]})
    closing = response(headers={"Connection": "close"})

    async with (
        receiving(answering(closing)) as receiver,
        calling(EgressPolicy(allowed_networks=("127.0.0.0/8",)), resolver=resolver) as caller,
    ):
        await respond(caller, request(receiver.url(host=NAME)))
        failure = await fail(caller, request(receiver.url(host=NAME)))

    assert (failure.kind, failure.sent) == ("refused", False)
    assert len(receiver.requests) == 1


async def test_the_address_that_was_checked_is_the_one_connected_to_and_the_name_stays_in_the_host_header() -> None:
    # A second lookup between check and connect would get the second answer, where nobody listens.
    resolver = FakeResolver({NAME: [("127.0.0.1",), ("127.0.0.99",)]})

    async with receiving(answering(response())) as receiver, calling(resolver=resolver) as caller:
        await respond(caller, request(receiver.url(host=NAME)))
        await respond(caller, request(receiver.url(host=NAME)))

    assert resolver.asked == [NAME]  # once per connection, and the second call kept the connection
    assert receiver.connections == 1
    assert [each.values("Host") for each in receiver.requests] == [[f"{NAME}:{receiver.port}"]] * 2


async def test_a_socket_is_refused_even_when_every_earlier_check_is_bypassed(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody looks literals up. Should our first look at them fail, the socket factory still stands.
    async with receiving(answering(response())) as receiver, calling(EgressPolicy()) as caller:
        monkeypatch.setattr(caller, "_refuse_literal", lambda *_: None)
        failure = await fail(caller, request(receiver.url()))

    assert (failure.kind, failure.sent, receiver.connections) == ("refused", False, 0)
    assert "127.0.0.1 is a loopback address" in failure.message


async def test_an_ipv6_receiver_is_called_by_literal_and_by_name() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    async with (
        receiving(answering(response()), host="::1") as receiver,
        calling(resolver=FakeResolver({NAME: [("::1",)]})) as caller,
    ):
        await respond(caller, request(receiver.url(host="[::1]")))
        await respond(caller, request(receiver.url(host=NAME)))

    assert receiver.requests[0].values("Host") == [f"[::1]:{receiver.port}"]


async def test_a_call_goes_nowhere_but_to_the_hosts_it_names() -> None:
    resolver = FakeResolver({NAME: [("127.0.0.1",)]})
    async with receiving(answering(response())) as receiver, calling(resolver=resolver) as caller:
        await respond(caller, request(receiver.url(host=NAME), only_hosts=(".example.test",)))
        failure = await fail(caller, request(receiver.url(), only_hosts=(".example.test",)))

    assert (failure.kind, failure.sent, len(receiver.requests)) == ("refused", False, 1)
