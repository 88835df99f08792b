"""scikit-learn's common checks as parameters of tests, and the names of checks it leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

# They hold for transformers, and check_estimator leaves them out.
TRANSFORMER_CHECKS = (
    "check_param_validation",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_global_output_transform_pandas",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_dataframe_column_names_consistency",
    "check_inplace_ensure_writeable",
)


def all_common_checks(estimators: Sequence[Any]) -> pytest.MarkDecorator:
    """Return `parametrize_with_checks`, which prints each estimator once and not for each check."""
    given = parametrize_with_checks(list(estimators))
    name_of, names = given.kwargs["ids"], {}

    def name(value: Any) -> Any:
        if id(value) not in names:
            names[id(value)] = name_of(value)
        return names[id(value)]

    return pytest.mark.parametrize(*given.args, ids=name)
