"""Whatever is sent, nothing breaks: the API by its own schema, query strings and forms by chance."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from desks import Server
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from tradewind.accounts import ANYBODY_HERE

PAGES = (
    "/", "/why", "/plan", "/ledger", "/ledger/{}", "/shops", "/products/{}", "/segments/{}", "/live/{}", "/studies/{}",
    "/data/{}", "/data/rejected", "/jobs", "/jobs/{}", "/search", "/sign-in", "/users", "/account", "/assets/{}", "/{}",
)  # fmt: skip
FORMS = (
    "/plan/gather", "/plan/verdict", "/plan/launch", "/studies/{}", "/jobs/{}/cancel", "/ledger/read",
    "/ledger/launches/{}/stop", "/sign-out", "/account/tokens", "/account/password", "/users", "/users/{}/disable",
)  # fmt: skip
FIELDS = (
    "period", "shop", "metric", "against", "q", "order", "limit", "offset", "csv", "chart", "picture", "platform",
    "rule", "merchant", "caution", "objective", "part", "curve", "payer", "before", "by", "seed", "verdict", "action",
    "reason", "back", "to", "next", "name", "days", "title",
)  # fmt: skip
TEXT = st.one_of(
    st.text(max_size=40),
    st.sampled_from(("", "0", "-1", "1e999", "nan", "last-28d", "9999-12-31", "0001-01-01..9999-12-31",
                     "../../etc/passwd", "'; DROP TABLE order_lines; --", "<script>alert(1)</script>",
                     "\x00", "%00", "𝔘", "a" * 300)),
)  # fmt: skip
QUERY = st.dictionaries(st.sampled_from(FIELDS), TEXT, max_size=4)
CALM = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True, "phases": (Phase.generate,)}


def whole(answer: Any) -> None:
    """Refuse an answer that broke, or tells how."""
    assert answer.status_code < 500, answer.text
    assert "Traceback" not in answer.text
    assert "<script>alert(1)" not in answer.text


@settings(max_examples=80, **CALM)
@given(page=st.sampled_from(PAGES), hole=TEXT, query=QUERY)
def test_no_query_string_breaks_a_page(here: Server, page: str, hole: str, query: dict[str, str]) -> None:
    path = page.format(quote(hole.encode("utf-8", "replace"), safe="") or "x")
    whole(here.client.get(path, params={key: value.encode("utf-8", "replace") for key, value in query.items()}))


@settings(max_examples=80, **CALM)
@given(page=st.sampled_from(FORMS), hole=TEXT, fields=QUERY, true=st.booleans())
def test_no_form_breaks_a_page(here: Server, page: str, hole: str, fields: dict[str, str], true: bool) -> None:
    path = page.format(quote(hole.encode("utf-8", "replace"), safe="") or "x")
    sent = {key: value.encode("utf-8", "replace") for key, value in fields.items()}
    if true:
        sent["form"] = here.form("/studies/performance").encode()
    whole(here.client.post(path, data=sent))
    for job in here.office.jobs.listed(ANYBODY_HERE)[0]:
        if not job.state.over:
            here.office.jobs.cancel(job.id, ANYBODY_HERE)


@pytest.fixture(scope="module")
def schema(here: Server) -> Any:
    """The API as it describes itself."""
    return schemathesis.openapi.from_dict(here.client.get("/api/v1/openapi.json").json())


def test_the_schema_is_sound(schema: Any) -> None:
    schema.validate()


def operations(server_schema: Any) -> list[Any]:
    return [found.ok() for found in server_schema.get_all_operations()]


def test_no_request_by_its_schema_breaks_the_api(here: Server, schema: Any) -> None:
    """Ask every operation what its schema allows, and what it does not."""
    for operation in operations(schema):
        if operation.path.endswith("/events"):
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @settings(max_examples=3, **CALM)
            @given(case=operation.as_strategy(generation_mode=mode))
            def asked(case: Any) -> None:
                said = case.as_transport_kwargs()
                answer = here.client.request(
                    case.method, said["url"].replace("http://localhost", "") or "/",
                    params=said.get("params"), json=said.get("json"), content=said.get("data"),
                    headers={k: v for k, v in (said.get("headers") or {}).items() if k.lower() == "content-type"},
                )  # fmt: skip
                assert answer.status_code < 500, f"{case.method} {said['url']}: {answer.text}"
                if answer.status_code >= 400:
                    assert set(answer.json()) == {"error"}, answer.text
                    assert set(answer.json()["error"]) == {"code", "what", "got", "allowed", "do"}

            with suppress(Unsatisfiable):  # nothing to send wrongly: the operation takes nothing
                asked()
    for job in here.office.jobs.listed(ANYBODY_HERE)[0]:
        if not job.state.over:
            here.office.jobs.cancel(job.id, ANYBODY_HERE)
