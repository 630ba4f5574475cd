"""Unedit: make a language model forget, by editing it to answer honestly that it doesn't know."""

__version__ = "0.1.0"
