"""Usage without a reservation: it takes what leases have, and is never refused."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

from meter_agent.core.quota.settle import debit_usage
from meter_agent.quota.ending import debits_of, recorded
from meter_agent.quota.reserving import Counter
from meter_agent.store.operation import Recorded
from metering.api.v1.usage_pb2 import UsageEvent


def record(events: Sequence[UsageEvent], *, counter: Counter) -> Recorded:
    """Returns the events with what each takes from the leases of its customer.

    Args:
        events: Good ones, of a request; not changed.
        counter: What is known.
    """
    return recorded([_debited(event, counter=counter) for event in events])


def _debited(event: UsageEvent, *, counter: Counter) -> UsageEvent:
    book = counter.book
    terms = book.terms_of(event.customer_id)
    if terms is None or not terms.limits:
        return event
    quantities = {name: Decimal(text) for name, text in event.quantities.items()}
    now_us = book.clock.now_us()
    effect = debit_usage(
        terms=terms,
        leases=book.leases_of(event.customer_id),
        dimensions=dict(event.dimensions),
        quantities=quantities,
        now_us=now_us,
        ahead=book.ahead_of(event.customer_id, quantities),
    )
    book.put_leases(effect.leases)
    book.note_use(event.customer_id, quantities)
    counter.figures.not_covered(effect.uncovered, terms=terms)
    limit_keys = {lease.lease_id: lease.limit_key for lease in effect.leases}
    asked = defaultdict(int, effect.uncovered)
    for lease_id, amount in effect.debits:
        asked[limit_keys[lease_id]] += amount
    for limit_key, amount in asked.items():
        counter.demands.add(event.customer_id, limit_key, amount=amount, now_us=now_us)
    counter.demands.look(effect.leases, now_us=now_us)
    if not effect.debits:
        return event
    debited = UsageEvent()
    debited.CopyFrom(event)
    debited.debits.extend(debits_of(effect))
    return debited
