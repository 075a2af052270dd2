"""The task in RecTools; see run.py."""
# ruff: noqa: E402, F821, I001

# step: load
import pandas as pd
from rectools import Columns
from rectools.dataset import Dataset, Interactions

frame = pd.read_csv(RATINGS).rename(columns={"userId": Columns.User, "movieId": Columns.Item})
frame = frame[frame["rating"] >= 4].assign(**{Columns.Weight: 1.0})
frame[Columns.Datetime] = pd.to_datetime(frame["timestamp"], unit="s")

# step: split
from rectools.model_selection import LastNSplitter

train_rows, test_rows, _ = next(LastNSplitter(n=1).split(Interactions(frame[list(Columns.Interactions)])))
train, test = frame.iloc[train_rows], frame.iloc[test_rows]
dataset = Dataset.construct(train)

# step: fit
from implicit.als import AlternatingLeastSquares
from rectools.models import ImplicitALSWrapperModel

model = ImplicitALSWrapperModel(AlternatingLeastSquares(factors=64)).fit(dataset)

# step: evaluate
from rectools.metrics import NDCG, Recall, calc_metrics

lists = model.recommend(users=test[Columns.User].unique(), dataset=dataset, k=10, filter_viewed=True)
print(calc_metrics({"ndcg@10": NDCG(k=10), "recall@10": Recall(k=10)}, reco=lists, interactions=test))

# step: new user
from scipy.sparse import csr_matrix

liked = dataset.item_id_map.convert_to_internal([2571])  # the wrapper has no fold-in, the model in it has
row = csr_matrix(([1.0], ([0], liked)), shape=(1, dataset.item_id_map.size))
items, scores = model.model.recommend(0, row, N=10, recalculate_user=True)
print(dataset.item_id_map.convert_to_external(items), scores)

# step: save
import pickle
from pathlib import Path

Path(FOLDER).mkdir()
model.save(f"{FOLDER}/model.pkl")
Path(FOLDER, "dataset.pkl").write_bytes(pickle.dumps(dataset))

# step: serve
import threading
import uvicorn
from fastapi import FastAPI
from rectools.models import load_model

app = FastAPI()
served, known = load_model(f"{FOLDER}/model.pkl"), pickle.loads(Path(FOLDER, "dataset.pkl").read_bytes())


@app.get("/users/{user}/recommendations")
def recommend(user: int, k: int = 10):
    listed = served.recommend(users=[user], dataset=known, k=k, filter_viewed=True)
    return listed[[Columns.Item, Columns.Score]].to_dict("records")


threading.Thread(target=uvicorn.run, args=(app,), kwargs={"port": PORT, "log_level": "warning"}, daemon=True).start()
