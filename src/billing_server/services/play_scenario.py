"""Playing a scenario: the server's own use cases on a test clock, told step by step."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

from billing_server.services.apply_catalog import apply_catalog
from billing_server.services.context import DueFailure, ServiceContext
from billing_server.services.create_customer import create_customer
from billing_server.services.create_subscription import create_subscription
from billing_server.services.move_clock import advance_clock
from billing_server.services.plan_catalog import CatalogSection
from billing_server.services.run_due_work import next_due_time, run_due_work
from billing_server.services.scenario import (
    Action,
    ApplyStep,
    CreateCustomerStep,
    Scenario,
    SubscribeStep,
    TermsStep,
    UsageRowsStep,
    UsageStep,
)
from billing_server.services.scenario_corrections import (
    AdjustUsageStep,
    AmendUsageStep,
    VoidUsageStep,
    play_correction,
)
from billing_server.services.scenario_report import ScenarioEvent
from billing_server.services.scenario_tally import UsageTally
from billing_server.services.scenario_terms import override_told, play_terms_step
from billing_server.services.scenario_usage import ScenarioAgent, instants_of
from metering.clock import format_instant
from metering.errors import ERROR_TYPES, InvariantError, MeteringError

Heard = tuple[datetime, int, int, Action]
"""When, position in the timeline, repeat, what."""


def play_scenario(
    context: ServiceContext,
    *,
    scenario: Scenario,
    on_progress: Callable[[datetime], None] = lambda _: None,
) -> tuple[ScenarioEvent, ...]:
    """Play a scenario to its end.

    Args:
        context: a fresh world whose test clock stands at the scenario's start.
        scenario: what is played.
        on_progress: told how far the clock has come.

    Returns:
        What happened besides invoices, in order.

    Raises:
        MeteringError: a step was refused, as the server would refuse it.
    """
    player = _Player(context, scenario=scenario)
    if scenario.catalog is not None:
        player.apply(scenario.catalog)
    for at, position, repeat, action in _heard(scenario):
        try:
            player.hear(action, at=at, repeat=repeat)
        except MeteringError as error:
            raise _located(error, scenario=scenario, position=position) from error
        on_progress(at)
    player.finish(scenario.until)
    on_progress(scenario.until)
    return tuple(player.events)


def raise_due_failure(failure: DueFailure) -> None:
    """End a scenario at work that failed: an invoice that is missing is no result.

    Raises:
        InvariantError: DUE_WORK_FAILED, naming the subscription.
    """
    raise InvariantError(
        reason="DUE_WORK_FAILED",
        message=f"subscription {failure.subscription_id!r}: what was due at "
        f"{format_instant(failure.due_time)} could not be invoiced: {failure.error}",
        metadata={"subscription": failure.subscription_id, "work": failure.work},
    ) from failure.error


def _located(error: MeteringError, *, scenario: Scenario, position: int) -> MeteringError:
    """Return an error that says which entry of the timeline was refused."""
    place = f"{scenario.name}: timeline[{scenario.steps[position].number}]"
    return ERROR_TYPES[error.kind](
        reason=error.reason,
        message=f"{place}: {error.message}",
        metadata=error.metadata,
        violations=error.violations,
    )


def _heard(scenario: Scenario) -> Iterator[Heard]:
    """Walk everything that the server hears, in order of time; the repeats of usage among it."""

    def expanded(position: int, at: datetime, action: Action) -> Iterator[Heard]:
        if isinstance(action, UsageRowsStep):
            for row in action.rows:
                heard_at = max(at, row.event_time or at)
                if heard_at <= scenario.until:
                    yield heard_at, position, 0, row
            return
        if not isinstance(action, UsageStep):
            yield at, position, 0, action
            return
        for instant, repeat in instants_of(action, at=at):
            if instant <= scenario.until:
                yield instant, position, repeat, action

    walks = [
        expanded(position, step.at, step.action) for position, step in enumerate(scenario.steps)
    ]
    return heapq.merge(*walks, key=lambda heard: heard[:3])


class _Player:
    """Carries out what is heard; usage waits until something else happens."""

    def __init__(self, context: ServiceContext, *, scenario: Scenario) -> None:
        self._context = context
        self._scenario = scenario
        self._agent = ScenarioAgent(context)
        self._next_due: datetime | None = None
        self._tally = UsageTally()
        self.events: list[ScenarioEvent] = []

    def hear(self, action: Action, *, at: datetime, repeat: int) -> None:
        is_due = self._next_due is not None and self._next_due <= at
        if isinstance(action, UsageStep) and not is_due:
            self._record(action, at=at, repeat=repeat)
            return
        self._move_to(at)
        match action:
            case UsageStep():
                self._record(action, at=at, repeat=repeat)
            case CreateCustomerStep(customer):
                create_customer(self._context, customer=customer)
                self._note("customer.created", customer=customer.id)
            case SubscribeStep(entry):
                started = create_subscription(
                    self._context, entry=replace(entry, start=entry.start or at)
                )
                self._note(
                    "subscription.created",
                    customer=entry.customer_id,
                    subscription=entry.id,
                    plan=f"{entry.plan_key} v{started.subscription.plan_version}",
                )
                for own in started.subscription.overrides:
                    told = override_told(own.price, fields=own.fields)
                    self._note("subscription.override", subscription=entry.id, **told)
            case ApplyStep():
                self.apply(action)
            case TermsStep():
                told = play_terms_step(self._context, step=action)
                self._note(f"subscription.{action.verb}", **told)
            case VoidUsageStep() | AmendUsageStep() | AdjustUsageStep():
                kind, details = play_correction(self._context, action)
                self._note(kind, **details)
            case _:
                raise InvariantError(reason="VERB_UNKNOWN", message=f"cannot play {action}")
        self._look_ahead()

    def apply(self, step: ApplyStep) -> None:
        section = CatalogSection(name=self._scenario.name, node=step.node, path=step.path)
        for change in apply_catalog(self._context, sources=[section]).changes:
            self._note("catalog.changed", change=change.description.split("\n")[0])
        self._look_ahead()

    def finish(self, until: datetime) -> None:
        self._move_to(until)

    def _record(self, step: UsageStep, *, at: datetime, repeat: int) -> None:
        self._agent.record(step, at=at, repeat=repeat)
        self._tally.add(step, at=at, repeat=repeat)

    def _move_to(self, at: datetime) -> None:
        self._agent.flush()
        self.events += self._tally.take()
        advance_clock(self._context, to=at)

    def _look_ahead(self) -> None:
        run_due_work(self._context)  # As the scheduler would that a change wakes.
        self._next_due = next_due_time(self._context, after=self._context.clock.now())

    def _note(self, kind: str, **details: str) -> None:
        self.events.append(ScenarioEvent(self._context.clock.now(), kind, details))
