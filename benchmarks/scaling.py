"""Time and memory of our fit against rows and against columns, on synthetic tables, at a fixed budget.

python benchmarks/scaling.py --budgets 60
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common import Cell, parser, run_all

ROWS = [(rows, 30) for rows in (1_000, 10_000, 100_000, 1_000_000, 10_000_000)]
COLUMNS = [(rows, columns) for rows in (1_000, 10_000) for columns in (10, 100, 1_000, 5_000)]
_CHUNK = 20_000_000  # cells made at once


def main() -> None:
    """Run every shape, smaller ones first."""
    options = parser(__doc__, "scaling.csv", data=False)
    options.add_argument("--most", type=float, default=np.inf, help="leave out tables of more cells than this")
    args = options.parse_args()
    shapes = [shape for shape in dict.fromkeys(ROWS + COLUMNS) if shape[0] * shape[1] <= args.most]
    cells = [
        Cell(f"{n} x {p}", "ours", budget, args.cores, seed, partial(synthetic, n, p, seed), "ours_from_file")
        for budget in args.budgets
        for seed in args.seeds
        for n, p in shapes
    ]
    run_all(cells, args.out)


def synthetic(rows: int, columns: int, seed: int, folder: Path) -> dict[str, Any]:
    """A binary task: ten columns matter, not linearly; every fifth column is text of 20 levels, the others float32."""
    draw = np.random.default_rng(seed)
    step = max(1, _CHUNK // columns)
    sizes = [step] * (rows // step) + [rows % step] * (rows % step > 0)
    for name, chunks in (("train", sizes), ("test", [1_000])):
        with pq.ParquetWriter(folder / f"{name}.parquet", _table(draw, 1, columns).schema) as writer:
            for size in chunks:
                writer.write_table(_table(draw, size, columns))
    return {"task": "binary", "target": "y", "rows": rows, "columns": columns}


def _table(draw: np.random.Generator, rows: int, columns: int) -> pa.Table:
    X = draw.standard_normal((columns, rows), dtype=np.float32)
    logit = X[0] * X[1] + np.sin(2 * X[2]) + np.where(X[3] > 0, X[5], -X[6]) + 0.5 * X[4] + 0.3 * X[7:10].sum(axis=0)
    y = (draw.random(rows) < 1 / (1 + np.exp(-2 * logit))).astype(np.int8)
    levels = pa.array([f"level {i}" for i in range(20)])
    made = {}
    for i in range(columns):
        codes = np.clip(10 + 4 * X[i], 0, 19).astype(np.int32)
        made[f"x{i}"] = levels.take(pa.array(codes)) if i % 5 == 4 else pa.array(X[i])
    return pa.table({**made, "y": y})


if __name__ == "__main__":
    main()
