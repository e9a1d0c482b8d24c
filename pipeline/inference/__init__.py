"""Whole systems: from large images to labels of every pixel."""
