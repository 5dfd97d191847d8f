"""Does every run end, in time, in a predictor or a clear refusal? Ours on every open set, at each budget and seed.

python benchmarks/robustness.py --data DATA --budgets 5,60 --seeds 0,1,2
python benchmarks/robustness.py --data DATA --datasets adult --out trial.csv search=random
"""

from common import grid, parser, run_all


def main() -> None:
    """Run the cells that are asked for."""
    options = parser(__doc__, "robustness.csv", budget="5,60")
    options.add_argument("overrides", nargs="*", help="further config, key=value")
    args = options.parse_args()
    name = " ".join(["ours", *args.overrides])
    run_all(grid(args, {name: {"adapter": "ours", "overrides": tuple(args.overrides)}}), args.out)


if __name__ == "__main__":
    main()
