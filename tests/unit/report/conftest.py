"""The tiny scored dataset's fixtures, see `scored_world`."""

from scored_world import paths, scored, scored_once, settings, trained

__all__ = ["paths", "scored", "scored_once", "settings", "trained"]
