"""The local interface described for programs: OpenAPI 3.1, made from the very types that check the arguments.

Source: docs/spec/api.md; https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec

from tallystick import __version__
from tallystick.node.reads import POSTED, READ_ARGS
from tallystick.node.service_args import OWN_ARGS
from tallystick.node.writes import WRITES

_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "hint", "exit_code"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "hint": {"type": "string"},
                "exit_code": {"type": "integer"},
            },
        }
    },
}
_REFUSED: Final = {
    "description": "Refused: `code` says why, in one word",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
}
#: Statuses of refusals; see `api`.
_STATUSES: Final = ("400", "401", "403", "404", "405", "409", "413", "415", "421", "422", "423", "500", "503")
_TOKEN: Final = {
    "type": "http",
    "scheme": "bearer",
    "description": "On TCP only: the token in run/api.json of the home, see docs/spec/api.md#on-tcp",
}
_WRITTEN: Final = {
    "type": "object",
    "required": ["kind", "status"],
    "properties": {
        "entry": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "kind": {"type": "string"},
        "status": {"enum": ["pending", "sealed", "void"]},
        "reason": {"type": ["string", "null"]},
        "deal": {"type": ["string", "null"]},
        "height": {"type": ["integer", "null"]},
        "ticket": {"type": "string"},
        "waits_for": {"type": "array"},
        "waits_for_least": {"type": "integer"},
        "warnings": {"type": "array", "items": {"type": "string"}},
    },
}


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """The whole description."""
    kinds = [*READ_ARGS.values(), *(kind for kind, _ in WRITES.values()), *OWN_ARGS.values()]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    of = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, Any] = {}
    for name, read in sorted(READ_ARGS.items()):
        if name in POSTED:
            paths[f"/v1/{name}"] = {"post": _post(name, of[read], {"type": "object"})}
            continue
        needed = any(field.required for field in msgspec.structs.fields(read))
        paths[f"/v1/{name}"] = {"get": _read(name, of[read], needed=needed)}
    for name, (write, _) in sorted(WRITES.items()):
        paths[f"/v1/{name}"] = {"post": _post(name, of[write], {"$ref": "#/components/schemas/Written"})}
    for name, own in sorted(OWN_ARGS.items()):
        paths[f"/v1/{name}"] = {"post": _post(name, of[own], {"type": ["object", "array"]})}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tallystick, the local interface of a node", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {**components, "Error": _ERROR, "Written": _WRITTEN},
            "securitySchemes": {"token": _TOKEN},
        },
        # On TCP; whoever can open the Unix socket is the owner.
        "security": [{"token": []}],
    }


def _answers(schema: dict[str, Any]) -> dict[str, Any]:
    done = {"description": "Done", "content": {"application/json": {"schema": schema}}}
    return {"200": done, **dict.fromkeys(_STATUSES, _REFUSED)}


def _read(name: str, schema: dict[str, Any], *, needed: bool) -> dict[str, Any]:
    args = {
        "name": "args",
        "in": "query",
        "required": needed,
        "description": "The arguments, as one JSON object",
        "content": {"application/json": {"schema": schema}},
    }
    return {
        "operationId": f"get_{name}",
        "parameters": [args],
        "responses": _answers({"type": ["object", "array"]}),
    }


def _post(name: str, schema: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": f"post_{name.replace('-', '_')}",
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": _answers(answer),
    }
