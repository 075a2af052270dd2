"""A stream: each rating first tests the model, then teaches it: python examples/stream.py"""

import recengine as rec
from recengine.evaluation.prequential import bootstrapped, make_stream, prequential
from recengine.serving.event_log import Event
from recengine.serving.sessions import OnlineSession

data = rec.load("sample")

# The first fifth of all likes, by time, is learned at once, the rest one by one. The models below are used directly:
# they speak indices rather than ids.
stream = make_stream(data.positives(4), bootstrap=0.2, most=5_000)
step = rec.create("step").fit(stream.bootstrap).recommender

# A frozen copy, which only remembers what each user had, shows what learning from the stream is worth.
models = bootstrapped({"step": step}, frozen=["step"])
replay = prequential(models, stream, k=10)
figures, _ = replay.intervals()
for name, (recall, low, high) in figures.items():
    print(f"{name:12} recall@10 {recall:.4f} (95 % from {low:.4f} to {high:.4f})")
print(f"{replay.done / replay.seconds['step']:,.0f} events a second, each ranked among {data.n_items:,} films")

# In a service each visitor has a session over the shared model, of which it copies only what their ratings change.
session = OnlineSession(step, positive=4.0)
titles = data.items["title"]


def top() -> list[str]:
    return titles[session.top(k=4).items[0].tolist()].tolist()


before = top()
for item_id, stars in (("839", 5.0), ("626", 1.0)):
    (item,) = data.item_index([item_id])
    session.append(Event("rate", item_id, stars, item_idx=int(item)))
    print(f"{stars:g} stars for {titles[item]}: {', '.join(top())}")
session.undo()
session.undo()
assert top() == before  # undoing is exact
