"""What was used under the limits of a simulated fleet, held against what they allow."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from billing_server.domain.catalog.limit import Limit, WindowUnit
from billing_server.domain.limit.lease import WindowKey
from metering.api.v1 import usage_pb2
from metering.limits import OfflinePolicy
from tests.simulation.fleet_truth import Violation
from tests.simulation.quota_drawing import STARTS
from tests.simulation.quota_money import ROLLING_SECONDS, rated_by_month
from tests.simulation.quota_truth import QUANTITY, debits_of

if TYPE_CHECKING:
    from tests.simulation.quota_fleet import QuotaFleet


class _Account(NamedTuple):
    """A window of money, in micro-units."""

    window_id: str
    settled: int
    unforeseen: int
    """Told as not reserved, or as rated above its estimate."""


def judge_use(fleet: "QuotaFleet") -> None:
    """Holds what was used against every limit, as far as one can tell by now.

    Raises:
        Violation: A limit was passed by more than its bound, or money is not what usage costs.
    """
    counted = fleet.server.counted_events()
    fleet.truth.judge_bound(counted)
    for (customer, _), limit in fleet.truth.limits.items():
        if limit.window.unit is WindowUnit.ROLLING:
            _judge_rolling(fleet, customer, limit, counted)
        if limit.is_money:
            _judge_rated(fleet, customer, limit)
            _judge_estimates(fleet, customer, limit, counted)
            _judge_spent(fleet, customer, limit)


def _judge_rolling(
    fleet: "QuotaFleet", customer: str, limit: Limit, counted: list[usage_pb2.UsageEvent]
) -> None:
    """No span of the window's length sees more than the limit, as far as leases bore the use."""
    truth = fleet.truth
    used = {(event.customer_id, event.event_id): debits_of(event) for event in counted}
    uses: list[tuple[float, float, int]] = []
    for name, recorded in truth.versions.items():
        versions = [used[name]] if name in used else recorded
        borne = [
            sum(
                amount
                for lease_id, amount in debits.items()
                if truth.windows[lease_id][:2] == (customer, limit.key)
            )
            for debits in versions
        ]
        uses.append((*truth.moments[name], max(borne)))
    window_ids = {key[2] for key in truth.windows.values() if key[:2] == (customer, limit.key)}
    if not window_ids:
        return
    [window_id] = window_ids
    bound = truth.bound(WindowKey(customer, limit.key, window_id))
    for begin in sorted({first for first, _, _ in uses}):
        end = begin + ROLLING_SECONDS
        amount = sum(each for first, last, each in uses if begin <= first and last <= end)
        if amount > bound:
            raise Violation(
                f"{customer} used {amount} of {limit.key} between {begin} and {end}, and at most "
                f"{bound} may be"
            )


def _judge_rated(fleet: "QuotaFleet", customer: str, limit: Limit) -> None:
    """What is settled of money is what the counted events cost."""
    rows = fleet.server.rows(
        "SELECT customer_id, event_time, payload FROM usage_event WHERE quarantine_reason IS NULL"
    )
    events = []
    for of_customer, time_us, payload in rows:
        if of_customer == customer:
            quantity = usage_pb2.UsageEvent.FromString(payload).quantities[QUANTITY]
            month = datetime.fromtimestamp(time_us / 1_000_000, UTC).strftime("%Y-%m")
            events.append((month, int(quantity)))
    rated = rated_by_month(events)
    settled = sum(each.settled for each in _accounts(fleet, customer, limit))
    # What falls into an ended window that nobody was granted from has no account.
    least = 0 if _ends_something(fleet) else rated
    if not least <= settled <= rated:
        raise Violation(f"{customer}: {settled} micro-units are settled, usage costs {rated}")


def _judge_estimates(
    fleet: "QuotaFleet", customer: str, limit: Limit, counted: list[usage_pb2.UsageEvent]
) -> None:
    """Where all that is used was reserved, all of it costs no more than was estimated.

    A single event may: one that is counted behind others is rated behind them, and they had looked
    past it when they were priced.
    """
    truth = fleet.truth
    is_known = limit.when_offline is OfflinePolicy.CLOSED
    if not truth.is_straight or not is_known or not truth.is_foreseen(customer, counted):
        return
    settled = sum(each.settled for each in _accounts(fleet, customer, limit))
    debited = sum(
        amount
        for event in counted
        for lease_id, amount in debits_of(event).items()
        if truth.windows[lease_id][:2] == (customer, limit.key)
    )
    if settled > debited:
        raise Violation(f"{customer}: usage costs {settled}, and was estimated at {debited}")
    if settled and customer not in truth.estimated:
        truth.estimated.add(customer)
        truth.answers["customers whose money was estimated high enough"] += 1


def _judge_spent(fleet: "QuotaFleet", customer: str, limit: Limit) -> None:
    """No window of money saw more than its bound and what was not reserved or estimated too low."""
    for each in _accounts(fleet, customer, limit):
        bound = fleet.truth.bound(WindowKey(customer, limit.key, each.window_id))
        if each.settled > bound + each.unforeseen:
            raise Violation(f"{customer}: {each} were spent, and at most {bound} may be")


def _accounts(fleet: "QuotaFleet", customer: str, limit: Limit) -> list[_Account]:
    """Returns how each window of a limit of money stands."""
    rows = fleet.server.rows(
        "SELECT customer_id, limit_key, window_id, settled, estimate_error + unreserved "
        "FROM limit_account"
    )
    return [_Account(*row[2:]) for row in rows if row[:2] == (customer, limit.key)]


def _ends_something(fleet: "QuotaFleet") -> bool:
    return fleet.start == STARTS[0]
