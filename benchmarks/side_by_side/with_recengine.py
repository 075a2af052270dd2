"""The task in RecEngine; see run.py."""
# ruff: noqa: E402, F821, I001

# step: load
import pandas as pd
import recengine as rec

frame = pd.read_csv(RATINGS)
data = rec.from_pandas(frame, user="userId", item="movieId", rating="rating", time="timestamp")

# step: split
split = rec.split(data, "leave-last")

# step: fit
model = rec.IALS(embedding_dim=64).fit(split)

# step: evaluate
print(rec.evaluate(model, split, k=10))

# step: new user
print(model.recommend_new([{2571: 5, 1240: 1}], k=10))

# step: save
model.save(FOLDER)

# step: serve
import subprocess

service = subprocess.Popen(["recengine", "serve", "--model-folder", FOLDER, "--port", str(PORT)])
