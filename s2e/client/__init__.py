"""The client of a service: HTTP, and a wrapper for your own training loop."""
