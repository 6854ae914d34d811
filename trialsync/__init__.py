"""``git log`` for the clinical-trial registry: follow studies, keep every version, ask what changed."""

from importlib.metadata import version

__version__ = version("trialsync")
