"""Item embeddings for projector.tensorflow.org: python examples/projector.py [folder]"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import recengine as rec
from recengine.serving.vectors import vectors_of, write_vectors

data = rec.load("sample")
model = rec.IALS(embedding_dim=32).fit(data)

# Two files: vectors.tsv, a row of numbers for each film, and metadata.tsv, what is known of it. Load them at
# projector.tensorflow.org, choose UMAP or t-SNE, and colour by year. The page keeps them in your browser.
# In a terminal: recengine export --dataset sample --model ials --to projector --out films
folder = Path(sys.argv[1] if sys.argv[1:] else tempfile.mkdtemp()) / "films"
write_vectors(vectors_of(model.recommender, data), data, "projector", folder)
print("written to", folder)

# Nothing but these files is needed to see which films are close to each other, by the angle between their vectors.
vectors = np.loadtxt(folder / "vectors.tsv", delimiter="\t")
films = pd.read_csv(folder / "metadata.tsv", sep="\t", dtype={"item_id": str})
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12)
for title in ("Alien", "Toy Story", "Casablanca"):
    (row,) = films.index[films["title"] == title]
    nearest = (-vectors @ vectors[row]).argsort()[1:4]
    print(f"{title}: {', '.join(films['title'][nearest])}")
