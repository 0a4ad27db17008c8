"""Messages of leases and terms, there and back."""

from decimal import Decimal

from google.protobuf.duration_pb2 import Duration

from meter_agent.core.quota.demand import Demand, demanded
from meter_agent.core.quota.lease import Lease, recalled
from meter_agent.quota.mapping import (
    counters_to_proto,
    news_from_proto,
    stored_terms,
    terms_from_proto,
    want_to_proto,
)
from metering.api.v1 import lease_pb2
from metering.limits import Enforcement, ExpiryBilling, LimitKind, OfflinePolicy
from tests.meter_agent.quota.world import limit

SECOND = 1_000_000


def test_terms_keep_every_field_and_count_their_window_from_the_request() -> None:
    price = lease_pb2.PriceBound(
        meter_key="output",
        quantity="output",
        meter_where={"model": "large"},
        where={"region": "eu"},
        is_count=True,
        steps=[
            lease_pb2.PriceStep(from_quantity="0", unit_price="0.01", flat_price="2"),
            lease_pb2.PriceStep(from_quantity="10"),
        ],
        event_price="0.5",
    )
    message = lease_pb2.CustomerTerms(
        customer_id="acme",
        revision=7,
        limits=[
            limit(
                kind=lease_pb2.LIMIT_KIND_MONEY,
                where={"model": "large"},
                decimals=6,
                enforcement=lease_pb2.ENFORCEMENT_SOFT,
                when_offline=lease_pb2.OFFLINE_POLICY_OPEN,
                allowance=5,
                bill_on_expiry=lease_pb2.EXPIRY_BILLING_INPUT,
                currency="EUR",
                prices=[price],
                window_remaining=Duration(seconds=60),
                remaining=9,
            )
        ],
    )
    terms = terms_from_proto(message, sent_at_us=10 * SECOND)
    [found] = terms.limits
    assert (terms.customer_id, terms.revision, terms.is_unknown) == ("acme", 7, False)
    assert (found.kind, found.enforcement, found.when_offline, found.bill_on_expiry) == (
        LimitKind.MONEY,
        Enforcement.SOFT,
        OfflinePolicy.OPEN,
        ExpiryBilling.INPUT,
    )
    assert found.window_ends_at_us == 70 * SECOND
    assert (found.currency, found.remaining) == ("EUR", 9)
    [bound] = found.prices
    assert [(step.from_quantity, step.unit_price, step.flat_price) for step in bound.steps] == [
        (Decimal(0), Decimal("0.01"), Decimal(2)),
        (Decimal(10), Decimal(0), Decimal(0)),
    ]
    assert bound.event_price == Decimal("0.5")
    stored = stored_terms(message.SerializeToString())
    assert stored.limits[0].window_ends_at_us is None


def test_what_a_newer_server_says_is_taken_at_its_strictest() -> None:
    message = lease_pb2.CustomerTerms(
        customer_id="acme",
        limits=[limit("a", kind=99), limit("b", enforcement=99, when_offline=99)],
    )
    [found] = terms_from_proto(message, sent_at_us=0).limits
    assert (found.limit_key, found.enforcement, found.when_offline) == (
        "b",
        Enforcement.HARD,
        OfflinePolicy.CLOSED,
    )


def test_counters_tell_what_a_lease_has_done() -> None:
    lease = Lease(
        lease_id=b"a" * 16,
        customer_id="acme",
        limit_key="daily",
        window_id="w1",
        granted=10,
        returned=1,
        consumed=2,
        held=3,
        recall_no=4,
    )
    message = counters_to_proto(lease)
    assert (message.granted, message.returned, message.consumed, message.held) == (10, 1, 2, 3)
    assert (message.recall_no, message.is_closed) == (4, False)


def test_counters_tell_a_share_until_it_is_given_back() -> None:
    share = Lease(
        lease_id=b"l" * 16, customer_id="acme", limit_key="rpm", rate_per_minute=60, burst=9
    )
    told = counters_to_proto(share)
    assert (told.rate_per_minute, told.burst) == (60, 9)
    back = counters_to_proto(recalled(share, recall_no=1))
    assert (back.rate_per_minute, back.burst) == (0, 0)


def test_news_without_a_time_is_for_good() -> None:
    message = lease_pb2.LeaseCounters(lease_id=b"a" * 16, granted=10, settled=4, recall_no=2)
    news = news_from_proto(message)
    assert (news.granted, news.settled, news.remaining_us, news.recall_no) == (10, 4, None, 2)
    message.remaining_duration.FromSeconds(60)
    message.starts_after.FromSeconds(5)
    timed = news_from_proto(message)
    assert (timed.remaining_us, timed.starts_after_us) == (60 * SECOND, 5 * SECOND)


def test_a_want_tells_the_demand() -> None:
    demand = demanded(Demand(), amount=100, now_us=0)
    message = want_to_proto(("acme", "daily"), demand, now_us=0)
    assert (message.customer_id, message.limit_key) == ("acme", "daily")
    assert (message.demand_per_second, message.largest_call) == (
        demand.per_second(0),
        100,
    )
    assert message.outage_float == demand.outage_float(0)
