"""Everything that knows where a workspace lies and what is in it."""
