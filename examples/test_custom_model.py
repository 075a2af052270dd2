"""The contract of a custom model: python -m pytest examples"""

from custom_model import CoLiked

from recengine.testing import ModelContract


class TestCoLiked(ModelContract):
    model = CoLiked
