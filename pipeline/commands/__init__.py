"""One module per command: its options, one call, a summary."""
