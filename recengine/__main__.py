"""`python -m recengine`."""

import sys

from recengine.cli import main

sys.exit(main())
