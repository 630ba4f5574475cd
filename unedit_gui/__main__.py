"""`python -m unedit_gui`: the command line. See `python -m unedit_gui --help`."""

import sys

try:
    from unedit_gui.cli import main

    sys.exit(main())
except KeyboardInterrupt:  # while all this was imported, or in the last moment; in between `main` sees to it
    sys.stderr.write("Stopped.\n")
    sys.exit(1)
