"""The kit's pytest plugin: `pytest --automl-family mygam` runs the checks of that family as tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from automl.testing.checks import Check


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option `--automl-family`."""
    parser.getgroup("automl").addoption(
        "--automl-family",
        action="append",
        default=[],
        metavar="NAME",
        help="run automl's conformance checks of an installed family; may be given several times. Where no path is "
        "given, no other tests are run",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Without a path, look for no other tests."""
    if config.getoption("automl_family") and config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args = []


@pytest.hookimpl(tryfirst=True)  # before -k chooses
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the checks of each family."""
    for name in config.getoption("automl_family"):
        from automl.errors import ConfigError
        from automl.testing.families import family_checks

        try:
            checks = family_checks(name)
        except ConfigError as error:
            raise pytest.UsageError(f"--automl-family {name}: {error}") from None
        added = [CheckItem.from_parent(session, name=check.name, nodeid=str(check), check=check) for check in checks]
        items += added
        config.hook.pytest_collectreport(report=pytest.CollectReport(name, "passed", None, list(added)))


class CheckItem(pytest.Item):
    """One check as a test; its failure is told without a traceback."""

    def __init__(self, *, check: Check, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._check = check

    def runtest(self) -> None:
        """Look, and raise what is wrong."""
        self._check()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What was seen and how to mend it."""
        if excinfo.errisinstance(AssertionError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Its name."""
        return self.path, None, self.nodeid
