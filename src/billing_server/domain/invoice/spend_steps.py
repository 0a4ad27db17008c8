"""The arithmetic of commitment and minimum spend, as steps whose amounts add up (R17, R34).

Committed 1,000 with an overage discount of 0.2 and usage of 1,500: 1,000 − 1,500 + 500 × 0.8 gives
−100, so that 1,400 are paid.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final

from billing_server.domain.catalog.model import Commitment, Plan
from billing_server.domain.rating.price_model import ZERO, RatingStep, StepKind
from billing_server.domain.subscription.phase import spans_of
from billing_server.domain.subscription.timeline import Timeline, shares_of_spans
from metering.period import Period

NOTHING: Final = Fraction(0)
_TAKEN_OFF: Final = Decimal(-1)


def commitment_steps(
    timeline: Timeline, *, period: Period, usage: Mapping[datetime, Fraction]
) -> tuple[RatingStep, ...]:
    """Returns what the commitments add to the usage of a period; nothing where there is none.

    Each commitment counts the usage of the time in which it stands, and no other (R58).

    Args:
        timeline: of the subscription.
        period: the billing period; each commitment counts by its share of it (R17).
        usage: by the start of its segment, what the usage of the period comes to, in major units.
    """
    return tuple(
        step
        for plan, span, share in _asked(timeline, period=period, term=_commitment_of)
        if plan.commitment is not None
        for step in _commitment_steps(
            plan.commitment,
            share=share,
            usage=sum((each for at, each in usage.items() if span.contains(at)), NOTHING),
        )
    )


def _commitment_steps(
    commitment: Commitment, *, share: Fraction, usage: Fraction
) -> Iterator[RatingStep]:
    committed = Fraction(commitment.amount) * share
    yield _share_step(StepKind.COMMITMENT, amount=commitment.amount, share=share)
    if usage:
        yield _spent_step(usage, counted=usage)
    if usage > committed:
        over, rate = usage - committed, 1 - commitment.overage_discount
        yield RatingStep(committed, None, over, rate, ZERO, over * Fraction(rate))


def minimum_steps(timeline: Timeline, *, period: Period, spent: Fraction) -> tuple[RatingStep, ...]:
    """Returns what is missing to the plan's minimum; nothing where there is none (R34).

    Args:
        timeline: of the subscription.
        period: the billing period; each plan version counts by its share of it (R17).
        spent: what all lines of the period come to, in major units.
    """
    steps = [
        _share_step(StepKind.MINIMUM_SPEND, amount=plan.minimum_spend, share=share)
        for plan, _, share in _asked(timeline, period=period, term=_minimum_of)
        if plan.minimum_spend
    ]
    if steps and spent:
        steps.append(_spent_step(spent, counted=min(spent, step_total(steps))))
    return tuple(steps)


def step_total(steps: Iterable[RatingStep]) -> Fraction:
    """Returns what steps add up to, in major units."""
    return sum((Fraction(step.amount) for step in steps), NOTHING)


def _asked(
    timeline: Timeline, *, period: Period, term: Callable[[Plan], object]
) -> list[tuple[Plan, Period, Fraction]]:
    """Returns the plans of a period that ask for something, from when to when, and their shares.

    Phases that ask for the same are one: an add-on changes nothing of what the plan asks.
    """
    spans: list[tuple[Plan, Period]] = []
    for phase, span in spans_of(timeline.phases, period=period):
        plan = phase.plan
        if not term(plan):
            continue
        last, before = spans[-1] if spans else (None, span)
        if (
            last is not None
            and before.end == span.start
            and (term(last), last.proration) == (term(plan), plan.proration)
        ):
            spans[-1] = last, Period(before.start, span.end)
        else:
            spans.append((plan, span))
    shares = shares_of_spans(spans, cycle=timeline.cycle)
    return [(*each, share) for each, share in zip(spans, shares, strict=True)]


def _commitment_of(plan: Plan) -> Commitment | None:
    return plan.commitment


def _minimum_of(plan: Plan) -> Decimal | None:
    return plan.minimum_spend


def _share_step(kind: StepKind, *, amount: Decimal, share: Fraction) -> RatingStep:
    return RatingStep(ZERO, None, share, amount, ZERO, Fraction(amount) * share, kind)


def _spent_step(spent: Fraction, *, counted: Fraction) -> RatingStep:
    return RatingStep(ZERO, spent, counted, _TAKEN_OFF, ZERO, -counted, StepKind.SPENT)
