"""Pages of the reference that are written from the code, so that they can't say anything else than it does."""
