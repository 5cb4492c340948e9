"""One file per step; new ones are made by `alembic revision` and read before they are committed."""
