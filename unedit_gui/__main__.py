"""`python -m unedit_gui`: the command line. See `python -m unedit_gui --help`."""

import sys

from unedit_gui.cli import main

sys.exit(main())
