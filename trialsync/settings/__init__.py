"""The settings: one TOML file, checked key by key, and the variables that override it."""

from trialsync.settings.loading import ENVIRONMENT, Settings, load, place
from trialsync.settings.sections import API_URL, Log, Registry, Schedule, Site, Store, Sync, WatchTable, Web
from trialsync.settings.starter import starter

__all__ = [
    "API_URL",
    "ENVIRONMENT",
    "Log",
    "Registry",
    "Schedule",
    "Settings",
    "Site",
    "Store",
    "Sync",
    "WatchTable",
    "Web",
    "load",
    "place",
    "starter",
]
