"""What each part of the engine adds: ours with one part switched off at a time.

python benchmarks/ablation.py --data DATA --datasets adult,phoneme,wine_quality,diamonds --seeds 0,1
"""

from common import grid, parser, run_all

ABLATIONS = {
    "ours": (),
    "order by priority": ("search.order=priority",),
    "no crosses": ("data.crosses=0",),
    "no rungs": ("search.rungs=[]",),
    "no portfolio": ("search.portfolio=false",),
    "best single trial": ("search.ensemble=1",),
    "with stacking": ("search.stack=true",),
    "no pruning": ("search.prune=0",),
    "random search": ("search=random",),
    "no refits": ("predictor.refit=none",),
    "holdout": ("split=holdout",),
    "boosting only": ("families=[boosting]",),
    "LightGBM only": ("families=[lightgbm]",),
}


def main() -> None:
    """Run every ablation on every dataset."""
    args = parser(__doc__, "ablation.csv").parse_args()
    systems = {name: {"adapter": "ours", "overrides": said} for name, said in ABLATIONS.items()}
    run_all(grid(args, systems), args.out)


if __name__ == "__main__":
    main()
