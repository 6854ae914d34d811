"""The settings: one TOML file, checked key by key, and the variables that override it."""

from trialsync.settings.loading import ENVIRONMENT, Settings, load, place
from trialsync.settings.printing import printed
from trialsync.settings.secret import HEARTBEAT_VARIABLE, Secret
from trialsync.settings.sections import Backup, Health, Log, Registry, Schedule, Site, Store, Sync, WatchTable, Web
from trialsync.settings.starter import starter
from trialsync.settings.values import API_URL

__all__ = [
    "API_URL",
    "ENVIRONMENT",
    "HEARTBEAT_VARIABLE",
    "Backup",
    "Health",
    "Log",
    "Registry",
    "Schedule",
    "Secret",
    "Settings",
    "Site",
    "Store",
    "Sync",
    "WatchTable",
    "Web",
    "load",
    "place",
    "printed",
    "starter",
]
