"""The task in LensKit; see run.py."""
# ruff: noqa: E402, F821, I001

# step: load
import pandas as pd
from lenskit.data import from_interactions_df

frame = pd.read_csv(RATINGS)
frame = frame[frame["rating"] >= 4]
data = from_interactions_df(frame, user_col="userId", item_col="movieId", timestamp_col="timestamp")

# step: split
from lenskit.splitting import LastN, crossfold_users

split = next(crossfold_users(data, 1, LastN(1)))

# step: fit
from lenskit.als import ImplicitMFScorer
from lenskit.pipeline import topn_pipeline

pipeline = topn_pipeline(ImplicitMFScorer, {"embedding_size": 64}, n=10)
pipeline.train(split.train)

# step: evaluate
from lenskit.batch import recommend as recommend_all
from lenskit.metrics import NDCG, Recall, RunAnalysis

lists = recommend_all(pipeline, split.test, 10, n_jobs=1)
print(RunAnalysis(NDCG(10), Recall(10)).measure(lists, split.test).list_summary())

# step: new user
from lenskit import recommend
from lenskit.data import ItemList, RecQuery

print(recommend(pipeline, RecQuery(history_items=ItemList([2571])), 10).to_df())

# step: save
import pickle
from pathlib import Path

Path(FOLDER).mkdir()
Path(FOLDER, "pipeline.pkl").write_bytes(pickle.dumps(pipeline))

# step: serve
import threading
import uvicorn
from fastapi import FastAPI

app = FastAPI()
served = pickle.loads(Path(FOLDER, "pipeline.pkl").read_bytes())


@app.get("/users/{user}/recommendations")
def of_user(user: int, k: int = 10):
    return recommend(served, user, k).to_df()[["item_id", "score"]].to_dict("records")


threading.Thread(target=uvicorn.run, args=(app,), kwargs={"port": PORT, "log_level": "warning"}, daemon=True).start()
