"""Who asked, and what happened: API, dispatcher, store and dashboard. Knows workers and s2e."""
