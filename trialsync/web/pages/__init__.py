"""The pages for people: HTML made on the server, that needs no script, no picture and nothing from elsewhere."""

from trialsync.web.pages.asking import tell
from trialsync.web.pages.routes import routes

__all__ = ["routes", "tell"]
