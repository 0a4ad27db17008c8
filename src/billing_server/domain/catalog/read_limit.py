"""Readers and writers of limits: of a plan's, and of a customer's own."""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Final

from billing_server.domain.catalog.limit import (
    THRESHOLDS_DEFAULT,
    ZERO,
    Limit,
    LimitSubject,
    LimitWindow,
    WindowUnit,
)
from billing_server.domain.document import Node, node_from_plain
from billing_server.domain.fields import (
    FieldMistake,
    FieldReader,
    Mistakes,
    choice,
    integer,
    key_text,
    not_a_choice,
    peek,
    present,
    price,
    quantity,
    text,
)
from metering.clock import parse_duration
from metering.limits import (
    MONEY_DECIMALS,
    Enforcement,
    ExpiryBilling,
    OfflinePolicy,
    SilencePolicy,
)
from metering.quantity import plain_decimal

LIMITS_MAX: Final = 50
"""Limits of one plan or customer: each one costs every event of the customer a look."""
CONCURRENCY_MAX: Final = 1_000_000
ROLLING_MAX: Final = timedelta(days=90)
HOLD_MAX: Final = timedelta(days=1)
THRESHOLDS_MAX: Final = 10
THRESHOLD_MAX: Final = Decimal(10)
BALANCE_NAME: Final = "prepaid"
"""The one balance that a customer has in this version."""

_ROLLING: Final = re.compile(r"rolling:([1-9][0-9]{0,5})([mhd])")
_MINUTES: Final = {"m": 1, "h": 60, "d": 24 * 60}
_SUBJECT_FIELDS: Final = ("meter", "amount", "balance", "concurrency")
_SOFT_DEFAULTS: Final = (OfflinePolicy.OPEN, SilencePolicy.RECLAIM)
_HARD_DEFAULTS: Final = (OfflinePolicy.CLOSED, SilencePolicy.HOLD)
_WINDOW_NAMES: Final = [*(str(unit) for unit in WindowUnit if unit != "rolling"), "rolling:5h"]


def read_limits(
    reader: FieldReader, *, meter_keys: frozenset[str] | None
) -> tuple[Limit, ...] | None:
    """Reads the list `limits`; None where one of them is wrong, which is noted.

    Args:
        reader: of the plan or customer.
        meter_keys: the meters that limits may name; None: any.
    """
    mistakes = reader.mistakes
    count_before = mistakes.count
    first_path: dict[str, str] = {}
    limits: list[Limit] = []
    for path, node in reader.items("limits"):
        item = FieldReader(node, path=path, mistakes=mistakes)
        found = read_limit(item)
        meter = peek(node, "meter", key_text)
        if meter_keys is not None and meter is not None and meter not in meter_keys:
            problem = f"there is no meter {meter!r}; add it under meters, or correct the name"
            item.note("meter", reason="METER_UNKNOWN", problem=problem)
        if found is None:
            continue
        if found.key in first_path:
            problem = f"{found.key!r} is the key of {first_path[found.key]} already; rename one"
            item.note("key", reason="LIMIT_KEY_DUPLICATE", problem=problem)
        first_path[found.key] = path
        limits.append(found)
    if len(limits) > LIMITS_MAX:
        problem = f"there are {len(limits)} limits; {LIMITS_MAX} are the most"
        reader.note("limits", reason="LIMITS_TOO_MANY", problem=problem)
    return tuple(limits) if mistakes.count == count_before else None


def read_limit(reader: FieldReader) -> Limit | None:
    """Reads one limit; None where it is wrong, which is noted."""
    count_before = reader.mistakes.count
    key = reader.required("key", key_text)
    subject = _read_subject(reader)
    if key is None or subject is None:
        reader.note_misspelt("key", *_SUBJECT_FIELDS)
        return None
    maximum = _read_maximum(reader, subject)
    window = _read_window(reader, subject)
    where = reader.text_map("where") if subject is LimitSubject.METER else {}
    enforcement = reader.optional("enforcement", choice(Enforcement), default=Enforcement.HARD)
    is_hard = enforcement is Enforcement.HARD
    offline, unconfirmed = _HARD_DEFAULTS if is_hard else _SOFT_DEFAULTS
    offline = reader.optional("when_offline", choice(OfflinePolicy), default=offline)
    unconfirmed = reader.optional("unconfirmed", choice(SilencePolicy), default=unconfirmed)
    amount = _amount_reader(subject)
    allowance = _read_allowance(reader, amount=amount, offline=offline)
    reclaim_max = _read_reclaim_max(
        reader, amount=amount, unconfirmed=unconfirmed, default=ZERO if is_hard else maximum
    )
    burst = _read_burst(reader, window=window, maximum=maximum)
    max_hold = _read_max_hold(reader, subject)
    billing = reader.optional(
        "bill_on_expiry", choice(ExpiryBilling), default=ExpiryBilling.NOTHING
    )
    thresholds = _read_thresholds(reader)
    reader.finish()
    if reader.mistakes.count > count_before:
        return None
    return Limit(
        key=key,
        subject=subject,
        meter=_meter(reader, subject),
        where=where,
        window=window,
        maximum=maximum,
        enforcement=enforcement,
        when_offline=offline,
        allowance=allowance,
        unconfirmed=unconfirmed,
        reclaim_max=reclaim_max,
        burst=burst,
        max_hold=max_hold,
        bill_on_expiry=billing,
        thresholds=thresholds,
    )


def _meter(reader: FieldReader, subject: LimitSubject) -> str:
    """Returns the meter of a limit on a meter; empty for the others."""
    if subject is not LimitSubject.METER:
        return ""
    return reader.optional("meter", key_text, default="")


def limit_from_dict(value: Mapping[str, object]) -> Limit:
    """Returns the limit of `limit_to_dict`.

    Raises:
        ValidationError: LIMIT_INVALID, naming the fields.
    """
    mistakes = Mistakes("limit")
    node = node_from_plain(value, name=mistakes.name)
    limit = read_limit(FieldReader(node, path="", mistakes=mistakes))
    mistakes.raise_if_any(reason="LIMIT_INVALID")
    return present(limit)


def limit_to_dict(limit: Limit) -> dict[str, object]:
    """Returns a limit as plain values, in the form of a catalog file."""
    fields: dict[str, object] = {"key": limit.key}
    match limit.subject:
        case LimitSubject.METER:
            fields |= {"meter": limit.meter, "where": dict(sorted(limit.where.items()))}
            fields |= {"max": plain_decimal(limit.maximum)}
        case LimitSubject.MONEY:
            fields |= {"amount": plain_decimal(limit.maximum)}
        case LimitSubject.BALANCE:
            fields |= {"balance": BALANCE_NAME}
        case LimitSubject.CONCURRENCY:
            fields |= {"concurrency": int(limit.maximum)}
    if limit.subject in (LimitSubject.METER, LimitSubject.MONEY):
        fields["window"] = str(limit.window)
    if limit.burst is not None:
        fields["burst"] = plain_decimal(limit.burst)
    if limit.when_offline is OfflinePolicy.ALLOWANCE:
        fields["allowance"] = plain_decimal(limit.allowance)
    if limit.unconfirmed is SilencePolicy.RECLAIM:
        fields["reclaim_max"] = plain_decimal(limit.reclaim_max)
    if limit.max_hold is not None:
        fields["max_hold"] = f"PT{limit.max_hold // timedelta(seconds=1)}S"
    return fields | {
        "enforcement": str(limit.enforcement),
        "when_offline": str(limit.when_offline),
        "unconfirmed": str(limit.unconfirmed),
        "bill_on_expiry": str(limit.bill_on_expiry),
        "thresholds": [plain_decimal(share) for share in limit.thresholds],
    }


def _read_subject(reader: FieldReader) -> LimitSubject | None:
    given = [name for name in _SUBJECT_FIELDS if reader.has(name)]
    if len(given) != 1:
        problem = (
            f"a limit counts one thing: write meter and max, or amount, or concurrency, or "
            f"balance: {BALANCE_NAME}"
        )
        if given:
            problem += f"; here stand {' and '.join(given)}"
        reader.note(given[1] if given else "meter", reason="LIMIT_SUBJECT_UNCLEAR", problem=problem)
        return None
    if given == ["balance"]:
        reader.required("balance", _balance_name)
        return LimitSubject.BALANCE
    return {
        "meter": LimitSubject.METER,
        "amount": LimitSubject.MONEY,
        "concurrency": LimitSubject.CONCURRENCY,
    }[given[0]]


def _read_maximum(reader: FieldReader, subject: LimitSubject) -> Decimal:
    match subject:
        case LimitSubject.METER:
            return reader.required("max", quantity) or ZERO
        case LimitSubject.MONEY:
            return reader.required("amount", _money) or ZERO
        case LimitSubject.CONCURRENCY:
            slots = reader.required("concurrency", integer(low=0, high=CONCURRENCY_MAX))
            return Decimal(slots or 0)
        case LimitSubject.BALANCE:
            return ZERO


def _read_window(reader: FieldReader, subject: LimitSubject) -> LimitWindow:
    if subject not in (LimitSubject.METER, LimitSubject.MONEY):
        return LimitWindow(WindowUnit.LIFETIME)
    window = reader.required("window", _window) or LimitWindow(WindowUnit.LIFETIME)
    if subject is LimitSubject.MONEY and window.unit is WindowUnit.MINUTE:
        problem = "money has no rate: write hour, day, week, month, billing_period or lifetime"
        reader.note("window", reason="LIMIT_WINDOW_MISMATCH", problem=problem)
    return window


def _read_allowance(
    reader: FieldReader, *, amount: Callable[[Node], Decimal], offline: OfflinePolicy
) -> Decimal:
    if offline is OfflinePolicy.ALLOWANCE:
        return reader.required("allowance", amount) or ZERO
    if reader.has("allowance"):
        problem = "an allowance goes with when_offline: allowance; write that too, or leave it out"
        reader.note("allowance", reason="LIMIT_FIELD_IDLE", problem=problem)
    return ZERO


def _read_reclaim_max(
    reader: FieldReader,
    *,
    amount: Callable[[Node], Decimal],
    unconfirmed: SilencePolicy,
    default: Decimal,
) -> Decimal:
    if unconfirmed is SilencePolicy.HOLD:
        if reader.has("reclaim_max"):
            problem = "reclaim_max goes with unconfirmed: reclaim; write that too, or leave it out"
            reader.note("reclaim_max", reason="LIMIT_FIELD_IDLE", problem=problem)
        return ZERO
    if not default and not reader.has("reclaim_max"):
        problem = (
            "unconfirmed: reclaim lets a limit be passed by up to reclaim_max; write how much, "
            "or leave unconfirmed out"
        )
        reader.note("reclaim_max", reason="FIELD_MISSING", problem=problem)
    return reader.optional("reclaim_max", amount, default=default)


def _read_burst(reader: FieldReader, *, window: LimitWindow, maximum: Decimal) -> Decimal | None:
    if window.unit is WindowUnit.MINUTE:
        return reader.optional("burst", quantity, default=maximum)
    if reader.has("burst"):
        problem = "a burst goes with window: minute; write that, or leave it out"
        reader.note("burst", reason="LIMIT_FIELD_IDLE", problem=problem)
    return None


def _read_max_hold(reader: FieldReader, subject: LimitSubject) -> timedelta | None:
    if subject is LimitSubject.CONCURRENCY:
        return reader.maybe("max_hold", _hold)
    if reader.has("max_hold"):
        problem = "max_hold goes with concurrency; leave it out"
        reader.note("max_hold", reason="LIMIT_FIELD_IDLE", problem=problem)
    return None


def _read_thresholds(reader: FieldReader) -> tuple[Decimal, ...]:
    if not reader.has("thresholds"):
        return THRESHOLDS_DEFAULT
    shares = tuple(reader.values("thresholds", quantity))
    if len(shares) > THRESHOLDS_MAX or any(not 0 < share <= THRESHOLD_MAX for share in shares):
        problem = (
            f"thresholds are up to {THRESHOLDS_MAX} shares of the limit, above 0 and up to "
            f'{THRESHOLD_MAX}: write ["0.8", "1"] for 80 % and 100 %'
        )
        reader.note("thresholds", reason="THRESHOLDS_MALFORMED", problem=problem)
    return tuple(sorted(set(shares)))


def _amount_reader(subject: LimitSubject) -> Callable[[Node], Decimal]:
    is_money = subject in (LimitSubject.MONEY, LimitSubject.BALANCE)
    return _money if is_money else quantity


def _money(node: Node) -> Decimal:
    amount = price(node)
    if amount != round(amount, MONEY_DECIMALS):
        problem = f"money in limits has at most {MONEY_DECIMALS} digits after the point"
        raise FieldMistake("AMOUNT_TOO_PRECISE", problem)
    return amount


def _hold(node: Node) -> timedelta:
    length = parse_duration(text(node))
    if not timedelta(seconds=1) <= length <= HOLD_MAX or length % timedelta(seconds=1):
        raise FieldMistake("DURATION_OUT_OF_RANGE", "write whole seconds, from PT1S to P1D")
    return length


def _window(node: Node) -> LimitWindow:
    word = text(node)
    if word in set(WindowUnit) - {WindowUnit.ROLLING}:
        return LimitWindow(WindowUnit(word))
    if not word.startswith("rolling"):
        raise not_a_choice(word, known=_WINDOW_NAMES, later={}, reason="LIMIT_WINDOW_UNKNOWN")
    match = _ROLLING.fullmatch(word)
    length = timedelta(0)
    if match is not None:
        length = timedelta(minutes=int(match[1]) * _MINUTES[match[2]])
    if not timedelta(0) < length <= ROLLING_MAX:
        problem = f"{word!r}: write rolling:30m, rolling:5h or rolling:7d, up to rolling:90d"
        raise FieldMistake("LIMIT_WINDOW_UNKNOWN", problem)
    return LimitWindow(WindowUnit.ROLLING, length)


def _balance_name(node: Node) -> str:
    if text(node) != BALANCE_NAME:
        problem = (
            f"the one balance of this version is {BALANCE_NAME}; write balance: {BALANCE_NAME}"
        )
        raise FieldMistake("BALANCE_UNKNOWN", problem)
    return BALANCE_NAME
