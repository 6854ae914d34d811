"""The HTTP API: what the store can be asked, as JSON, CSV and JSON lines."""

from trialsync.web.api.routes import routes

__all__ = ["routes"]
