"""Linear models: logistic, discriminant, ridge, elastic net, generalised linear and quantile regression."""

from __future__ import annotations

from collections.abc import Iterable

from automl import Family, hookimpl

automl_api = 1


@hookimpl
def automl_families() -> Iterable[Family]:
    """Six families, since their parameters differ; `families=[linear]` names them all."""
    weights = {"weights"}
    yield Family("logistic", {"classification": "sklearn.linear_model:LogisticRegression"}, can=weights)
    yield Family("discriminant", {"classification": "sklearn.discriminant_analysis:LinearDiscriminantAnalysis"})
    yield Family("ridge", {"regression": "sklearn.linear_model:Ridge"}, can=weights)
    yield Family("elastic_net", {"regression": "automl_linear.elastic_net:ElasticNet"}, can=weights)
    yield Family("glm", {"regression": "automl_linear.glm:GLM"}, can=weights)
    yield Family("quantile", {"regression": "automl_linear.quantile:Quantile"}, can=weights | {"deadline", "metric"})
