"""A custom model as a Recommender: RECENGINE_MODELS=examples/custom_model.py python -m recengine models"""

import torch

from recengine import Recommender


class CoLiked(Recommender):
    """Count the users who like both an item and what this user likes, over the square root of its popularity."""

    name = "co-liked"
    family = "collaborative"
    summary = "What those who liked the same films liked too; widely liked films count a little less."
    abilities = ("similar",)

    def learn(self, train, context):
        self.liked = torch.zeros(self.n_users, self.n_items)
        self.liked[train.user_idx.astype("int64"), train.item_idx.astype("int64")] = 1
        together = self.liked.T @ self.liked
        self.weights = together.fill_diagonal_(0) / self.liked.sum(0).clamp(min=1).sqrt()

    def score(self, user_idx):
        return self.liked[torch.as_tensor(user_idx).reshape(-1)] @ self.weights

    def item_similarity(self, item_idx):
        return self.weights[item_idx]

    def state(self):
        return {"liked": self.liked, "weights": self.weights}

    def restore(self, state):
        self.liked, self.weights = state["liked"], state["weights"]
