"""Text: components that tell topics apart, from any text there may be."""

import numpy as np
import polars as pl
import pytest

from automl.data.targets import inner_folds, target_columns
from automl.data.text import Text

WORDS = {"film": ["actor", "scene", "plot", "director"], "food": ["salt", "oven", "butter", "sugar"]}


def told(topic: str, rows: int, seed: int, words: int = 12) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice([*WORDS[topic], "the", "and"], words)) for _ in range(rows)]


def filled(text: Text, said: list) -> np.ndarray:
    out = np.full((len(said), len(text.names)), np.inf)
    text.fill(pl.DataFrame({"t": pl.Series(said, dtype=pl.String)}), out)
    return out


@pytest.mark.parametrize("words", [4, 20])
def test_components_tell_topics_apart(words):
    text = Text.fit(pl.Series("t", told("film", 60, 0, words) + told("food", 60, 1, words)))
    assert text.characters == (words == 4)
    film, food = (filled(text, told(topic, 40, 2, words))[:, 2:] for topic in WORDS)
    between = film.mean(axis=0) - food.mean(axis=0)
    middle = (film.mean(axis=0) + food.mean(axis=0)) @ between / 2
    assert ((film @ between > middle).mean() + (food @ between < middle).mean()) / 2 > 0.95


def test_length_and_words_are_counted_and_missing_text_has_no_length():
    text = Text.fit(pl.Series("t", ["a b", "c"]))
    out = filled(text, ["two words", "", None, "ééé"])
    np.testing.assert_array_equal(out[:, 0], [9, 0, np.nan, 3])
    np.testing.assert_array_equal(out[:, 1], [2, 0, 0, 1])


@pytest.mark.parametrize(
    "train", [[], [None, None], [""], ["", "", " "], ["one"], ["one", "two"], ["same"] * 9, ["?!", "...", "-"]]
)
def test_text_without_anything_in_common_has_only_its_length(train):
    text = Text.fit(pl.Series("t", train, dtype=pl.String))
    out = filled(text, ["one", "", None, "same same"])
    assert text.names[:2] == ["t:length", "t:words"]
    assert np.isfinite(out[:, 1:]).all()


def test_words_never_seen_have_no_component():
    text = Text.fit(pl.Series("t", told("film", 30, 0, 20)))
    assert (filled(text, ["zzz qqq xxx"])[0, 2:] == 0).all()


def test_fitting_twice_gives_the_same_components():
    column = pl.Series("t", told("film", 30, 0) + told("food", 30, 0))
    np.testing.assert_array_equal(Text.fit(column).axes, Text.fit(column).axes)


def test_a_sample_of_the_texts_is_enough(monkeypatch):
    monkeypatch.setattr("automl.data.text._SAMPLE", 20)
    text = Text.fit(pl.Series("t", told("film", 60, 0) + told("food", 60, 1)))
    assert 2 < len(text.names) <= 2 + 19


def noisy(rows: int, seed: int) -> tuple[pl.Series, np.ndarray]:
    """Texts of many words, of which one in some of them goes with the label: no direction of theirs tells."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, rows)
    said = [" ".join(rng.choice([f"w{i}" for i in range(300)], 15)) + (" awful" if code else "") for code in label]
    return pl.Series("t", said), label


def test_a_forecast_finds_the_word_that_matters():
    (said, label), (later, truth) = noisy(600, 0), noisy(300, 1)
    text = Text.fit(said, target_columns(label, [1]), [1])
    assert text.names[-1] == "t:share=1"
    forecast = filled(text, later.to_list())[:, -1]
    assert np.corrcoef(forecast, truth)[0, 1] > 0.8


def test_training_rows_are_forecast_without_their_own_target():
    rng = np.random.default_rng(0)
    said, label = noisy(400, 0)
    wrong = np.where(
        rng.random(400) < 0.4, 1 - label, label
    )  # the word still tells, by chance in a fit that has seen it
    target = target_columns(wrong, [1])
    text = Text.fit(said, target, [1])
    table, rows = said.to_frame(), np.empty((400, len(text.names)))
    text.fill_training(table, target, inner_folds(400), rows)
    seen = filled(text, said.to_list())
    np.testing.assert_array_equal(rows[:, :-1], seen[:, :-1])
    of_noise = np.flatnonzero(wrong != label)
    knows = [np.corrcoef(where[of_noise, -1], wrong[of_noise])[0, 1] for where in (rows, seen)]
    assert knows[0] < 0 < knows[1]


def test_text_that_tells_nothing_of_the_target_gives_no_forecast():
    said, _ = noisy(600, 0)
    text = Text.fit(said, target_columns(np.random.default_rng(3).integers(0, 2, 600), [1]), [1])
    assert not text.slopes.shape[1]
    assert text.names[-1].startswith("t:svd")


def test_each_class_has_its_forecast_and_a_number_one_on_a_sample(monkeypatch):
    said, label = noisy(300, 0)
    three = label + (said.str.contains("w7 ").to_numpy() & (label == 1))
    labels = [0, 1, 2]
    assert Text.fit(said, target_columns(three, labels), labels).names[-3:] == ["t:share=0", "t:share=1", "t:share=2"]
    monkeypatch.setattr("automl.data.text._TOLD", 200)
    target = target_columns(label + 0.5, [])
    text = Text.fit(said, target)
    rows = np.full((300, len(text.names)), np.inf)
    text.fill_training(said.to_frame(), target, inner_folds(300), rows)
    assert text.names[-1] == "t:mean"
    assert np.isfinite(rows).all()
    assert np.corrcoef(rows[:, -1], label)[0, 1] > 0.5
