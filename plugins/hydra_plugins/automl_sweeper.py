"""Our sweeper's door to Hydra, which takes plugins from the package `hydra_plugins` only."""

from __future__ import annotations

from automl import sweeper


class AutoMLSweeper(sweeper.AutoMLSweeper):
    """`hydra/sweeper=automl`."""
