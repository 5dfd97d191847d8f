"""Text: components that tell topics apart, from any text there may be."""

import numpy as np
import polars as pl
import pytest

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
