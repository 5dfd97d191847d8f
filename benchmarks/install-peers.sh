#!/usr/bin/env bash
# A virtual environment for each system of side_by_side.py under DIR, ours included: some 9 GB and 10 minutes.
#   benchmarks/install-peers.sh DIR
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1" && cd "$1"
new() {
    [ -x "$1/bin/python" ] || python3 -m venv "$1"
    "$1/bin/pip" install --quiet "${@:2}" && echo "$1 is ready"
}
new ag torch==2.13.0 'autogluon.tabular[lightgbm,catboost,xgboost,fastai,tabm,ray]==1.6.3'  # without ray its best preset fails when a sub-fit does
new lama torch==2.13.0 lightautoml pyarrow
new mljar mljar-supervised pyarrow
new flaml 'flaml[automl]' pyarrow
new h2o h2o pandas pyarrow scikit-learn polars  # and a Java runtime on the PATH
new ours -e "$root[all]"
