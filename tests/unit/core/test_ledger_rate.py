"""Which events the ledger keeps one by one when many come that start nothing, and what is counted."""

from headrace.core.ledger_rate import LedgerRate

NOW = 1_750_000_000_000
KEPT = 10
BURST = 60 * KEPT


def kept_of(rate: LedgerRate, events: int, now: int = NOW, blueprint: str = "service", action: str = "UPDATE") -> int:
    return sum(rate.keeps(blueprint, action, f"{blueprint}-{action}-{now}-{number}", now) for number in range(events))


def test_a_minutes_worth_is_kept_at_once_and_the_rest_is_counted() -> None:
    rate = LedgerRate(KEPT)

    assert kept_of(rate, BURST + 400) == BURST
    (counted, events), *others = rate.unwritten()
    assert (events, counted.blueprint, counted.action, counted.since, counted.until) == (
        400, "service", "UPDATE", NOW, NOW,
    )  # fmt: skip
    assert counted.first == f"service-UPDATE-{NOW}-{BURST}"
    assert others == []


def test_samples_are_kept_at_the_rate_while_more_come() -> None:
    rate = LedgerRate(KEPT)
    kept_of(rate, BURST)

    assert [kept_of(rate, 1_000, NOW + second * 1_000) for second in range(1, 4)] == [KEPT] * 3


def test_below_the_rate_everything_is_kept() -> None:
    rate = LedgerRate(KEPT)

    assert sum(kept_of(rate, KEPT, NOW + second * 1_000) for second in range(200)) == 200 * KEPT
    assert rate.unwritten() == []


def test_a_noisy_kind_takes_nothing_from_others() -> None:
    rate = LedgerRate(KEPT)
    kept_of(rate, 5_000)

    assert kept_of(rate, 100, blueprint="team") == 100
    assert kept_of(rate, 100, action="CREATE") == 100


def test_what_is_counted_in_an_hour_is_sixty_counts_and_none_is_told_twice() -> None:
    rate = LedgerRate(1)
    told: dict[str, int] = {}
    counted = 0
    for second in range(3_600):
        counted += 100 - kept_of(rate, 100, NOW + second * 1_000)
        news = rate.unwritten()
        told |= {it.first: events for it, events in news}
        assert len(news) <= 2
        rate.written(news)

    assert rate.unwritten() == []
    assert sum(told.values()) == counted
    assert len(told) == 60


def test_what_was_counted_while_the_ledger_was_told_is_told_the_next_time() -> None:
    rate = LedgerRate(KEPT)
    kept_of(rate, BURST + 1)
    told = rate.unwritten()
    kept_of(rate, 5)
    rate.written(told)

    assert [events for _, events in rate.unwritten()] == [6]


def test_only_so_many_kinds_are_remembered() -> None:
    rate = LedgerRate(1, most_kinds=2)
    for blueprint in ("a", "b", "c"):
        kept_of(rate, 60, blueprint=blueprint)

    assert kept_of(rate, 1, blueprint="c") == 0
    assert kept_of(rate, 1, blueprint="a") == 1
