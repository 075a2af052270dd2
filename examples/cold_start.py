"""What models make of new users, and of items that nobody has rated: python examples/cold_start.py"""

import recengine as rec

data = rec.load("sample")

# New users. A fifth of the users is held out. A model is given a few ratings of each and has to guess the rest; the
# targets are the same however many it is given, so the lines can be compared.
for given in (1, 3, 10):
    split = rec.split(data, "cold-user", given=given, targets_after=10)
    ease = rec.EASE(l2=200).fit(split.train)
    popular = rec.Popularity().fit(split.train)
    report = rec.evaluate([ease, popular], split, k=10)
    ndcg = {name: report[name].means["ndcg@10"] for name in report.models}
    print(f"ratings known: {given:2}; NDCG@10: ease {ndcg['ease']:.3f}, popularity {ndcg['popularity']:.3f}")

# Served, it looks like this. Nothing is trained: a new user is a row of ratings, and low ratings count against.
matrix, terminator = "839", "460"
print(ease.recommend_new([{matrix: 5, terminator: 1}, [matrix, terminator]], k=3))

# Of a user who has rated nothing, nothing is known: the list is the popular one, and says so.
print(ease.recommend_new([{}], k=3))

# New items. A tenth of the catalogue is held out with all of its ratings, so only what is known about an item can rank
# it: its genres, its director, its keywords. EASE knows none of these, and popular items stand in for it.
split = rec.split(data, "cold-item")
for model in (rec.Content().fit(split.train), rec.EASE(l2=200).fit(split.train)):
    means = rec.evaluate(model, split, k=10).means
    print(f"{model.kind.name}: NDCG@10 {means['ndcg@10']:.3f} on items without a rating")
