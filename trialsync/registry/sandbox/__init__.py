"""A stand-in for the ClinicalTrials.gov v2 API, replaying dated loads."""

from trialsync.registry.sandbox.faults import Fault
from trialsync.registry.sandbox.loads import LoadLine, packaged_loads, read_loads
from trialsync.registry.sandbox.record_history import PastLine, packaged_past
from trialsync.registry.sandbox.server import SandboxServer, serve
from trialsync.registry.sandbox.stand_in import Sandbox, Served

__all__ = ["Fault", "LoadLine", "PastLine", "Sandbox", "SandboxServer", "Served", "packaged_loads", "packaged_past", "read_loads", "serve"]
