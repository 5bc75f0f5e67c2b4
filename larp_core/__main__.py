"""`python -m larp_core` is `larp`."""

import sys

from larp_core.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
