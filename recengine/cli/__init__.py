"""The command line: the package's functions, with tables, CSV and JSON around them.

Results go to standard output, everything else to standard error. Exit status: 0 done, 1 failed, 2 bad input.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from recengine import settings
from recengine.cli.arguments import UsageError, flag_of
from recengine.cli.common import open_model_folder
from recengine.cli.parser import build_parser
from recengine.cli.reporter import Reporter
from recengine.errors import BadInput
from recengine.export import check_out
from recengine.files import STANDARD_OUTPUT, open_descriptor


def run() -> NoReturn:
    """Run the command of this process and end it: `recengine` and `python -m recengine`."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)  # so that a stopped command removes what is half made
    sys.exit(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    for name in ("stdout", "stderr"):  # closed by whoever started us; a note would go to the other one then
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for good
    reporter = Reporter()
    flag: Callable[[str], str] = str
    try:
        options = build_parser().parse_args(arguments)
        flag = flag_of(options.command)
        reporter = Reporter(as_json=options.json, quiet=options.quiet, progress=options.progress)
        if getattr(options, "out", None) is not None:
            check_out(options.out, endings=options.out_endings)  # now, not after an hour of training
            reporter.results_elsewhere = open_descriptor(options.out) == STANDARD_OUTPUT
            if reporter.results_elsewhere and options.json:
                remedy = "leave `json` out, or name a file"
                raise BadInput("out", str(options.out), remedy=remedy, problem="is where the JSON object goes")
        open_model_folder(options)
        options.run(options, reporter)
        _flush()
    except BadInput as error:
        reporter.error(error.sentence(flag))
        return 2
    except UsageError as error:
        reporter.error(str(error))
        return 2
    except KeyboardInterrupt:
        reporter.error("interrupted; nothing half-made was kept")
        return 1
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        _drop_output()
        return 1
    except Exception as error:  # the terminal gets one line; RECENGINE_DEBUG shows the rest
        home = settings.home_error(error) if isinstance(error, OSError) else None
        if settings.debug():
            raise
        reporter.error(home.sentence(flag) if home else f"{type(error).__name__}: {error}", "" if home else "failed: ")
        return 2 if home else 1
    return 0


def _flush() -> None:
    """Write what is left of the output now, when a full disk can still be reported."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError:
        _drop_output()
        raise


def _drop_output() -> None:
    """Let nothing more be written to standard output, neither by us nor at the end of the process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
