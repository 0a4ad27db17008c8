"""`billing-server catalog import-model-prices`: a price book from what providers charge."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from billing_server.cli.errors import ReportingGroup
from billing_server.domain.catalog.model_prices import (
    ModelCost,
    ModelDimensions,
    PriceBookTerms,
    price_book,
)
from metering.errors import InvalidStateError, NotFoundError, ValidationError
from metering.money import parse_price

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

TOKENS_PER_PRICE = Decimal(1_000_000)
"""Costs are said for a million tokens."""

app = typer.Typer(
    cls=ReportingGroup,
    no_args_is_help=True,
    help="Show and export what is applied; make a catalog of model prices.",
    rich_markup_mode=None,
)


@app.callback()
def catalog_group() -> None:
    """Make catalogs."""


@app.command("import-model-prices")
def import_model_prices_command(
    *,
    margin: Annotated[
        str, typer.Option(help='Part of each price that stays with you: "0.2" is 20 %.')
    ],
    provider: Annotated[
        list[str], typer.Option(help="Whose models, such as openai; may stand several times.")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(help="As your events name it; may stand several times. Left out: all."),
    ] = None,
    plan: Annotated[str, typer.Option(help="Key of the plan.")] = "models",
    by_provider: Annotated[
        bool,
        typer.Option("--by-provider", help="Events carry a dimension provider beside the model."),
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Left out: standard output.")
    ] = None,
) -> None:
    """Write a catalog with token prices by model, from the package genai-prices.

    Needs the extra `prices`. Each price carries what the provider charges as unit_cost, so that
    margins are shown beside charges. Read it, change it, apply it.

    Example: billing-server catalog import-model-prices --margin 0.2 --provider openai -o m.yaml
    """
    terms = PriceBookTerms(
        plan_key=plan,
        margin=Fraction(parse_price(margin)),
        dimensions=ModelDimensions.PROVIDER_AND_MODEL if by_provider else ModelDimensions.MODEL,
    )
    costs, remarks = read_costs(provider, models=model or [], at=datetime.now(UTC))
    text = catalog_text(price_book(costs, terms=terms), margin=margin, remarks=remarks)
    if output is None:
        print(text, end="")
        return
    _write(output, text=text)
    count = "1 model" if len(costs) == 1 else f"{len(costs)} models"
    print(f"{count} written to {output}; next: billing-server apply {output} --dry-run")


def read_costs(
    providers: Sequence[str], *, models: Sequence[str], at: datetime
) -> tuple[list[ModelCost], list[str]]:
    """Return what models cost at an instant, and what the reader of the catalog should know.

    Raises:
        InvalidStateError: EXTRA_MISSING, the package genai-prices is not installed.
        NotFoundError: PROVIDER_UNKNOWN, MODEL_UNKNOWN.
    """
    known = _known_providers()
    unknown = [name for name in providers if name not in known]
    if unknown:
        raise NotFoundError(
            reason="PROVIDER_UNKNOWN",
            message=f"provider: {unknown[0]!r} is not known; use some of: {', '.join(known)}",
        )
    wanted = [
        (known[name], model_name, info)
        for name in dict.fromkeys(providers)
        for model_name, info in _wanted_models(known[name], models=models)
    ]
    found = {model_name for _, model_name, _ in wanted}
    missing = [name for name in models if name not in found]
    if missing:
        raise NotFoundError(
            reason="MODEL_UNKNOWN",
            message=f"model: none of the providers has {', '.join(map(repr, missing))}",
        )
    costs: list[ModelCost] = []
    remarks: list[str] = []
    for owner, model_name, info in wanted:
        cost, remark = _cost_of(owner, name=model_name, info=info, at=at)
        costs += [] if cost is None else [cost]
        remarks += [] if remark is None else [remark]
    return costs, remarks


def catalog_text(catalog: dict[str, object], *, margin: str, remarks: Sequence[str]) -> str:
    """Return a catalog as YAML, headed by where its numbers come from."""
    import yaml

    version = _package_version()
    heading = [
        f"Token prices by model from genai-prices {version}, margin {margin} of each price.",
        "Costs are what providers publish; check them against your own contracts.",
        "input_tokens are those that were not read from a cache: events carry cached ones in",
        "cached_input_tokens, and no token stands in both.",
        *remarks,
    ]
    comment = "".join(f"# {line}\n" for line in heading)
    body = yaml.safe_dump(catalog, sort_keys=False, allow_unicode=True, width=1000)
    return comment + body


def _known_providers() -> dict[str, "Provider"]:
    try:
        from genai_prices.data import providers
    except ImportError as error:
        raise InvalidStateError(
            reason="EXTRA_MISSING",
            message="the package genai-prices is not installed: pip install 'meter-agent[prices]'",
        ) from error
    return {provider.id: provider for provider in providers}


def _package_version() -> str:
    from importlib.metadata import version

    return version("genai-prices")


def _wanted_models(provider: "Provider", *, models: Sequence[str]) -> list[tuple[str, "ModelInfo"]]:
    """Return models under the names that events carry; an alias stands for the model it names."""
    if not models:
        return [(info.id, info) for info in provider.models if not info.deprecated]
    found = [(name, provider.find_model(name)) for name in dict.fromkeys(models)]
    return [(name, info) for name, info in found if info is not None]


def _cost_of(
    provider: "Provider", *, name: str, info: "ModelInfo", at: datetime
) -> tuple[ModelCost | None, str | None]:
    """Return a model's cost, and a remark where it is not the whole truth."""
    prices = _standing_prices(info, at=at)
    values = [prices.input_mtok, prices.cache_read_mtok, prices.output_mtok]
    plain = [_base(value) for value in values]
    input_cost, cached_cost, output_cost = plain
    if input_cost is None or output_cost is None:
        return None, f"left out, has no price of input and output tokens: {name}"
    cost = ModelCost(
        provider=provider.id,
        model=name,
        input_cost=input_cost,
        cached_input_cost=cached_cost,
        output_cost=output_cost,
    )
    has_tiers = any(hasattr(value, "base") for value in values)
    remark = f"costs more for long requests, the price for short ones is used: {name}"
    return cost, remark if has_tiers else None


def _standing_prices(info: "ModelInfo", *, at: datetime) -> "ModelPrice":
    """Return the prices of an instant, whatever the time of day: a discount at night is no price.

    Later conditions go before earlier ones; where none holds, the first prices do.
    """
    from genai_prices.types import ModelPrice, TimeOfDateConstraint

    if isinstance(info.prices, ModelPrice):
        return info.prices
    for conditional in reversed(info.prices):
        constraint = conditional.constraint
        if constraint is None:
            return conditional.prices
        if not isinstance(constraint, TimeOfDateConstraint) and constraint.active(at):
            return conditional.prices
    return info.prices[0].prices


def _base(value: Any) -> Decimal | None:
    """Return what a token costs: of a price by the length of the request, that of a short one."""
    base = getattr(value, "base", value)
    return None if base is None else Decimal(base) / TOKENS_PER_PRICE


def _write(path: Path, *, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ValidationError(
            reason="FILE_UNWRITABLE", message=f"{path}: cannot be written: {error.strerror}"
        ) from error
