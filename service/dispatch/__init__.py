"""The dispatcher: advances jobs, one durable step at a time."""
