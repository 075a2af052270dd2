"""The whole API on MovieLens 100K, which is fetched when it is not here: python examples/tour.py"""

import tempfile

import recengine as rec

data = rec.load("ml-100k")
split = rec.split(data, "leave-last")
model = rec.EASE(l2=200).fit(split.train)
print(rec.evaluate(model, split, k=10))

print(model.recommend(["196", "22"], k=3))
print(model.recommend_new([{"50": 5, "181": 1}, ["50"]], k=3))  # ratings; likes
print(model.similar(["50"], k=3))

mf = rec.MF(epochs=5).fit(split.train, valid=split.valid, on_epoch=lambda epoch: print(epoch.epoch, epoch.loss))
print(rec.evaluate([model, mf, rec.Popularity().fit(split.train)], split).to_pandas().head(3))

with tempfile.TemporaryDirectory() as folder:
    model.save(f"{folder}/ease-100k")
    served = rec.load_model(f"{folder}/ease-100k")  # elsewhere: it needs nothing but the folder
    assert served.recommend(["196"], k=10).equals(model.recommend(["196"], k=10))
