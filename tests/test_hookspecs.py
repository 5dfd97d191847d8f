"""Every hook has an example in its docstring, and the examples work: they are installed as a plugin."""

import inspect
import re
import textwrap

from automl import hookspecs
from automl.plugins import installed
from automl.registry import KINDS

HOOKS = {
    name: hook for name, hook in vars(hookspecs).items() if name.startswith("automl_") and inspect.isfunction(hook)
}


def example(hook):
    """The code of the docstring's `>>>` lines."""
    lines = re.findall(r"^\s*(?:>>>|\.\.\.) ?(.*)$", inspect.getdoc(hook), flags=re.MULTILINE)
    return "\n".join(lines)


def test_every_hook_says_what_it_is_for_and_shows_an_example():
    for name, hook in HOOKS.items():
        assert f"def {name}(" in example(hook), name


def test_the_examples_are_a_plugin_that_loads(install_plugin):
    head = """
        import numpy
        import polars
        import sklearn.metrics
        from pathlib import Path
        from automl import ExecutorKind, Exporter, Family, Fold, Metric, Reader, Run, Section, SplitKind, Verb, View
        from automl import ViewKind, hookimpl
    """
    folder = install_plugin("documented", textwrap.dedent(head) + "\n\n".join(map(example, HOOKS.values())))
    (folder / "settings").mkdir()
    plugin = installed().plugins["documented"]
    assert plugin.state == "loaded", plugin.reason
    kinds = {added.split()[0] for added in plugin.adds}
    assert kinds == {*(word for word, _ in KINDS.values()), "configs", "listener"}


def test_the_example_metric_is_computed(install_plugin):
    head = "import numpy\nimport sklearn.metrics\nfrom automl import Metric, hookimpl\n"
    install_plugin("measured", head + example(HOOKS["automl_metrics"]))
    (name,) = (added.removeprefix("metric ") for added in installed().plugins["measured"].adds)
    import numpy as np

    score = installed().metrics[name].score(np.array([1.0, 2.0]), np.array([1.0, 5.0]))
    assert score == 3.0
