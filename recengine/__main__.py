"""`python -m recengine`."""

import signal
import sys
from typing import NoReturn

from recengine.cli import main


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


signal.signal(signal.SIGTERM, _interrupt)  # so that a stopped command removes what is half made
sys.exit(main())
