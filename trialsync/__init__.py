"""``git log`` for the clinical-trial registry: follow studies, keep every version, ask what changed."""

__version__ = "0.1.0"
