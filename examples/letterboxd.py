"""From the zip that Letterboxd exports to a list, with a reason for each film: python examples/letterboxd.py [zip]"""

import sys
import tempfile
import zipfile
from pathlib import Path

import recengine as rec
from recengine.data.histories import read_histories
from recengine.serving.explain import reasons

RATINGS = """Date,Name,Year,Letterboxd URI,Rating
2024-01-07,Alien,1979,https://boxd.it/1,5
2024-01-09,Casablanca,1942,https://boxd.it/2,4.5
2024-02-11,Toy Story,1995,https://boxd.it/3,4.5
2024-03-02,The Notebook,2004,https://boxd.it/4,1.5
2024-03-09,A Film That Is in No Catalogue,2023,https://boxd.it/5,5
"""
WATCHED = """Date,Name,Year,Letterboxd URI
2024-01-07,Alien,1979,https://boxd.it/1
2024-04-01,The Terminator,1984,https://boxd.it/6
"""

with tempfile.TemporaryDirectory() as folder:
    path = Path(sys.argv[1]) if sys.argv[1:] else Path(folder) / "letterboxd.zip"
    if not sys.argv[1:]:  # stands for yours: letterboxd.com, Settings, Data, Export
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("ratings.csv", RATINGS)
            archive.writestr("watched.csv", WATCHED)

    # Titles and years are matched with the catalogue; what cannot be matched is said.
    data = rec.load("sample")
    histories = read_histories(path, data)
    print(*histories.notes, sep="\n")

# Half stars are in the scale of the data; what was seen without stars is hidden from the list.
rated, seen = histories.rows, histories.seen
mine = dict(zip(data.item_ids[rated.item_idx].tolist(), rated.rating.tolist(), strict=True))
unseen = [item for item in data.item_ids.tolist() if item not in set(data.item_ids[seen.item_idx])]
model = rec.create("taste").fit(data)
films = model.recommend_new([mine], k=5, among=unseen)

titles = data.items["title"]
listed = data.item_index(films["item_id"].to_numpy())
for index, reason in zip(listed, reasons(model.recommender, rated, listed, new_user=True), strict=True):
    because = f"because of {titles[reason.item_idx]}" if reason.item_idx >= 0 else ""
    print(f"{titles[index]:35} {because}")
