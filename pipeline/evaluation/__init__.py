"""Scores: of one image, of upper bounds, of whole systems."""
