"""A model of another library, wrapped: pip install implicit && python examples/implicit_als.py"""

import torch
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

import recengine as rec
from recengine.data.interactions import Interactions
from recengine.models.base import FitContext


class ImplicitALS(rec.Recommender):
    """Learn, score and keep the tensors: lists, masking, evaluation, files and serving follow from these."""

    name, family, summary = "implicit-als", "collaborative", "ALS as the library implicit computes it."
    abilities = ("similar", "fold-in")

    def learn(self, train: Interactions, context: FitContext) -> None:
        als = AlternatingLeastSquares(factors=32, regularization=0.05, random_state=context.run.seed)
        als.fit(_matrix(train), show_progress=False)
        self.users, self.items = torch.from_numpy(als.user_factors), torch.from_numpy(als.item_factors)

    def score(self, user_idx: torch.Tensor) -> torch.Tensor:
        return self.users[torch.as_tensor(user_idx).reshape(-1)] @ self.items.T

    def item_vectors(self) -> torch.Tensor:  # all that "similar" needs
        return self.items

    def score_history(self, histories: Interactions) -> torch.Tensor:  # all that new users need
        als = AlternatingLeastSquares(factors=32, regularization=0.05)
        als.item_factors = self.items.numpy()
        liked = _matrix(histories)
        return torch.from_numpy(als.recalculate_user(range(histories.n_users), liked)) @ self.items.T

    def state(self) -> dict[str, torch.Tensor]:
        return {"users": self.users, "items": self.items}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        self.users, self.items = state["users"], state["items"]


def _matrix(rows: Interactions) -> csr_matrix:
    return csr_matrix(([1.0] * len(rows), (rows.user_idx, rows.item_idx)), (rows.n_users, rows.n_items))


if __name__ == "__main__":
    split = rec.split(rec.load("sample"), "leave-last")
    theirs = rec.create(ImplicitALS).fit(split.train)
    ours = rec.IALS().fit(split.train)
    print(rec.evaluate([theirs, ours], split))
    print(theirs.recommend_new([["839", "460"]], k=3))
    print(theirs.similar(["839"], k=3))
