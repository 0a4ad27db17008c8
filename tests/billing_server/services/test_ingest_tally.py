from billing_server.services.ingest_tally import Tally


def test_tallies_add_up_field_by_field() -> None:
    one = Tally(counted=1, duplicates=2, conflicts=3, quarantined=4)
    assert one + Tally(counted=10, quarantined=40) == Tally(11, 2, 3, 44)
    assert Tally() + Tally() == Tally()
