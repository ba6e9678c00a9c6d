"""An event that was sent twice is told from one that was delivered twice, as far back as is remembered."""

from headrace.core.duplicates import FirstPlaces


def test_only_another_place_makes_it_a_second_event() -> None:
    places = FirstPlaces()
    assert places.earlier("run", "t/0/1") is None
    places.keep("run", "t/0/1")

    assert places.earlier("run", "t/0/1") is None
    assert places.earlier("run", "t/0/7") == "t/0/1"
    assert places.earlier("other", "t/0/7") is None


def test_the_last_ones_are_remembered() -> None:
    places = FirstPlaces(most=2)
    for number in range(3):
        places.keep(f"run{number}", f"t/0/{number}")

    assert places.earlier("run0", "t/0/9") is None
    assert [places.earlier(f"run{number}", "t/0/9") for number in (1, 2)] == ["t/0/1", "t/0/2"]
