"""Mistakes that a person can mend: one line that names the file, the field and the remedy."""

from __future__ import annotations


class UserError(ValueError):
    """Bad input or set-up. The message is shown to the user as it is, without a traceback."""
