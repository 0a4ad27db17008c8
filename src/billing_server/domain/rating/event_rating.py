"""Rating events one after the other, and going on later from where it stopped.

The state is what the terms look at (what is left of the included units, the model's tally) and not
the events: however many there were, the next ones cost no more.
"""

import hashlib
import json
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Protocol

from billing_server.domain.rating.conversion import Conversion
from billing_server.domain.rating.exact import (
    exact_from_text,
    exact_text,
    multiply,
    subtract,
)
from billing_server.domain.rating.price_model import ZERO, EventModel, EventUsage, PriceModel
from metering.errors import InvariantError
from metering.money import Exact

EventPlace = tuple[int, str]
"""Where an event stands in the order: its time in microseconds since 1970 UTC, and its id."""
_FINGERPRINT_DIGITS = 16


class EventTerms(Protocol):
    """What of a price its events are rated by; `UsageTerms` is one."""

    @property
    def model(self) -> PriceModel:
        """The price's model."""

    @property
    def included(self) -> Decimal:
        """Units included, in the meter's unit or, where there is one, the converted."""

    @property
    def conversion(self) -> Conversion | None:
        """What is done to the quantity first; None: nothing."""

    def adjusted(self, amount: Exact) -> Exact:
        """Returns the model's amount after share, discount, maximum and minimum."""


class EventRating:
    """The events of one charge so far, rated by one price."""

    __slots__ = ("_included_left", "_tally", "_terms", "place")

    def __init__(self, terms: EventTerms) -> None:
        model = terms.model
        if not isinstance(model, EventModel):
            raise InvariantError(
                reason="QUANTITY_NEEDED",
                message=f"a {model.name} price is rated by the total; hand in the quantity",
            )
        self._terms = terms
        self._included_left: Exact = terms.included
        self._tally = model.tally()
        self.place: EventPlace | None = None
        """Of the last event; None: there was none, or its place was not told."""

    def take(self, event: EventUsage, *, place: EventPlace | None = None) -> None:
        """Rates the next event in the order (event_time, event_id)."""
        self.place = place
        billable = self.billable(event)
        if billable is not None:
            self._tally.take(billable)

    def billable(self, event: EventUsage) -> EventUsage | None:
        """Returns an event after conversion and without what is included; None: all of it is.

        An event that is included in part keeps that part of what it brought as its amount.
        """
        conversion, left = self._terms.conversion, self._included_left
        if conversion is not None:
            event = replace(event, quantity=conversion.convert(event.quantity))
        if not left:
            return event
        if event.quantity <= left:
            self._included_left = subtract(left, event.quantity)
            return None
        rest = subtract(event.quantity, left)
        self._included_left = ZERO
        part = Fraction(rest) / Fraction(event.quantity)
        amount = multiply(event.amount, part) if event.amount else ZERO
        return replace(event, quantity=rest, amount=amount)

    def amount(self) -> Exact:
        """Returns the exact amount of the events so far, adjusted as the price says."""
        return self._terms.adjusted(self._tally.amount())

    def saved(self) -> str:
        """Returns the state as one line of JSON; equal states give equal lines."""
        return json.dumps(
            {
                "terms": self._fingerprint(),
                "place": self.place,
                "included_left": exact_text(self._included_left),
                "tally": self._tally.saved(),
            },
            separators=(",", ":"),
        )

    def resume(self, saved: str) -> bool:
        """Goes on from a saved state; tells whether it is one of these terms.

        Where it is not, or is damaged, the rating is not to be used.
        """
        try:
            state = json.loads(saved)
            if state["terms"] != self._fingerprint() or state["place"] is None:
                return False
            time_us, event_id = state["place"]
            self.place = time_us, event_id
            self._included_left = exact_from_text(state["included_left"])
            self._tally.restore(state["tally"])
        except (ArithmeticError, KeyError, TypeError, ValueError):
            return False
        return True

    def is_right(self, saved: str) -> bool:
        """Tells whether a saved state is that of the events so far; one of other terms is unused.

        The place of the last event is not looked at.
        """
        wanted = json.loads(self.saved())
        try:
            state = json.loads(saved)
            is_used = state["terms"] == wanted["terms"]
        except (KeyError, TypeError, ValueError):
            return False
        return not is_used or {**state, "place": None} == {**wanted, "place": None}

    def _fingerprint(self) -> str:
        """Returns what tells the terms of a state from others: it means nothing under them."""
        terms = self._terms
        told = repr((terms.model, Decimal(terms.included), terms.conversion))
        return hashlib.sha256(told.encode()).hexdigest()[:_FINGERPRINT_DIGITS]
