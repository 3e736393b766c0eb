"""The interface's description: complete, and no request that can be drawn from it breaks the service."""

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.accounts.views import Session
from app.http.credentials import SESSION_COOKIE
from tests.waiting import GUARD_S

# Signing in ends the browser's last session, so these are tried without it.
SIGN_IN = ("/api/session", "/api/accounts")
# These end what the others are tried on, so they come last.
LAST = ("/end", "/cancel")


RAW = ("application/sdp", "application/trickle-ice-sdpfrag", "image/jpeg", "image/png", "image/webp")


@pytest.fixture(scope="module")
def schemathesis():
    """The library, for these tests alone: each process of a run loads all files of tests, and it takes a second."""
    import schemathesis

    @schemathesis.serializer(*RAW)
    def raw_bytes(_, value) -> bytes:
        """What is drawn for a body that is no JSON: anything, in bytes."""
        return value if isinstance(value, bytes) else repr(value).encode("utf-8", "replace")

    return schemathesis


class Site:
    """A running Hawker, its demo host's session, and the ids of things that are there."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.http = httpx.Client(base_url=base_url, timeout=GUARD_S)
        answer = self.http.post("/api/session", json={"demo": "host"})
        secret = answer.headers["set-cookie"].split(";")[0].partition("=")[2]
        session = answer.json()
        self.headers = {"Cookie": f"{SESSION_COOKIE}={secret}", "X-CSRF-Token": session["csrf"]}
        shop = session["shops"][0]["id"]
        product = self.http.get("/api/products", params={"shop": shop}).json()["products"][0]
        show = self.http.get("/api/shows").json()["shows"][0]["id"]
        variant = product["variants"][0]
        self.ids = {
            "shop": shop,
            "show": show,
            "product": product["id"],
            "account": session["person"]["id"],
            "variant": variant["id"],
            "pool": variant["pool"],
        }

    def fill(self, case, fields: set[str]) -> None:
        """The host's own sign-in, real ids in the path, and in some fields of the body."""
        case.headers = {name: value for name, value in (case.headers or {}).items() if name.lower() != "authorization"}
        if case.path not in SIGN_IN:
            case.headers.update(self.headers)
        case.cookies = {}
        for name in (case.path_parameters or {}).keys() & self.ids.keys():
            case.path_parameters[name] = self.ids[name]
        if case.query and "shop" in fields:
            case.query["shop"] = self.ids["shop"]
        for name in fields & (case.body.keys() if isinstance(case.body, dict) else set()):
            case.body[name] = self.ids[name]


@pytest.fixture(scope="module")
def site(make_hawker):
    hawker = make_hawker()
    yield Site(hawker.base_url)
    hawker.stop()


def operations(site: Site, schemathesis) -> list:
    """Every operation of the description but signing out, the gentle ones first."""
    document = site.http.get("/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    schema = schemathesis.openapi.from_dict(document)
    found = [result.ok() for result in schema.get_all_operations()]
    found = [one for one in found if (one.method, one.path) != ("delete", "/api/session")]
    return sorted(found, key=lambda one: one.path.endswith(LAST))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("examples", [2, pytest.param(40, marks=pytest.mark.long)])
def test_no_drawn_request_breaks_the_service_and_answers_look_as_described(site, schemathesis, examples):
    from schemathesis.specs.openapi.checks import response_schema_conformance

    tried, seen = [], set()
    for operation in operations(site, schemathesis):

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(), fields=st.sets(st.sampled_from(sorted(site.ids))))
        def draw(case, fields):
            site.fill(case, fields)
            answer = case.call(base_url=site.base_url, timeout=GUARD_S)
            if case.path not in SIGN_IN:
                seen.add(answer.status_code)
            assert answer.status_code not in {500, 502}, case.as_curl_command()
            case.validate_response(answer, checks=[response_schema_conformance])

        draw()
        tried.append(operation)
    assert len(tried) > 40
    # Were the requests let in at all? Otherwise this test could not fail.
    assert seen >= {200, 201, 204, 400, 404, 409}
    assert 401 not in seen


def test_the_description_names_every_view_of_the_contract(site):
    document = site.http.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert {"Session", "Product", "Variant", "Show", "Sale", "Hold", "OrderView", "Problem"} <= schemas.keys()
    assert set(schemas["Session"]["properties"]) == set(Session.__struct_fields__)
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))
    for path in document["paths"].values():
        for operation in path.values():
            for one in operation.get("requestBody", {}).get("content", {}).values():
                name = one.get("schema", {}).get("$ref", "").rpartition("/")[2]
                assert not name or schemas[name]["additionalProperties"] is False, name
