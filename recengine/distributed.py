"""`torchrun -m recengine.distributed MODEL ...`: the command `train`, by several processes on one machine or on many.

`torchrun --nproc-per-node 4 -m recengine.distributed mf --dataset ml-25m --checkpoint DIR --out DIR`; torchrun's
`--nnodes` and `--rdzv-endpoint` join more machines, which all see the two folders. A process that dies ends the others,
and the same command with `--resume` goes on from the last checkpoint, with any number of processes.
"""

import os
import sys

from recengine.cli import run

if __name__ == "__main__":
    sys.argv[1:1] = ["train"]
    if os.environ.get("RANK", "0") != "0":  # one of them reports
        sys.argv.append("--quiet")
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for good
    run()
