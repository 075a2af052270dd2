"""The event file of an invented shop, as shops export theirs: text ids, repeats, three kinds of events, all in one."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

EVENTS = ("view", "cart", "purchase")
SURNAMES = ("Ünal", "O'Neill", "Łukasz", "García Pérez", "Müller", "de la Cruz", "Nguyễn", "Smith")
GOODS = ("Käse & Brot", "Löffel, 3er-Set", 'Schrank 24" weiß', "Thé vert 🍵", "Jeans (slim) 32/34", "Socks 50% wool")
FIRST_DAY = pd.Timestamp("2024-01-01")


def product_ids(n: int) -> NDArray[np.object_]:
    """Return ids such as `SKU-0000 Käse & Brot`: spaces, commas, quotes, letters of other alphabets."""
    return np.array([f"SKU-{i:04d} {GOODS[i % len(GOODS)]}" for i in range(n)], object)


def user_ids(n: int) -> NDArray[np.object_]:
    """Return ids such as `Kundin_02765_Ünal`."""
    return np.array([f"Kundin_{i:05d}_{SURNAMES[i % len(SURNAMES)]}" for i in range(n)], object)


def shop_events(
    rows: int = 200_000, *, users: int = 18_000, products: int = 4_000, kinds: int = 12, seed: int = 1
) -> pd.DataFrame:
    """Return `rows` events in order of time: user, product, event, and time as `2024-01-31 08:15:00`.

    A visit is one or more views of a product, which a fourth follow up with a cart, and half of those with a purchase.
    Two thirds of a user's visits are to products of the one kind that they like, so that there is something to learn;
    few users and few products have most of the visits. There are no fewer products than kinds.
    """
    rng = np.random.default_rng(seed)
    appeal, activity = 1 / np.arange(1, products + 1), rng.pareto(1.2, users) + 1
    user = rng.choice(users, rows, p=activity / activity.sum())
    likes, kind = rng.integers(0, kinds, users)[user], np.arange(products) % kinds
    likes[rng.random(rows) < 1 / 3] = kinds  # a visit to any product
    product = np.empty(rows, np.int64)
    for liked in range(kinds + 1):
        visits = likes == liked
        weights = appeal * (kind == liked) if liked < kinds else appeal
        product[visits] = rng.choice(products, visits.sum(), p=weights / weights.sum())
    start = rng.integers(0, 365 * 24 * 3600, rows)
    views, cart = rng.integers(1, 4, rows), rng.random(rows) < 1 / 4
    length = views + cart + (cart & (rng.random(rows) < 1 / 2))
    visit = np.repeat(np.arange(rows), length)  # one row an event from here on
    step = np.arange(len(visit)) - np.repeat(length.cumsum() - length, length)
    event = np.maximum(step - views[visit] + 1, 0)
    time = start[visit] + 60 * step
    first = np.lexsort((event, time))[:rows]
    first_rows = visit[first]
    return pd.DataFrame(
        {
            "user": user_ids(users)[user[first_rows]],
            "product": product_ids(products)[product[first_rows]],
            "event": np.array(EVENTS, object)[event[first]],
            "time": (FIRST_DAY + pd.to_timedelta(time[first], unit="s")).strftime("%Y-%m-%d %H:%M:%S"),
        }
    )


def shop_csv(rows: int = 200_000, **options: int) -> bytes:
    """Return the events as the bytes of a CSV file; `options` are those of `shop_events`."""
    return shop_events(rows, **options).to_csv(index=False).encode()
