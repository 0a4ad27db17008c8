"""Quotes: the engine's pure functions for anybody to try, without a database."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from billing_server.domain.document import (
    ListNode,
    MapNode,
    Node,
    check_size,
    load_json,
    load_yaml,
    node_from_plain,
)
from billing_server.domain.fields import FieldReader, Mistakes
from billing_server.domain.quote_period import quote_period, quote_proration
from billing_server.domain.quote_price import QUOTE_INVALID, KnownPrices, quote_price
from metering.errors import FieldViolation, MeteringError, ValidationError

DOCUMENT_BYTES_MAX: Final = 64 * 1024 * 1024
"""Longest JSON or JSON Lines text of quotes; some 300,000 of them."""

_PRICE: Final = "price"
_PURE_KINDS: Final[Mapping[str, Callable[[FieldReader], dict[str, object]]]] = {
    "period": quote_period,
    "proration": quote_proration,
}
_KINDS: Final = (_PRICE, *_PURE_KINDS)
"""The fields that make a request of each kind."""


@dataclass(frozen=True, slots=True)
class QuoteReport:
    """The results of a document, in its order."""

    results: tuple[dict[str, object], ...]
    """One a request; a bad one is `{"error": {"reason", "message", "field"}}`."""
    error_count: int
    """How many of them are errors."""

    @property
    def is_ok(self) -> bool:
        """Whether every request was answered."""
        return self.error_count == 0


def quote(request: Mapping[str, object]) -> dict[str, object]:
    """Answers one request of plain values.

    Raises:
        ValidationError: with every mistake of the request as a violation.
    """
    return quote_node(node_from_plain(request))


def quote_node(
    request: Node, *, name: str = "request", known: KnownPrices | None = None
) -> dict[str, object]:
    """Answers one request of located values.

    Args:
        request: one of the three kinds, by its field `price`, `period` or `proration`.
        name: of the text that it stands in, for messages.
        known: prices of the requests before it; None: it stands alone.

    Raises:
        ValidationError: with every mistake of the request as a violation.
    """
    reader = FieldReader(request, path="", mistakes=Mistakes(name))
    kinds = [kind for kind in _KINDS if isinstance(request, MapNode) and kind in request.entries]
    if len(kinds) != 1:
        problem = f"a request has exactly one of the fields {', '.join(_KINDS)}"
        if isinstance(request, MapNode):
            place = kinds[-1] if kinds else "price"
            reader.note(place, reason="QUOTE_KIND_UNKNOWN", problem=problem)
        reader.mistakes.raise_if_any(reason=QUOTE_INVALID)
    (kind,) = kinds
    if kind == _PRICE:
        return quote_price(reader, known=KnownPrices() if known is None else known)
    return _PURE_KINDS[kind](reader)


def quote_document(text: str, *, name: str = "request") -> QuoteReport:
    """Answers every request of a text: a JSON or YAML object or list, or JSON Lines.

    Args:
        text: at most 64 MiB of JSON, 1 MiB of YAML.
        name: of the text, for messages.
    """
    results = []
    error_count = 0
    known = KnownPrices()
    for request in _requests(text, name=name):
        if isinstance(request, MeteringError):
            result = _error(request)
        else:
            result = _answer(request, name=name, known=known)
        error_count += "error" in result
        results.append(result)
    return QuoteReport(tuple(results), error_count)


def _answer(request: Node, *, name: str, known: KnownPrices) -> dict[str, object]:
    try:
        return quote_node(request, name=name, known=known)
    except MeteringError as error:
        return _error(error)


def _error(error: MeteringError) -> dict[str, object]:
    violations = error.violations or (FieldViolation("", error.message, error.reason),)
    return {
        "error": {
            "reason": violations[0].reason or error.reason,
            "message": error.message,
            "field": violations[0].field,
        }
    }


def _requests(text: str, *, name: str) -> Iterator[Node | MeteringError]:
    """Yields the requests of a text, or in a request's place what is wrong with it."""
    try:
        check_size(text, name=name, bytes_max=DOCUMENT_BYTES_MAX)
        document = _load(text, name=name)
    except MeteringError as error:
        yield error
        return
    if document is None:
        yield from _json_lines(text, name=name)
    elif isinstance(document, ListNode):
        yield from document.items
    else:
        yield document


def _load(text: str, *, name: str) -> Node | None:
    """Reads a text as one JSON or YAML value; None where it is JSON Lines."""
    json_error = None
    if text.lstrip().startswith(("{", "[")):
        try:
            return load_json(text, name=name, bytes_max=DOCUMENT_BYTES_MAX)
        except ValidationError as error:
            if error.reason != "DOCUMENT_MALFORMED":
                raise
            json_error = error
    if _is_json_lines(text, name=name):
        return None
    try:
        return load_yaml(text, name=name)  # YAML may begin with a bracket as well.
    except ValidationError as error:
        raise json_error or error from None


def _is_json_lines(text: str, *, name: str) -> bool:
    """Whether a text that is no JSON as a whole holds an object on a line of its own."""
    if text.lstrip().startswith("["):
        return False
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) > 1 and any(_is_json_object(line, name=name) for line in lines)


def _is_json_object(line: str, *, name: str) -> bool:
    if not line.lstrip().startswith("{"):
        return False
    try:
        return isinstance(load_json(line, name=name), MapNode)
    except ValidationError:
        return False


def _json_lines(text: str, *, name: str) -> Iterator[Node | MeteringError]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            yield load_json(line, name=name, line=number)
        except ValidationError as error:
            yield error
