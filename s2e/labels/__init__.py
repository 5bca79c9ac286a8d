"""Labels that somebody gave: how wrong they are, which of them, and what a few trusted ones are worth."""
