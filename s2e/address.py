"""The default address of a service; apart from the client, whose libraries ``s2e --help`` leaves out."""

DEFAULT_URL = "http://127.0.0.1:8642"
