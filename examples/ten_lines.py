"""From ratings of your own to recommendations: python examples/ten_lines.py"""

import numpy as np
import pandas as pd

import recengine as rec

rng = np.random.default_rng(0)  # stands for your file: pd.read_csv("ratings.csv")
frame = pd.DataFrame({"who": rng.integers(0, 200, 6000), "what": rng.integers(0, 90, 6000)})
frame["stars"] = np.where(frame["who"] % 3 == frame["what"] % 3, 5, 2)  # users like every third item

data = rec.from_pandas(frame, user="who", item="what", rating="stars", scale=(1, 5), aggregate="latest")
split = rec.split(data, "leave-last", ties="random")
model = rec.EASE(l2=200).fit(split.train)
print(rec.evaluate(model, split, k=10))
print(model.recommend([17, 42], k=5))
print(model.recommend_new([{3: 5, 4: 1}], k=5))
