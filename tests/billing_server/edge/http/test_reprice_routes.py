"""`/v1/plans/{key}/reprice`."""

import pytest

from billing_server.services.move_clock import advance_clock
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from tests.billing_server.world import CATALOG, Api, Usage, apply, make_context

PATH = "/v1/plans/pro/reprice"
BODY = {"from": "2026-01-31T10:00:00Z", "dry_run": True}


@pytest.fixture
def api(memory_store: SqlStore) -> Api:
    api = Api(make_context(memory_store))
    apply(api.context, CATALOG)
    Usage(api.context).send("1500", at="2026-02-01T00:00:00Z")
    advance_clock(api.context, to=parse_instant("2026-03-01T00:00:00Z"))
    apply(api.context, CATALOG.replace('"0.01"', '"0.004"'))
    return api


def test_a_dry_run_tells_what_makes_invoices_right(api: Api) -> None:
    answer = api.post(PATH, BODY).json()
    assert (answer["dry_run"], answer["next_cursor"]) == (True, None)
    (found,) = answer["data"]
    assert found["invoiced"] == [
        {
            "price": "tokens",
            "period": {"start": "2026-01-31T10:00:00Z", "end": "2026-02-28T10:00:00Z"},
            "invoices": ["INV-000002"],
            "invoiced": "5.00",
            "late": "0.00",
            "corrected": "2.00",
            "difference": "-3.00",
            "tax": "0.00",
            "proposal": "credit_note",
        }
    ]
    assert (found["subscription"], found["to_version"], found["applied_from"]) == ("sub-1", 2, None)


def test_without_it_open_periods_are_priced_anew(api: Api) -> None:
    (found,) = api.post(PATH, BODY | {"dry_run": False}).json()["data"]
    assert found["applied_from"] == "2026-02-28T10:00:00Z"
    assert [each["difference"] for each in found["open"]] == ["0.00"]


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("/v1/plans/gone/reprice", BODY, 404, "PLAN_NOT_FOUND"),
        (PATH, BODY | {"from": "yesterday"}, 400, "INSTANT_MALFORMED"),
        (PATH, {"dry_run": True}, 400, "REQUEST_INVALID"),
        (PATH, BODY | {"since": "x"}, 400, "REQUEST_INVALID"),
    ],
)
def test_what_is_wrong_has_its_reason(
    api: Api, path: str, body: dict[str, object], status: int, reason: str
) -> None:
    response = api.post(path, body)
    assert (response.status_code, response.json()["reason"]) == (status, reason)
