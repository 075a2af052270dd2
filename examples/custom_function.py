"""A custom model as a plain function: RECENGINE_MODELS=examples/custom_function.py streamlit run app.py"""

from collections import Counter

from recengine.data.sources import load_dataset

TRAITS = {
    film.item_id: {film.director, *str(film.keywords).split("|")} for film in load_dataset("sample").items.itertuples()
}  # each film's director and subjects, which need no rating


def recommend(user_id, history, k):
    """Films by the directors and on the subjects of what this user rated highly."""
    taste = Counter()
    for event in history:  # oldest first; each has item_id, rating and timestamp
        if event.rating >= 4:
            taste.update(TRAITS.get(event.item_id, ()))
    return sorted(TRAITS, key=lambda film: sum(taste[trait] for trait in TRAITS[film]), reverse=True)[:k]
