"""A model of one's own as a plain function: RECENGINE_MODELS=examples/own_function.py streamlit run app.py"""

from collections import Counter

from recengine.data.sources import load_dataset

TRAITS = {
    film.item_id: {film.director, *str(film.keywords).split("|")} for film in load_dataset("sample").items.itertuples()
}  # who directed each film and what it is about; no rating is looked at


def recommend(user_id, history, k):
    """Films by the directors and about the matters of what this person rated high."""
    taste = Counter()
    for event in history:  # oldest first; each has item_id, rating and timestamp
        if event.rating >= 4:
            taste.update(TRAITS.get(event.item_id, ()))
    return sorted(TRAITS, key=lambda film: sum(taste[trait] for trait in TRAITS[film]), reverse=True)[:k]
