"""TensorFlow is imported without what no rank calls, which can be imported afterwards."""

import importlib
import subprocess
import sys

import pytest

from headrace.distributed.rank.import_tensorflow import _hide_modules


def test_a_hidden_module_is_not_found_in_the_block_alone() -> None:
    with _hide_modules(["json", "wave"]):
        assert importlib.import_module("json").loads("1") == 1  # it was imported before
        with pytest.raises(ImportError):
            importlib.import_module("wave")
    assert importlib.import_module("wave").__name__ == "wave"


@pytest.mark.long
def test_a_rank_can_import_what_keras_did_not() -> None:
    code = """if True:
        import sys
        from headrace.distributed.rank.import_tensorflow import import_tensorflow
        import_tensorflow()
        assert "keras" in sys.modules
        assert not {"matplotlib", "pandas", "sklearn"} & sys.modules.keys()
        import headrace.train.rank
        assert not {"matplotlib", "mlflow", "pandas", "pyspark", "sklearn"} & sys.modules.keys()
        import headrace.evaluate.rank, keras, numpy, pandas, sklearn.metrics, matplotlib.pyplot
        inputs = keras.Input((2,))
        model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
        assert model.predict(numpy.ones((3, 2)), verbose=0).shape == (3, 1)
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
