"""One config out of conf/, plugins, a file and overrides; what is wrong gets one clear sentence."""

import json

import pytest

from automl.compose import compose, give, load
from automl.config import json_schema, keys, seconds, size
from automl.errors import ConfigError, RefusedError
from automl.words import shorthand


def test_the_defaults_are_complete():
    config = compose()
    assert config.seconds == 60
    assert config.split.kind == "auto"
    assert {"lightgbm", "logistic", "extra_trees"} <= set(config.family)


def test_budget_alone_is_its_time():
    assert compose(["budget=90s"]).seconds == 90
    assert compose(["budget.time=1h30m"]).seconds == 5400


def test_groups_and_open_keys_need_no_plus():
    config = compose(
        [
            "data=breast_cancer",
            "split=group",
            "split.column=user",
            "family.lightgbm.params.max_bin=63",
            "data.roles.age=category",
        ]
    )
    assert config.target == "target"
    assert (config.split.kind, config.split.column) == ("group", "user")
    assert config.family["lightgbm"].params["max_bin"] == 63
    assert config.data.roles == {"age": "category"}


def test_a_constraint_is_said_as_one_and_a_latency_is_the_tighter_of_two():
    assert compose(["constraint.latency_ms<=5"]) == compose(["constraint.latency_ms=5"])
    config = compose(["constraint.latency_ms<=5", "constraint.size_mb <= 1.5", "budget.latency=2ms"])
    assert config.bounds == {"latency_ms": 2.0, "size_mb": 1.5}
    assert compose(["budget.latency=9ms"], config={"constraint": {"latency_ms": 5}}).bounds == {"latency_ms": 5.0}


def test_a_space_is_narrowed_or_fixed_from_outside():
    narrowed = compose(["family.lightgbm.space.num_leaves={int: [4, 8]}"]).family_spec("lightgbm")
    assert all(4 <= c["num_leaves"] <= 8 for c in narrowed.candidates if "num_leaves" in c)
    fixed = compose(["family.lightgbm.space.num_leaves=5"]).family_spec("lightgbm")
    assert {c["num_leaves"] for c in fixed.candidates} == {5}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("budgt.time=3", "did you mean 'budget.time'"),
        ("splt=group", "did you mean 'split'"),
        ("split=grup", "did you mean 'group'"),
        ("data=breast_cancr", "did you mean 'breast_cancer'"),
        ("seed=x", "seed=x: 'x' is no integer"),
        ("budget.time=abc", "not a duration"),
        ("budget.time=0", "above zero"),
        ("budget.memory=4XB", "not a size"),
        ("family.lightgmb.params.x=1", "did you mean 'lightgbm'"),
        ("split.folds=[1", "not well formed"),
        ("family.lightgbm.sapce.x=1", "did you mean"),
        (
            "search.objectives=[loss,latency]",
            "search.objectives=latency: must be one of loss, latency_ms, size_mb, fit",
        ),
        ("search.objectives=[size_mb]", "search.objectives=[size_mb]: must have loss, and each objective once"),
        ("search.objectives=[]", "must have loss"),
        ("search.objectives=[loss,size_mb,loss]", "each objective once"),
        ("constraint.latency<=5", "did you mean 'constraint.latency_ms'"),
        ("constraint.latency_ms<=5ms", "'5ms' is no float"),
        ("constraint.latency_ms<=0", "constraint.latency_ms=0.0: must be above 0"),
        ("constraint.size_mb<=nan", "must be above 0"),
        (
            "constraint.size_mb<5",
            "constraint.size_mb<5: a constraint is an upper bound; say 'constraint.size_mb<=VALUE'",
        ),
        ("constraint.size_mb>=5", "a constraint is an upper bound"),
    ],
)
def test_a_wrong_override_names_the_right_one(override, message):
    with pytest.raises(ConfigError, match=message.replace("[", r"\[")) as caught:
        compose([override])
    assert "\n" not in str(caught.value)


def test_a_wrong_key_in_a_file_names_the_right_one(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("budget: {tme: 3}\n")
    with pytest.raises(ConfigError, match=r"did you mean 'budget\.time'"):
        compose(config=file)


def test_a_file_or_mapping_is_laid_over_the_defaults_and_overrides_win():
    config = compose(["seed=5"], config={"seed": 3, "budget": {"time": "5m"}})
    assert (config.seed, config.seconds) == (5, 300)


def test_a_file_that_is_missing_or_no_mapping_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        compose(config=tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match="must be a mapping"):
        compose(config=tmp_path / "list.yaml")


@pytest.mark.parametrize(
    "override",
    [
        "+hydra.callbacks.a._target_=os.system",
        "+family.lightgbm.params={_target_: os.system}",
        "++hydra.job_logging.handlers.x={class: os.system}",
    ],
)
def test_a_config_may_not_name_an_object_to_import(override):
    with pytest.raises(RefusedError, match="may not name a Python object"):
        compose([override])


def test_a_file_may_not_name_an_object_to_import():
    with pytest.raises(RefusedError):
        give({"data": {"path": {"_target_": "os.system"}}})


def test_a_sweep_composes_without_the_swept_keys():
    assert load(shorthand(["seed=1,2,3", "budget=1m,5m", "constraint.size_mb<=1,2"]), sweep=True) is not None


@pytest.mark.parametrize(
    ("said", "value"), [(90, 90), ("90", 90), ("1.5m", 90), ("1h30m", 5400), ("500ms", 0.5), ("2d", 172800)]
)
def test_durations(said, value):
    assert seconds(said) == value


@pytest.mark.parametrize(("said", "value"), [(1000, 1000), ("4GB", 4 * 10**9), ("512MiB", 512 * 2**20), ("1.5k", 1500)])
def test_sizes(said, value):
    assert size(said) == value


def test_the_json_schema_describes_every_key():
    schema = json_schema()
    json.dumps(schema)
    for key in keys():
        node = schema
        for part in key.split("."):
            node = node["properties"][part]
        assert "description" in node or node.get("type") == "object", key
    assert schema["additionalProperties"] is False


def test_plugins_that_a_config_file_denies_bring_no_configs(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("plugins: {deny: [boosting]}\n")
    families = compose(config=file).family
    assert "lightgbm" not in families
    assert "logistic" in families
