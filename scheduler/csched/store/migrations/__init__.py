"""The history of the schema (Alembic); csched.store.database runs it when a database is opened."""
