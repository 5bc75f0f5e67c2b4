"""The command line: `larp`, or `python -m larp_core`."""
