"""`billing-server catalog import-model-prices`."""

import builtins
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)
from typer.testing import CliRunner

from billing_server.cli import model_prices as module
from billing_server.cli.app import app
from billing_server.domain.catalog.parse import parse_catalog

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def model(name: str, prices: Any, **fields: Any) -> ModelInfo:
    return ModelInfo(id=name, match=ClauseEquals(equals=name), prices=prices, **fields)


def price(**usd_a_million: str) -> ModelPrice:
    return ModelPrice(**{key: Decimal(value) for key, value in usd_a_million.items()})


PLAIN = price(input_mtok="2", cache_read_mtok="0.5", output_mtok="8")
PROVIDERS = {
    "acme-ai": Provider(
        id="acme-ai",
        name="Acme AI",
        api_pattern="",
        models=[
            model("plain", PLAIN),
            model("old", PLAIN, deprecated=True),
            model("speech", ModelPrice(input_mtok=Decimal(1))),
            model(
                "long",
                ModelPrice(
                    input_mtok=TieredPrices(base=Decimal(1), tiers=[Tier(200_000, Decimal(2))]),
                    output_mtok=Decimal(4),
                ),
            ),
            model(
                "changed",
                [
                    ConditionalPrice(prices=price(input_mtok="9", output_mtok="9")),
                    ConditionalPrice(
                        constraint=StartDateConstraint(start_date=date(2026, 1, 1)),
                        prices=price(input_mtok="3", output_mtok="6"),
                    ),
                    ConditionalPrice(
                        constraint=TimeOfDateConstraint(start_time=time(0), end_time=time(23)),
                        prices=price(input_mtok="1", output_mtok="1"),
                    ),
                    ConditionalPrice(
                        constraint=StartDateConstraint(start_date=date(2027, 1, 1)),
                        prices=price(input_mtok="5", output_mtok="5"),
                    ),
                ],
            ),
        ],
    )
}


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_known_providers", lambda: PROVIDERS)


@pytest.mark.usefixtures("known")
def test_costs_are_those_of_a_token_on_that_day_whatever_the_hour() -> None:
    costs, remarks = module.read_costs(["acme-ai"], models=[], at=NOW)
    assert [(each.model, each.input_cost, each.output_cost) for each in costs] == [
        ("plain", Decimal("0.000002"), Decimal("0.000008")),
        ("long", Decimal("0.000001"), Decimal("0.000004")),
        ("changed", Decimal("0.000003"), Decimal("0.000006")),
    ]
    assert costs[0].cached_input_cost == Decimal("0.0000005")
    assert remarks == [
        "left out, has no price of input and output tokens: speech",
        "costs more for long requests, the price for short ones is used: long",
    ]
    # Before any condition holds, and one that is named though it is deprecated.
    old, _ = module.read_costs(
        ["acme-ai"], models=["changed", "old"], at=datetime(2025, 1, 1, tzinfo=UTC)
    )
    assert [each.input_cost for each in old] == [Decimal("0.000009"), Decimal("0.000002")]


@pytest.mark.usefixtures("known")
def test_the_book_is_written_as_a_catalog_that_applies(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    words = ["catalog", "import-model-prices", "--margin", "0.2", "--provider", "acme-ai"]
    done = CliRunner().invoke(app, [*words, "-o", str(path)])
    assert done.exit_code == 0
    assert "3 models written" in done.stdout
    catalog = parse_catalog(path.read_text(), name="models.yaml")
    assert catalog.plans[0].key == "models"
    # 2 a million / 0.8 = 2.5 a million.
    assert "unit_price: '0.0000025'" in path.read_text()
    printed = CliRunner().invoke(app, [*words, "--plan", "tokens", "--model", "plain"])
    assert parse_catalog(printed.stdout, name="-").plans[0].key == "tokens"


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--provider", "acme"], "'acme' is not known; use some of: acme-ai"),
        (["--provider", "acme-ai", "--model", "gone"], "none of the providers has 'gone'"),
        (["--provider", "acme-ai", "-o", "/nowhere/x.yaml"], "cannot be written"),
    ],
)
def test_what_is_not_there_is_named(words: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["catalog", "import-model-prices", "--margin", "0.2", *words])
    assert done.exit_code == 1
    assert said in done.output


def test_the_package_that_is_installed_makes_a_book_of_its_own() -> None:
    words = ["--margin", "0.3", "--provider", "openai", "--provider", "anthropic", "--by-provider"]
    done = CliRunner().invoke(app, ["catalog", "import-model-prices", *words])
    assert done.exit_code == 0
    (plan,) = parse_catalog(done.stdout, name="models.yaml").plans
    assert all(each.unit_cost is not None for each in plan.usage_prices)
    assert {each.where["provider"] for each in plan.usage_prices} == {"openai", "anthropic"}


def test_without_the_extra_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name.startswith("genai_prices"):
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    done = CliRunner().invoke(
        app, ["catalog", "import-model-prices", "--margin", "0", "--provider", "openai"]
    )
    assert done.exit_code == 1
    assert "pip install 'meter-agent[prices]'" in done.output
