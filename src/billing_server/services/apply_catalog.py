"""Applying catalog files: the whole of them or nothing, and nothing a second time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum

from billing_server.domain.catalog.diff import CatalogChanges, Change, ChangeKind
from billing_server.domain.catalog.model import (
    Addon,
    Meter,
    Plan,
    SubscriptionEntry,
)
from billing_server.domain.catalog.places import CatalogPlaces
from billing_server.domain.ports.news import EVERY_CUSTOMER
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.subscription.model import Customer
from billing_server.domain.tax.rate import TaxRate
from billing_server.services.audit import SERVER, note_action
from billing_server.services.context import ServiceContext
from billing_server.services.count_history import count_history, keep_events, money_read_by
from billing_server.services.create_customer import put_customer
from billing_server.services.create_subscription import put_subscription
from billing_server.services.follow_entry import follow_entry
from billing_server.services.move_versions import move_subscriptions
from billing_server.services.plan_catalog import (
    CatalogSection,
    CatalogSource,
    WantedCatalog,
    plan_catalog,
)
from billing_server.services.run_due_work import invoice_starts
from billing_server.services.unpriced_alerts import close_alerts_promptly
from billing_server.services.watch_quarantine import redrive_promptly
from metering.errors import InvalidStateError, NotFoundError, ValidationError

REDRIVE_CUSTOMERS_MAX = 20
"""Up to so many new customers are looked for one by one in the quarantine, more all at once."""


CHANGES_TOLD_MAX = 100
"""Changes that one entry of the audit tells one by one."""
SUBJECT_LENGTH_MAX = 256
"""Characters of file names in one entry of the audit."""


class ApplyMode(Enum):
    """Whether changes are made, or only told."""

    APPLY = "apply"
    DRY_RUN = "dry_run"


@dataclass(frozen=True, slots=True)
class AppliedChange:
    """One change that applying a catalog makes."""

    action: str
    """`create`, `update` or `new_version`."""
    kind: str
    """`meter`, `plan`, `addon`, `tax_rate`, `customer` or `subscription`."""
    key: str
    """Key or id of the thing."""
    description: str
    """For people: the change, and below it each field that differs."""


@dataclass(frozen=True, slots=True)
class AppliedCatalog:
    """What applying a catalog comes to."""

    changes: tuple[AppliedChange, ...]
    """What was changed or, on a dry run, would be; empty where all is there already."""
    unchanged: tuple[tuple[str, str], ...]
    """Kind and key of what is applied already."""


def apply_catalog(
    context: ServiceContext,
    *,
    sources: Sequence[CatalogSource | CatalogSection],
    mode: ApplyMode = ApplyMode.APPLY,
    actor: str = SERVER,
) -> AppliedCatalog:
    """Make meters, plans, add-ons, customers and subscriptions equal to catalog files.

    All of it is one transaction.

    Args:
        context: the world.
        sources: files that refer to each other.
        mode: whether changes are made.
        actor: who applies them, for the audit.

    Returns:
        What was done or, on a dry run, would be.

    Raises:
        ValidationError: CATALOG_INVALID or CATALOG_CHANGE_REFUSED, one violation a mistake; nothing
            is changed then.
    """
    wanted = WantedCatalog.of(sources)
    if mode is ApplyMode.DRY_RUN:
        with context.store.read() as unit:
            planned = plan_catalog(unit, context=context, wanted=wanted)
        return _shown(planned)
    with context.store.write() as unit:
        unit.catalog.lock()
        planned = plan_catalog(unit, context=context, wanted=wanted)
        if planned.changes:
            unit.catalog.advance_revision()
        for change in planned.changes:
            with _located(change, places=wanted.places):
                _carry_out(unit, context=context, change=change)
        unit.leases.announce_terms(_with_other_limits(planned.changes))
        if planned.changes:
            _note(unit, context=context, actor=actor, sources=sources, changes=planned.changes)
    _follow_up(context, changes=planned.changes)
    return _shown(planned)


def _note(
    unit: UnitOfWork,
    *,
    context: ServiceContext,
    actor: str,
    sources: Sequence[CatalogSource | CatalogSection],
    changes: Sequence[Change],
) -> None:
    """Write into the audit who applied which files, and what that changed, up to a bound."""
    note_action(
        unit,
        context=context,
        actor=actor,
        action="catalog.apply",
        subject=", ".join(source.name for source in sources)[:SUBJECT_LENGTH_MAX],
        detail={
            "change_count": len(changes),
            "changes": [_title(change) for change in changes[:CHANGES_TOLD_MAX]],
        },
    )


@contextmanager
def _located(change: Change, *, places: CatalogPlaces) -> Iterator[None]:
    """Say of an error where in the files stands what could not be carried out."""
    try:
        yield
    except (ValidationError, InvalidStateError, NotFoundError) as error:
        place = places.place_of(f"{change.resource}s", change.key)
        kind = type(error)
        raise kind(
            reason=error.reason,
            message=f"{place}: {error.message}",
            metadata=error.metadata,
            violations=[
                replace(each, description=f"{place}: {each.description}")
                for each in error.violations
            ],
        ) from error


def _carry_out(unit: UnitOfWork, *, context: ServiceContext, change: Change) -> None:
    now = context.clock.now()
    match change.value:
        case Meter() as meter:
            unit.catalog.put_meter(meter, update_time=now)
            if change.kind is ChangeKind.CREATE:
                count_history(unit, meter=meter)
        case Plan() as plan:
            unit.catalog.add_plan_version(
                replace(plan, effective_from=plan.effective_from or now), create_time=now
            )
            keep_events(unit, prices=plan.usage_prices)
            if change.kind is ChangeKind.NEW_VERSION:
                move_subscriptions(unit, context=context, plan=plan)
        case Addon() as addon:
            unit.catalog.add_addon_version(addon, create_time=now)
            keep_events(unit, prices=addon.usage_prices)
        case TaxRate() as rate:
            unit.catalog.put_tax_rate(rate, update_time=now)
        case Customer() as customer:
            put_customer(unit, context=context, customer=customer)
        case SubscriptionEntry() as entry if change.kind is ChangeKind.UPDATE:
            follow_entry(unit, context=context, entry=entry)
        case SubscriptionEntry() as entry:
            put_subscription(unit, context=context, entry=entry)


def _with_other_limits(changes: Sequence[Change]) -> set[str]:
    """Return whose limits may have changed, for agents that wait to hear of it."""
    named = {change.key for change in changes if change.resource == "customer"}
    named |= {
        change.value.customer_id
        for change in changes
        if isinstance(change.value, SubscriptionEntry)
    }
    is_for_all = any(change.resource in ("meter", "plan") for change in changes)
    return {EVERY_CUSTOMER} if is_for_all else named


def _follow_up(context: ServiceContext, *, changes: Sequence[Change]) -> None:
    """Count what waited for the new meters and customers, and invoice the new starts."""
    resources = {change.resource for change in changes}
    customer_ids = [change.key for change in changes if change.resource == "customer"]
    if "meter" in resources or _reads_money(changes) or len(customer_ids) > REDRIVE_CUSTOMERS_MAX:
        redrive_promptly(context.store)
    else:
        for customer_id in customer_ids:
            redrive_promptly(context.store, customer_id=customer_id)
    started = [
        change.key
        for change in changes
        if change.resource == "subscription" and change.kind is ChangeKind.CREATE
    ]
    if started:
        invoice_starts(context, subscription_ids=started)
    if resources & {"plan", "subscription"}:
        close_alerts_promptly(context)


def _reads_money(changes: Sequence[Change]) -> bool:
    """Tell whether events may have waited for a quantity that a price reads as money."""
    for value in (change.value for change in changes):
        if isinstance(value, Plan | Addon) and any(money_read_by(value.usage_prices).values()):
            return True
        if isinstance(value, SubscriptionEntry) and value.overrides:
            return True
    return False


def _shown(planned: CatalogChanges) -> AppliedCatalog:
    changes = tuple(
        AppliedChange(
            action=str(change.kind),
            kind=change.resource,
            key=change.key,
            description="\n".join((_title(change), *(f"    {each}" for each in change.details))),
        )
        for change in planned.changes
    )
    return AppliedCatalog(changes, planned.unchanged)


def _title(change: Change) -> str:
    if change.kind is ChangeKind.CREATE:
        return f"create {change.resource.replace('_', ' ')} {change.key}"
    return change.summary
