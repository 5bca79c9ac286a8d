"""The API process: parse, call one function, return."""
