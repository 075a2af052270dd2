"""Newcomers for models whose score is a product or a distance of two vectors: their own vector alone is learned."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from recengine.data.interactions import Interactions
from recengine.data.sampling import ItemSampler, KnownPairs
from recengine.models.gradient import GradientModel
from recengine.training.loop import one_thread

STEPS, RATE, NEGATIVES = 40, 0.1, 64
"""Steps of Adam, their size, and the items that everybody is set against in each."""


class FoldInModel(GradientModel):
    """A gradient model that serves people who are not in its data.

    Networks above joined vectors are left out: their loss has several minima in a person's vector.
    """

    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items) scores of newcomers: their vectors alone are learned, by the same loss.

        Everybody is set against the same draws, so that a score does not depend on who else is asked for.
        """
        with torch.inference_mode(False), torch.enable_grad(), one_thread(torch.device("cpu")):
            guest = type(self)(self.config)
            guest.n_users, guest.n_items = histories.n_users, self.n_items
            guest.network = guest._build(self.network.features)
            state = {**self.network.state_dict(), "user_embedding.weight": guest.network.user_embedding.weight.data}
            if guest.network.user_bias is not None:
                state["user_bias"] = guest.network.user_bias.data
            guest.network.load_state_dict(state)
            guest.network.eval().requires_grad_(False)
            table = guest.network.user_embedding.weight
            nn.init.zeros_(table)
            if len(histories):
                guest._fold_in(histories, table.requires_grad_(True))
            with torch.no_grad():
                return guest._rank(guest.network, torch.arange(histories.n_users))

    def _fold_in(self, histories: Interactions, table: Tensor) -> None:
        """Fit the users' `table` to their histories, everything else as it is."""
        user = torch.from_numpy(histories.user_idx.astype(np.int64))
        item = torch.from_numpy(histories.item_idx.astype(np.int64))
        known = KnownPairs(histories)
        sampler = ItemSampler(histories, torch.device("cpu"))
        draws = torch.Generator().manual_seed(0)
        optimizer = torch.optim.Adam([table], lr=RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS)
        for _ in range(STEPS):
            negative = sampler.draw((1, NEGATIVES), draws)
            taken = known(user, negative.expand(len(user), -1))
            optimizer.zero_grad(set_to_none=True)
            (self._loss(user, item, negative, taken) * len(user)).backward()
            optimizer.step()
            schedule.step()
