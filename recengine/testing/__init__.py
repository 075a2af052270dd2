"""The contract of a model as a pytest class: our models run it, and so can yours.

    from recengine.testing import ModelContract

    class TestMyModel(ModelContract):
        model = MyModel

pytest collects a test for each line of the contract. A line about an ability exists only for models that declare the
ability. `check` runs the same lines without pytest and reports each as a sentence.
"""

from recengine.testing.check import Finding, check
from recengine.testing.contract import ModelContract
from recengine.testing.trial import small_dataset

__all__ = ["Finding", "ModelContract", "check", "small_dataset"]
