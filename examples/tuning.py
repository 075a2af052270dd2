"""Settings chosen on validation, and tested once: pip install 'recengine[tune]' && python examples/tuning.py"""

import recengine as rec
from recengine.experiments.search_space import search_space
from recengine.experiments.train import TrainingRequest
from recengine.experiments.tune import Trial, TuneRequest, tune

data = rec.load("sample")
split = rec.split(data, "leave-last")


def progress(trial: Trial, best: float | None) -> None:
    settings = ", ".join(f"{name}={value}" for name, value in trial.settings.items())
    print(f"trial {trial.number}: {settings}: {trial.value}")


# Where to look: each model declares ranges of its own, and any of them may be replaced. Trial 0 is the presets.
# In a terminal: recengine tune item-knn --dataset sample --trials 8 --search neighbours=10:200:log
space = search_space("item-knn", fixed={}, asked={"neighbours": "10:200:log"})
tuned = tune(TuneRequest(TrainingRequest(data, "item-knn", split=split), space, trials=8), progress)
print(f"best on validation, by {tuned.criterion}: {tuned.changes or 'the presets'}")

# Only now is the test looked at, and the presets stand beside it: a gain on validation need not be one here.
presets = rec.create("item-knn").fit(split)  # a split: trained on training plus validation, as is usual for a test
best = rec.create("item-knn", **tuned.best.settings).fit(split)
print(rec.evaluate([presets, best], split))
