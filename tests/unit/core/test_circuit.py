"""When a host counts as unreachable, for how long, and what ends it."""

from headrace.core.circuit import CircuitRule, Circuits

HOST, OTHER = "a.example.com:443", "b.example.com:443"
RULE = CircuitRule(misses=3, least_seconds=1.0, pause_seconds=5.0, most_pause_seconds=12.0)


def opened(at: float = 100.0) -> Circuits:
    """The circuit of HOST opened just then, for 5 s."""
    circuits = Circuits(RULE)
    for _ in range(RULE.misses):
        circuits.missed(HOST, at - 2.0, at)
    return circuits


def test_misses_in_a_row_open_the_circuit_of_their_host_only() -> None:
    circuits = opened()

    assert circuits.wait(HOST, 101.0) == 4.0
    assert circuits.wait(OTHER, 101.0) is None
    assert (circuits.open(101.0), circuits.open(105.0)) == (1, 0)


def test_an_answer_in_between_begins_the_count_anew() -> None:
    circuits = Circuits(RULE)
    for at in (100.0, 102.0):
        circuits.missed(HOST, at, at)
    circuits.reached(HOST)
    circuits.missed(HOST, 104.0, 104.0)

    assert circuits.wait(HOST, 104.0) is None


def test_many_misses_of_one_moment_are_not_enough() -> None:
    circuits = Circuits(RULE)
    for _ in range(100):
        circuits.missed(HOST, 100.0, 100.5)
    assert circuits.wait(HOST, 100.5) is None

    circuits.missed(HOST, 100.9, 101.0)
    assert circuits.wait(HOST, 101.0) == 5.0


def test_misses_that_are_far_apart_do_not_add_up() -> None:
    circuits = Circuits(RULE)
    for at in (100.0, 200.0, 300.0, 400.0):
        circuits.missed(HOST, at, at)

    assert circuits.wait(HOST, 400.0) is None


def test_one_call_goes_through_after_the_pause_and_the_others_wait_for_what_becomes_of_it() -> None:
    circuits = opened()

    assert circuits.enter(HOST, 105.0) is None
    assert circuits.enter(HOST, 105.0) == 5.0
    circuits.reached(HOST)
    assert circuits.enter(HOST, 105.1) is None
    assert circuits.enter(HOST, 105.1) is None


def test_the_pause_doubles_with_every_probe_in_vain_up_to_its_limit() -> None:
    circuits, now, waits = opened(), 105.0, []
    for _ in range(3):
        assert circuits.enter(HOST, now) is None
        circuits.missed(HOST, now, now + 1.0)
        waits.append(circuits.wait(HOST, now + 1.0))
        now += 1.0 + (waits[-1] or 0.0)

    assert waits == [10.0, 12.0, 12.0]


def test_a_probe_that_is_never_heard_of_again_holds_up_nobody_for_longer_than_a_pause() -> None:
    circuits = opened()
    circuits.enter(HOST, 105.0)

    assert circuits.wait(HOST, 109.9) is not None
    assert circuits.enter(HOST, 110.0) is None


def test_calls_that_were_out_when_the_circuit_opened_do_not_prolong_it() -> None:
    circuits = opened()
    circuits.missed(HOST, 99.0, 104.0)

    assert circuits.wait(HOST, 104.0) == 1.0


def test_only_so_many_hosts_are_remembered() -> None:
    circuits = Circuits(CircuitRule(misses=1, least_seconds=0.0), most_hosts=2)
    for host in ("a:1", "b:1", "c:1"):
        circuits.missed(host, 100.0, 100.0)

    assert circuits.open(100.0) == 2
    assert circuits.wait("a:1", 100.0) is None


def test_a_rule_of_no_misses_opens_nothing() -> None:
    circuits = Circuits(CircuitRule(misses=0, least_seconds=0.0))
    circuits.missed(HOST, 100.0, 100.0)

    assert circuits.wait(HOST, 100.0) is None
