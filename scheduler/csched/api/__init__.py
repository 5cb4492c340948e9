"""The HTTP door: `/api/v1`, a dashboard, `/metrics` and `/healthz`. It renders what the store has."""
