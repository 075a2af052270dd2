"""Is one model better than another, or was it luck? python examples/significance.py"""

import recengine as rec

split = rec.split(rec.load("sample"), "leave-last")
models = [rec.EASE(l2=200), rec.EASE(l2=300), rec.ItemKNN(), rec.Popularity()]
report = rec.evaluate([model.fit(split.train) for model in models], split, k=10)

# Each figure has an interval: where other users had been tested, it would be another one.
for name in report.models:
    value, low, high = report[name].intervals()["ndcg@10"]
    print(f"{name:10} NDCG@10 {value:.4f}, 95 % from {low:.4f} to {high:.4f}")

# Intervals that overlap do not mean that two models are equally good. All were tested on the same users, and so the
# difference is taken user by user; what makes a user easy or hard for both drops out. As several models are compared
# with the leader, p-values are raised accordingly (Holm).
results = report.to_dict()
for name, pair in results["behind_leader"].items():
    verdict = "more than chance" if pair["p"] < 0.05 else "may be chance"
    print(f"{results['leader']} leads {name} by {pair['difference']:.4f}, p {pair['p']:.2g}: {verdict}")
