"""OpenAPI 3.1, written from the table of endpoints: the same msgspec types that validate also describe.

Owns the document and the endpoint that serves it. It adds nothing that the table does not say.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from app.http.endpoint import Call, Endpoint, Reply
from app.http.problems import PROBLEM_TYPE, Problem
from app.person import Right

_PARAMETER: Final = re.compile(r"\{(\w+)(?::\w+)?\}")
VERSION: Final = "1"  # of the interface: it grows when a caller must change
_REF: Final = "#/components/schemas/{name}"


def _operation_id(endpoint: Endpoint) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", "_", endpoint.path).strip("_")
    return f"{endpoint.method.lower()}_{words}"


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    text = {"type": "string"}
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": text} for name in _PARAMETER.findall(endpoint.path)
    ]
    found += [{"name": name, "in": "query", "required": True, "schema": text} for name in endpoint.query]
    if endpoint.idempotent:
        schema = {"type": "string", "minLength": 1, "maxLength": 255}
        found.append({"name": "Idempotency-Key", "in": "header", "required": True, "schema": schema})
    return found


def _request_body(endpoint: Endpoint, schema: Any) -> dict[str, Any]:
    content = {kind: {"schema": schema} if schema else {} for kind in endpoint.content_types}
    return {"required": True, "content": content}


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The OpenAPI document of the endpoints, in the order of the table."""
    typed = [one for one in endpoints if one.path != "/openapi.json"]
    types: list[Any] = [Problem]
    for one in typed:
        types += [kind for kind in (one.body, one.answer) if kind not in (None, bytes)]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    schema_of = {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    problem = {"description": "Refused", "content": {PROBLEM_TYPE: {"schema": schemas[0]}}}
    paths: dict[str, dict[str, Any]] = {}
    for one in typed:
        answer = schema_of.get(id(one.answer))
        success: dict[str, Any] = {"description": "Done"}
        if answer is not None:
            success["content"] = {"application/json": {"schema": answer}}
        operation: dict[str, Any] = {
            "operationId": _operation_id(one),
            "summary": one.summary,
            "description": f"Right: {one.right.value}",
            "parameters": _parameters(one),
            "responses": {"2XX": success, "4XX": problem, "5XX": problem},
            "security": [{}] if one.right is Right.ANYONE else [{"cookie": [], "csrf": []}, {"bearer": []}],
        }
        if one.body is not None:
            operation["requestBody"] = _request_body(one, schema_of.get(id(one.body)))
        paths.setdefault(_PARAMETER.sub(r"{\1}", one.path), {})[one.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hawker", "version": VERSION},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "cookie": {"type": "apiKey", "in": "cookie", "name": "__Host-hawker"},
                "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRF-Token"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def openapi_endpoint(endpoints: Sequence[Endpoint]) -> Endpoint:
    """GET /openapi.json over the given endpoints; the document is encoded once."""
    encoded = msgspec.json.encode(document(endpoints))

    async def show(call: Call) -> Reply:
        del call
        return Reply(body=encoded, headers={"Cache-Control": "no-cache"})

    return Endpoint(
        method="GET", path="/openapi.json", right=Right.ANYONE, action=show, summary="This interface, described"
    )
