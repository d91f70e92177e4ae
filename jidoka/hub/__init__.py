"""Telling what has happened. The hub tells and never decides."""
