"""Ours and the peers on the same splits, one fit at a time.

    python benchmarks/side_by_side.py --data DATA --peers PEERS --budgets 60,300

PEERS is a folder made by install-peers.sh, with a virtual environment for each system. Leave the machine alone
meanwhile: the column `others_cpu` says what share of its CPU time went to other processes.
"""

import argparse
from pathlib import Path

from common import grid, parser, run_all

SYSTEMS = "ours,ag-medium,ag-best,lama,mljar-compete,flaml,h2o"


def main() -> None:
    """Run every system on every dataset, dataset by dataset."""
    compare(options(__doc__, "side_by_side.csv").parse_args())


def options(doc: str | None, out: str) -> argparse.ArgumentParser:
    """Those of every benchmark, and the systems."""
    made = parser(doc, out)
    made.add_argument("--peers", type=Path, required=True, help="the folder of virtual environments")
    made.add_argument("--systems", default=SYSTEMS, help="names, with commas; there is ag-best_v150 too")
    return made


def compare(args: argparse.Namespace) -> None:
    """Run the systems, each in its environment.

    Raises
    ------
    SystemExit : a system has none.
    """
    pythons = {name: args.peers.absolute() / name.split("-")[0] / "bin" / "python" for name in args.systems.split(",")}
    if lost := [name for name, python in pythons.items() if not python.exists()]:
        raise SystemExit(f"no virtual environment for {', '.join(lost)} in {args.peers}: run install-peers.sh")
    run_all(grid(args, {name: {"python": python} for name, python in pythons.items()}), args.out)


if __name__ == "__main__":
    main()
