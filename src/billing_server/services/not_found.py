"""What is answered where nothing has the name or id that a caller gave: one wording a resource."""

from metering.errors import NotFoundError


def customer_not_found(customer_id: str) -> NotFoundError:
    """Return the error of a customer id that nobody has."""
    return NotFoundError(
        reason="CUSTOMER_NOT_FOUND",
        message=f"there is no customer {customer_id!r}: create it, or name it in a catalog file",
    )


def event_not_found(event_id: str, *, customer_id: str | None) -> NotFoundError:
    """Return the error of an event id that no event has, of a customer or, for None, of any."""
    of = "" if customer_id is None else f" of customer {customer_id!r}"
    return NotFoundError(
        reason="EVENT_NOT_FOUND",
        message=f"there is no event {event_id!r}{of}: see 'billing-server usage events'",
    )


def invoice_not_found(number_or_id: str) -> NotFoundError:
    """Return the error of a number or id that no invoice has."""
    return NotFoundError(
        reason="INVOICE_NOT_FOUND",
        message=f"there is no invoice {number_or_id!r}: see 'billing-server invoices list'",
    )


def meter_not_found(key: str) -> NotFoundError:
    """Return the error of a key that no meter has."""
    return NotFoundError(
        reason="METER_NOT_FOUND",
        message=f"there is no meter {key!r}: see 'billing-server catalog list', or apply one",
    )


def plan_not_found(key: str, *, version: int | None = None) -> NotFoundError:
    """Return the error of a key that no plan has, or of a version that the plan has not."""
    named = repr(key) if version is None else f"{key!r} of version {version}"
    return NotFoundError(
        reason="PLAN_NOT_FOUND",
        message=f"there is no plan {named}: see 'billing-server catalog list', or apply it",
    )


def subscription_not_found(*subscription_ids: str) -> NotFoundError:
    """Return the error of ids that no subscription has, one or more."""
    return NotFoundError(
        reason="SUBSCRIPTION_NOT_FOUND",
        message=f"there is no subscription {', '.join(map(repr, subscription_ids))}: see "
        "'billing-server subscriptions list'",
    )
