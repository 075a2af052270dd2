"""The command line: the package's functions, with tables, CSV and JSON around them.

Results go to standard output, everything else to standard error. Exit status: 0 done, 1 failed, 2 bad input.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from recengine.cli.arguments import UsageError, flag_of
from recengine.cli.parser import build_parser
from recengine.cli.reporter import Reporter
from recengine.errors import BadInput
from recengine.export import check_out


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    reporter = Reporter()
    flag: Callable[[str], str] = str
    try:
        options = build_parser().parse_args(arguments)
        flag = flag_of(options.command)
        reporter = Reporter(as_json=options.json, quiet=options.quiet, progress=options.progress)
        if getattr(options, "out", None) is not None:
            check_out(options.out, endings=options.out_endings)  # now, not after an hour of training
        options.run(options, reporter)
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
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # the terminal gets one line; RECENGINE_DEBUG shows the rest
        if os.environ.get("RECENGINE_DEBUG"):
            raise
        reporter.error(f"{type(error).__name__}: {error}", "failed: ")
        return 1
    return 0
