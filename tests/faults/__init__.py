"""Faults of machines and people, and what is promised for each: docs/reliability.md is the table of them."""
