"""`item-knn`: similar items."""

import numpy as np

from recengine.data.dataset import Dataset
from recengine.models.registry import model_class


def test_similar_items_are_the_neighbours_of_the_given_item(tiny: Dataset) -> None:
    """This holds even for an item that is a neighbour of no other, since being a neighbour is not symmetric."""
    kind = model_class("item-knn")
    liked = tiny.positives(4.0)
    table = np.zeros((60, 40))
    table[liked.user_idx, liked.item_idx] = 1
    gram = table.T @ table
    norm = np.sqrt(np.diag(gram))
    cosine = gram / (np.outer(norm, norm) + 3.0)
    np.fill_diagonal(cosine, -1)
    model = kind(kind.Config.from_dict({"neighbours": 3, "cosine_shrinkage": 3.0})).fit(liked)
    result = model.similar_items(np.arange(40), k=3)
    for seed in range(40):
        assert np.allclose(np.sort(result.scores[seed].numpy()), np.sort(cosine[seed])[-3:], atol=1e-5)
