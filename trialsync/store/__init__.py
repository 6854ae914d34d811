"""One SQLite file: versions, the change log, watches and polls."""
