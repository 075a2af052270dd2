"""The task in implicit; see run.py."""
# ruff: noqa: E402, F821, I001

# step: load
import pandas as pd
from scipy.sparse import csr_matrix

frame = pd.read_csv(RATINGS)
frame = frame[frame["rating"] >= 4]
user_codes, user_ids = pd.factorize(frame["userId"])
item_codes, item_ids = pd.factorize(frame["movieId"])
matrix = csr_matrix(([1.0] * len(frame), (user_codes, item_codes)))

# step: split
from implicit.evaluation import leave_k_out_split

train, test = leave_k_out_split(matrix, K=1, random_state=0)  # at random: it knows no times

# step: fit
from implicit.cpu.als import AlternatingLeastSquares

model = AlternatingLeastSquares(factors=64)
model.fit(train, show_progress=False)

# step: evaluate
from implicit.evaluation import ranking_metrics_at_k

print(ranking_metrics_at_k(model, train, test, K=10, show_progress=False))

# step: new user
row = csr_matrix(([1.0], ([0], [item_ids.get_loc(2571)])), shape=(1, len(item_ids)))
items, scores = model.recommend(0, row, N=10, recalculate_user=True)
print(item_ids[items], scores)

# step: save
import numpy as np
from pathlib import Path
from scipy.sparse import save_npz

Path(FOLDER).mkdir()
model.save(f"{FOLDER}/model.npz")
np.savez(f"{FOLDER}/ids.npz", users=user_ids, items=item_ids)
save_npz(f"{FOLDER}/seen.npz", train)

# step: serve
import threading
import uvicorn
from fastapi import FastAPI
from scipy.sparse import load_npz

app = FastAPI()
served, seen = AlternatingLeastSquares.load(f"{FOLDER}/model.npz"), load_npz(f"{FOLDER}/seen.npz").tocsr()
with np.load(f"{FOLDER}/ids.npz") as ids:
    users, titles = {user: row for row, user in enumerate(ids["users"].tolist())}, ids["items"]


@app.get("/users/{user}/recommendations")
def recommend(user: int, k: int = 10):
    listed, weights = served.recommend(users[user], seen[users[user]], N=k)
    return pd.DataFrame({"item": titles[listed], "score": weights}).to_dict("records")


threading.Thread(target=uvicorn.run, args=(app,), kwargs={"port": PORT, "log_level": "warning"}, daemon=True).start()
