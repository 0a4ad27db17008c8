"""Voiding what was billed on a guess (`bill_on_expiry`) once its reservation is settled after all.

Whichever of the two events is counted first, the guess then counts nothing, for good. Their ids
follow from the reservation, so a settlement at another agent than the one that guessed finds it.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Final

from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import EventKey
from billing_server.domain.ports.usage_facts import Correction, CorrectionKind
from billing_server.services.recount_usage import recount_corrected
from billing_server.services.usage_payload import DecodedEvent, decode_row
from metering.api.v1 import usage_pb2
from metering.ids import expiry_event_id, settlement_event_id

_AFTER_EXPIRY: Final = frozenset(
    {usage_pb2.SETTLEMENT_KIND_LATE, usage_pb2.SETTLEMENT_KIND_ELSEWHERE}
)
"""How reservations end that may have been billed on a guess before."""


def void_guesses(unit: UnitOfWork, *, events: Iterable[DecodedEvent], now: datetime) -> None:
    """Voids guesses of reservations that are settled.

    A late release of which nothing was incurred comes as a settlement of 0: it takes the guess
    back, and counts nothing itself.

    Args:
        unit: a write transaction that holds the customers; the events were counted in it.
        events: that were counted just now.
        now: the time.
    """
    pairs = dict(pair for pair in map(_pair_of, events) if pair is not None)
    if not pairs:
        return
    stored = unit.usage.stored_events({*pairs, *pairs.values()})
    counted = {key: row for key, row in stored.items() if row.quarantine_reason is None}
    void: dict[EventKey, str] = {}
    for guess_key, settlement_key in pairs.items():
        if guess_key not in counted or settlement_key not in counted:
            continue
        guess, settled = decode_row(counted[guess_key]), decode_row(counted[settlement_key])
        if not _is_guess(guess) or settled.settlement is None:
            continue
        void[guess_key] = f"its reservation was settled after all, by event {settlement_key[0]}"
        if not any(Decimal(text) for text in settled.quantities.values()):
            void[settlement_key] = "its reservation was released, nothing was used"
    known = unit.usage_facts.corrections(list(void))
    for key, reason in sorted(void.items(), key=lambda item: item[0][::-1]):
        correction = known.get(key)
        if correction is not None and correction.kind is CorrectionKind.VOID:
            continue
        unit.usage_facts.add_correction(
            Correction(
                event_id=key[0],
                customer_id=key[1],
                version=1 if correction is None else correction.version + 1,
                kind=CorrectionKind.VOID,
                quantities=None,
                reason=reason,
                create_time=now,
            )
        )
        recount_corrected(unit, row=counted[key], now=now)


def _pair_of(event: DecodedEvent) -> tuple[EventKey, EventKey] | None:
    """Returns the keys of the guess and of the settlement that an event may be one of."""
    settlement, customer_id = event.settlement, event.row.customer_id
    if settlement is None or not (_is_guess(event) or settlement.kind in _AFTER_EXPIRY):
        return None
    reservation_id = settlement.reservation_id
    return (
        (expiry_event_id(customer_id, reservation_id), customer_id),
        (settlement_event_id(customer_id, reservation_id), customer_id),
    )


def _is_guess(event: DecodedEvent) -> bool:
    settlement = event.settlement
    return settlement is not None and settlement.kind == usage_pb2.SETTLEMENT_KIND_EXPIRED
