"""A visitor who holds every answer of the API against its OpenAPI document."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jsonschema_rs
from visiting import NOW, PATIENT, Visitor, settings_of

from trialsync.web.app import make_app

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from trialsync.settings import Settings


@dataclass(kw_only=True)
class ApiVisitor(Visitor):
    """Asks as Visitor does; an answer that the document does not promise is an AssertionError."""

    settings: Settings
    _document: dict[str, Any] = field(default_factory=dict)

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        """Return the response to a request, held against the document."""
        response = super().ask(method, path, headers)
        if not self._document:
            self._document = super().ask("GET", "/api/openapi.json").json()
        if path.startswith("/api/") and not path.startswith("/api/openapi"):
            self._hold(method, path.partition("?")[0], response)
        return response

    def _hold(self, method: str, path: str, response: httpx.Response) -> None:
        operation = self._operation(path)
        promised = operation["responses"].get(str(response.status_code))
        assert promised is not None, f"{path} does not promise {response.status_code}"
        if "$ref" in promised:
            promised = self._document["components"]["responses"][promised["$ref"].rpartition("/")[2]]
        if method == "HEAD" or response.status_code == 304:
            assert response.content == b""
            return
        media_type = response.headers["content-type"].partition(";")[0]
        assert media_type in promised["content"]
        for name in promised.get("headers", {}):
            assert name == "Link" or name in response.headers
        if media_type.endswith("json"):
            schema = promised["content"][media_type]["schema"]
            validator = jsonschema_rs.Draft202012Validator({**schema, "components": self._document["components"]}, validate_formats=True)
            faults = [f"{list(error.instance_path)}: {error.message}" for error in validator.iter_errors(json.loads(response.content))]
            assert not faults, faults

    def _operation(self, path: str) -> dict[str, Any]:
        fixed: dict[str, Any] = self._document["paths"].get(path, {})
        if fixed:
            return dict(fixed["get"])
        for template, found in self._document["paths"].items():
            if "{" in template and re.fullmatch(re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(template)), path):
                return dict(found["get"])
        raise AssertionError(f"the document does not know {path}")


def over(store: Path, folder: Path, text: str = "", *, limit_seconds: float = PATIENT) -> ApiVisitor:
    """Return such a visitor of a store, with a settings file of this text in a folder; a request may be at work for so many seconds."""
    settings = settings_of(folder, text)
    return ApiVisitor(make_app(store, settings, now=lambda: NOW, limit_seconds=limit_seconds), settings=settings)
