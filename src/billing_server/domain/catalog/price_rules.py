"""What a price may not ask of its meter."""

from collections.abc import Mapping

from billing_server.domain.catalog.model import Meter, UsagePrice
from billing_server.domain.rating.price_model import is_rated_by_event

METER_NOT_SUMMED = "METER_NOT_SUMMED"
PRICE_IDLE = "PRICE_IDLE"


def by_event_problem(price: UsagePrice, *, meters: Mapping[str, Meter]) -> str | None:
    """Returns what is wrong with a price that looks at single events; None: nothing is.

    Args:
        price: of a plan or add-on, with its override where it has one.
        meters: by key; a meter that is not there is another mistake.
    """
    meter = meters.get(price.meter)
    if meter is None or not is_rated_by_event(price.model):
        return None
    if meter.aggregation.is_additive and meter.aggregation.is_summed:
        return None
    return (
        f"price {price.key!r} is rated event by event, and meter {meter.key!r} is a "
        f"{meter.aggregation}; price a sum or a count instead"
    )


def contradiction(price: UsagePrice, *, meters: Mapping[str, Meter]) -> str | None:
    """Returns why a price can never charge anything of its meter; None: it can.

    Args:
        price: of a plan or add-on.
        meters: by key; a meter that is not there is another mistake.
    """
    meter = meters.get(price.meter)
    if meter is None:
        return None
    for name, value in price.where.items():
        counted = meter.where.get(name, value)
        if counted != value:
            return (
                f"price {price.key!r} asks for {name} {value!r}, and meter {meter.key!r} counts "
                f"{name} {counted!r} alone; correct one of them"
            )
    return None
