"""Keys, remembered requests and the kind of clock on both databases."""

from datetime import timedelta

from billing_server.domain.ports.administration import ApiKey, RememberedRequest
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant

NOW = parse_instant("2026-02-01T00:00:00Z")
REQUEST = RememberedRequest("k", "a" * 64, 0, "", NOW)


def test_a_key_is_found_by_its_hash_and_replaced_by_name(store: SqlStore) -> None:
    with store.write() as unit:
        unit.api_keys.add(ApiKey("admin", "1", NOW))
        unit.api_keys.add(ApiKey("admin", "2", NOW))
    with store.read() as unit:
        assert unit.api_keys.by_sha256("1") is None
        assert unit.api_keys.by_sha256("2") == ApiKey("admin", "2", NOW)


def test_a_request_is_claimed_once_and_released_until_it_is_completed(store: SqlStore) -> None:
    answered = RememberedRequest("k", "a" * 64, 201, '{"id": "ü"}', NOW)
    with store.write() as unit:
        assert unit.idempotency.claim(REQUEST)
        assert not unit.idempotency.claim(REQUEST)
        unit.idempotency.release("k")
        assert unit.idempotency.get("k") is None
        assert unit.idempotency.claim(REQUEST)
        unit.idempotency.complete(answered)
    with store.write() as unit:
        unit.idempotency.release("k")
        assert unit.idempotency.get("k") == answered


def test_old_requests_are_purged_a_few_at_a_time(store: SqlStore) -> None:
    with store.write() as unit:
        for number in range(3):
            unit.idempotency.claim(RememberedRequest(str(number), "a", 0, "", NOW))
        assert unit.idempotency.purge(created_before=NOW, limit=2) == 0
        assert unit.idempotency.purge(created_before=NOW + timedelta(seconds=1), limit=2) == 2
        assert unit.idempotency.purge(created_before=NOW + timedelta(seconds=1), limit=2) == 1


def test_the_kind_of_clock_is_settled_once(store: SqlStore) -> None:
    with store.write() as unit:
        assert unit.clock.is_new()
        unit.clock.set_test_clock(NOW)
    with store.read() as unit:
        assert not unit.clock.is_new()
        assert unit.clock.test_clock() == NOW


def test_a_real_clock_has_no_instant(store: SqlStore) -> None:
    with store.write() as unit:
        unit.clock.settle_real_clock()
        assert not unit.clock.is_new()
        assert unit.clock.test_clock() is None
