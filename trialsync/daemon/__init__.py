"""The service: schedules, signals, and what the supervisor is told."""
