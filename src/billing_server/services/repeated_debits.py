"""What an agent debited once more for an event that is counted already: use that never was.

A caller that lost the answer to `RecordUsage` sends its event again, and the agent, which keeps no
index of ids, debits a lease a second time. The repeat is not counted, so its debit takes nothing
from the budget: it only ends being escrowed. The same holds where two agents settle one reservation
and where an id comes again with other content.

Recordings of an event are told apart by when the agent received them, and those that share a row by
their order in it; not by position: positions are numbered anew after a restore or a repair. What
was taken back is kept, so it is taken back once.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from billing_server.domain.limit.lease import debited
from billing_server.domain.ports.limits import RepeatedDebit
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import EventKey, EventRow
from billing_server.services.usage_payload import DecodedEvent
from metering.api.v1 import usage_pb2


def take_back_repeated_debits(
    unit: UnitOfWork,
    *,
    repeated: Mapping[EventKey, EventRow],
    part: range,
    pushed: Sequence[DecodedEvent],
    disk_ref: int,
) -> None:
    """Settles the debits of repeats, without use. Pushing them once more changes nothing.

    Args:
        unit: the transaction; the agent and the customers are held in it.
        repeated: keys of events that came again, with those that stand.
        part: positions that are applied in the transaction.
        pushed: all of the push that it is a part of.
        disk_ref: the disk that pushed them. A copy of a disk holds what the first one recorded:
            it takes nothing back from the leases of that.
    """
    debits = [
        debit for event, debit in _repeated_debits(repeated, pushed=pushed) if event.row.seq in part
    ]
    if not debits:
        return
    lease_ids = {debit.lease_id for debit in debits}
    unit.limits.lock_accounts({lease.key for lease in unit.leases.by_id(lease_ids).values()})
    # Read under the locks of their accounts.
    leases = {
        lease_id: lease
        for lease_id, lease in unit.leases.by_id(lease_ids).items()
        if lease.agent_ref == disk_ref
    }
    own = [debit for debit in debits if debit.lease_id in leases]
    for debit in unit.leases.add_repeated_debits(own):
        leases[debit.lease_id] = debited(leases[debit.lease_id], amount=debit.amount)
    unit.leases.put(list(leases.values()))


def _repeated_debits(
    repeated: Mapping[EventKey, EventRow], *, pushed: Sequence[DecodedEvent]
) -> Iterator[tuple[DecodedEvent, RepeatedDebit]]:
    """Walks the debits of events that came again, without those of the events that stand."""
    found: Counter[RepeatedDebit] = Counter()
    standing = {key: _amounts(row) for key, row in repeated.items()}
    for event in pushed:
        row = event.row
        known = repeated.get((row.event_id, row.customer_id))
        if known is None:
            continue
        is_same_row = (row.agent_ref, row.receive_time_us) == (
            known.agent_ref,
            known.receive_time_us,
        )
        for lease_id, amount in _amounts(row).items():
            debit = RepeatedDebit(lease_id, row.event_id, row.receive_time_us, amount)
            debit = debit._replace(ordinal=found[debit])
            found[debit._replace(ordinal=0)] += 1
            # The first of a row with the event that stands is that event itself, shipped again.
            stands = is_same_row and standing[row.event_id, row.customer_id][lease_id] == amount
            if not (stands and debit.ordinal == 0):
                yield event, debit


def _amounts(row: EventRow) -> Counter[bytes]:
    amounts: Counter[bytes] = Counter()
    for debit in usage_pb2.UsageEvent.FromString(row.payload).debits:
        if debit.amount > 0:
            amounts[debit.lease_id] += debit.amount
    return amounts
