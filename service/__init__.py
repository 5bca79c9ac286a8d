"""The record of who asked and what happened: API, dispatcher, database and dashboard. Knows workers and s2e."""
