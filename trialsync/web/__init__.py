"""The web pages and the HTTP API: thin faces that read the store and hand values to publish."""
