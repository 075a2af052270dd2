"""The taste model behind `sample`: a simulated audience for a catalogue of real films.

How the audience comes about, in the order of the functions below:

1. Every film is a bundle of tags (genres, keywords, director, era). Two films are akin by the cosine of their tags, in
   which rare tags count for more: a shared franchise or director says more than a shared "Drama".
2. Fame decides how likely anybody is to have seen a film. It is a guess from the catalogue alone: a short list of titles
   that everyone knows, signs of a large or a small audience among the tags, and noise.
3. A person is a handful of films that they love, drawn by fame, by what people of their age, gender and occupation lean
   to, and by a first love that colours the others. Their taste spreads from these to all that is akin.
4. What people rate is what they are likely to have seen: fame and taste, and one draw of noise per person and film.
5. Ratings add the film's quality, the person's strictness, their taste and noise, and fall on half stars with a liking
   for whole ones.
6. Taste drifts: each love has its season, in which the films akin to it are watched, a franchise in the order of its
   parts. So the order of a history carries information, as it does in life.

All draws come from one PCG64 generator. Sums that decide a draw run over multiples of 2**-12, which add exactly in
any order, so that they do not depend on the machine's linear algebra.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rng = np.random.Generator

N_PEOPLE = 2_000
SEED = 20_261_122

AGE_GROUPS = ("18-24", "25-34", "35-44", "45-54", "55+")
AGE_SHARE = (0.22, 0.31, 0.22, 0.14, 0.11)
FORMATIVE_YEAR = (2014, 2006, 1996, 1986, 1973)
"""Per age group, the year around which the films lie that people of that age grew up with."""
GENDERS = ("F", "M")
GENDER_SHARE = (0.47, 0.53)
OCCUPATIONS = (
    "student",
    "engineer",
    "teacher",
    "artist",
    "health care",
    "office",
    "law",
    "science",
    "service",
    "retired",
)
LEANINGS = {
    "18-24": {"anime": 1, "superhero": 0.8, "computer animation": 0.5, "Horror": 0.4, "teen comedy": 0.5},
    "25-34": {"Sci-Fi": 0.3, "mind-bending": 0.5, "harry potter": 0.7, "pixar": 0.4},
    "35-44": {"Action": 0.3, "Children": 0.3, "neo-noir": 0.4},
    "45-54": {"Thriller": 0.3, "Comedy": 0.2, "rock and roll": 0.4},
    "55+": {"War": 0.4, "Western": 0.5, "Film-Noir": 0.5, "Musical": 0.4, "black and white": 0.5},
    "F": {"Romance": 0.4, "Musical": 0.4, "strong heroine": 0.5, "period piece": 0.4, "Drama": 0.2},
    "M": {"Action": 0.3, "War": 0.3, "Sci-Fi": 0.2, "Western": 0.3, "gangster": 0.4},
    "student": {"coming of age": 0.4, "college": 0.5, "stoner comedy": 0.5, "cult classic": 0.3},
    "engineer": {"Sci-Fi": 0.5, "space": 0.5, "artificial intelligence": 0.5, "time travel": 0.4},
    "teacher": {"Drama": 0.3, "biography": 0.4, "Children": 0.3, "teacher": 0.6},
    "artist": {"arthouse": 0.9, "new wave": 0.6, "surreal": 0.7, "music": 0.4, "Documentary": 0.4},
    "health care": {"hospital": 0.5, "Romance": 0.3, "family": 0.3},
    "office": {"Comedy": 0.3, "romantic comedy": 0.4, "workplace": 0.4},
    "law": {"courtroom": 0.8, "Crime": 0.4, "politics": 0.4},
    "science": {"Documentary": 0.6, "Sci-Fi": 0.4, "nature": 0.5, "mad scientist": 0.3},
    "service": {"Action": 0.4, "Horror": 0.4, "martial arts": 0.4},
    "retired": {"War": 0.3, "Mystery": 0.4, "Western": 0.4, "silent film": 0.4},
}
"""What a group leans to, by tag. Mild: most of a person's taste is their own."""

EVERYONE_KNOWS = """
The Shawshank Redemption; Pulp Fiction; Forrest Gump; The Matrix; The Silence of the Lambs; Star Wars; Jurassic Park;
Terminator 2: Judgment Day; Toy Story; Schindler's List; Fight Club; The Empire Strikes Back; Return of the Jedi;
Raiders of the Lost Ark; The Godfather; Back to the Future; The Lord of the Rings: The Fellowship of the Ring;
The Lord of the Rings: The Two Towers; The Lord of the Rings: The Return of the King; Titanic; The Lion King;
The Dark Knight; Inception; Finding Nemo; Shrek; Gladiator; Saving Private Ryan; The Sixth Sense; Se7en; Alien;
E.T. the Extra-Terrestrial; Jaws; Goodfellas; Die Hard; Avatar; The Avengers; Interstellar; The Shining; Psycho;
Harry Potter and the Philosopher's Stone; Pirates of the Caribbean: The Curse of the Black Pearl; Spirited Away
"""
MOST_KNOW = """
Aliens; The Terminator; Blade Runner; Indiana Jones and the Last Crusade; Indiana Jones and the Temple of Doom;
The Godfather Part II; Good Will Hunting; American Beauty; The Usual Suspects; Braveheart; Apollo 13; Independence Day;
Aladdin; Beauty and the Beast; The Incredibles; Up; WALL·E; Monsters, Inc.; Toy Story 2; Toy Story 3; Ratatouille;
Iron Man; Batman Begins; The Dark Knight Rises; Spider-Man; X-Men; Memento; Kill Bill: Vol. 1; Reservoir Dogs;
Inglourious Basterds; Django Unchained; Groundhog Day; Ghostbusters; Home Alone; The Princess Bride; Amélie;
Monty Python and the Holy Grail; 2001: A Space Odyssey; Dr. Strangelove; A Clockwork Orange; Taxi Driver;
Apocalypse Now; One Flew Over the Cuckoo's Nest; The Exorcist; Halloween; Casablanca; Citizen Kane; Vertigo;
Rear Window; North by Northwest; Singin' in the Rain; The Wizard of Oz; It's a Wonderful Life; 12 Angry Men;
Gone with the Wind; Some Like It Hot; Lawrence of Arabia; The Good, the Bad and the Ugly; Seven Samurai;
The Sound of Music; Mary Poppins; Goldfinger; Fargo; The Big Lebowski; L.A. Confidential; Heat; Trainspotting;
Léon: The Professional; Twelve Monkeys; Speed; Men in Black; The Fifth Element; The Truman Show; Ocean's Eleven;
Catch Me If You Can; A Beautiful Mind; Eternal Sunshine of the Spotless Mind; Donnie Darko; American Pie;
Harry Potter and the Chamber of Secrets; Harry Potter and the Prisoner of Azkaban; No Country for Old Men;
Harry Potter and the Goblet of Fire; The Departed; The Prestige; Casino Royale; Slumdog Millionaire; The Hangover;
Shutter Island; The Social Network; Black Swan; Gravity; Frozen; Guardians of the Galaxy; Mad Max: Fury Road;
The Wolf of Wall Street; Gone Girl; The Hunger Games; Get Out; La La Land; Parasite; Joker; Avengers: Endgame;
Oppenheimer; Barbie; Dune; Top Gun; Dirty Dancing; Pretty Woman; When Harry Met Sally...; Airplane!; Rocky;
Scarface; The Karate Kid; Ferris Bueller's Day Off; The Breakfast Club; Stand by Me; Beetlejuice; Batman; Big;
Edward Scissorhands; The Nightmare Before Christmas; Mrs. Doubtfire; The Mask; Dumb and Dumber; Scream; The Notebook;
The Little Mermaid; Snow White and the Seven Dwarfs; Bambi; The Jungle Book; Princess Mononoke; My Neighbor Totoro;
How to Train Your Dragon; Despicable Me; Inside Out; Coco; Love Actually; Juno; Little Miss Sunshine; Borat;
Crouching Tiger, Hidden Dragon; Oldboy; City of God; Pan's Labyrinth; Life Is Beautiful; The Lives of Others
"""
CIRCLES = """
star wars, star trek, space opera, space, alien, alien franchise
artificial intelligence, robot, cyberpunk, virtual reality, hacker, dystopia, post-apocalypse, terminator
time travel, mind-bending, dreams, memory, nonlinear, twist ending, unreliable narrator, identity, amnesia
superhero, marvel, batman, superman, comic book
middle-earth, harry potter, wizard, magic, dragon, quest, witch, Fantasy
indiana jones, treasure, archaeology, pirate, jungle, dinosaurs, island, ocean, Adventure
james bond, espionage, cold war, mission impossible, conspiracy, assassin
one man army, car chase, buddy cops, terminator, die hard, mad max, hostage, police, Action
mafia, gangster, undercover, corrupt cop, drugs, Crime
heist, con artist, hitman, nonlinear, neo-noir, black comedy, los angeles, kidnapping, Crime
Film-Noir, femme fatale, private eye, detective, black and white
Alfred Hitchcock, stalker, obsession, psychological, detective, Mystery, Thriller
slasher, serial killer, stalker, halloween, scream, Horror
ghost, haunted house, possession, supernatural, devil, psychological horror, cult, Horror
monster, vampire, zombie, werewolf, body horror, alien invasion, mad scientist, giant monster, Horror
world war ii, world war i, vietnam war, nazis, holocaust, resistance, War
gunslinger, outlaw, spaghetti western, civil war, native americans, Western
romantic comedy, wedding, friendship, Romance, Comedy
star-crossed lovers, love triangle, adultery, marriage, Romance, Drama
period piece, royalty, england, class divide, Drama
pixar, computer animation, toy story, talking animals, toys, Children, Animation
disney, fairy tale, princess, musical numbers, talking animals, Children, Animation
studio ghibli, anime, japan, Animation
kids adventure, childhood, coming of age, talking animals, dog, Children
music, musical numbers, dance, theatre, rock and roll, jazz, Musical
parody, slapstick, monty python, mockumentary, satire, Comedy
teen comedy, high school, gross-out comedy, stoner comedy, buddy comedy, college, Comedy
screwball, silent film, slapstick, hollywood, black and white, 1930s, 1940s
arthouse, slow cinema, existential, new wave, neorealism, surreal, loneliness
hong kong, korea, japan, china, samurai, martial arts
true story, biography, politics, journalism, nature, Documentary
courtroom, lawyer, racism, civil rights, prison, true story, Drama
boxing, sports underdog, football, baseball, racing
suburbia, loneliness, midlife crisis, grief, road trip, divorce, small town, Drama
"""
SMALL_AUDIENCE = {
    "Documentary": -0.8,
    "arthouse": -0.5,
    "slow cinema": -0.8,
    "silent film": -0.7,
    "neorealism": -0.6,
}
LARGE_AUDIENCE = {
    "blockbuster": 0.5,
    "marvel": 0.4,
    "pixar": 0.4,
    "disney": 0.3,
    "star wars": 0.4,
    "james bond": 0.3,
}

QUANTUM = 2.0**-12
P = dict(chance=0.3, cfame=1.2, cap=6.5, circ=0.35, begin=0.0, curious=0.25, pow=1.25, fame_sd=0.55, fame=0.9, taste=3.5, lean=0.5, like=0.9, noise=0.75, mean=3.35, season=0.45, link=0.3, love_kin=5.0, love_fame=0.6, love_lean=1.0, centre=0.35, dir=1.0, genre=0.8, era=0.7, fr=1.6, known=1.0)


class Catalogue(NamedTuple):
    """What the model knows of the films: (n,) arrays and the (n, n) kinship in [0, 1]."""

    tags: list[str]
    has: Floats  # (n, n_tags) 0/1
    kinship: Floats
    fame: Floats
    quality: Floats
    year: NDArray[np.int64]
    link: NDArray[np.int64]  # films of one franchise, else of one director, share a number


class People(NamedTuple):
    """The simulated people: indices into the tables above, and their loves."""

    age: NDArray[np.int64]
    gender: NDArray[np.int64]
    occupation: NDArray[np.int64]
    lean: Floats  # (U, n) what their group and their youth lean to
    loves: NDArray[np.int64]  # (U, M) films
    weight: Floats  # (U, M)


def simulate(films: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (ratings, users) of the simulated audience of these films."""
    rng = np.random.default_rng(SEED)
    catalogue = read_catalogue(films, rng)
    people = draw_people(catalogue, rng)
    history = choose_films(catalogue, people, rng)
    return history, users_table(people)


def read_catalogue(films: pd.DataFrame, rng: Rng) -> Catalogue:
    n = len(films)
    kinds: list[tuple[str, int, str]] = []
    rows: list[int] = []
    for row, (genres, keywords, director, year) in enumerate(
        zip(films["genres"], films["keywords"], films["director"], films["year"], strict=True)
    ):
        here = [(t, "g") for t in genres.split("|")] + [(t, "k") for t in keywords.split("|")]
        here += [(d, "d") for d in director.split(" & ")] + [(f"{int(year) // 10 * 10}s", "e")]
        for t, kind in here:
            rows.append(row)
            kinds.append((t, 0, kind))
    tags = sorted({(t, kind) for t, _, kind in kinds})
    place = {tag: i for i, tag in enumerate(tags)}
    has = np.zeros((n, len(tags)))
    has[rows, [place[t, kind] for t, _, kind in kinds]] = 1.0
    count = has.sum(0)
    rarity = np.minimum(np.log2(n / count), P["cap"])
    kind_weight = {"g": P["genre"], "k": 1.0, "d": P["dir"], "e": P["era"]}
    weight = np.array([kind_weight[k] * r for (t, k), r in zip(tags, rarity, strict=True)])
    weight *= np.where([t in DULL for t, _ in tags], 0.25, 1.0)
    weight *= np.where([t in FRANCHISES for t, _ in tags], P["fr"], 1.0)
    weight *= count > 1
    x = has * weight
    x /= np.sqrt((x * x).sum(1, keepdims=True))
    x = np.round(x / QUANTUM) * QUANTUM
    cos = x @ x.T
    names = [t for t, _ in tags]
    known = {t: i for i, t in enumerate(names)}
    circ = np.zeros((n, 0))
    for line in CIRCLES.strip().splitlines():
        col = sum(has[:, known[t]] * (0.6 if t[0].isupper() and " " not in t else 1.0) for t in line.split(", ") if t in known)
        circ = np.column_stack([circ, np.interp(col, [0, 1, 2, 3], [0, 0.15, 0.8, 1.0])])
    length = np.sqrt((circ * circ).sum(1, keepdims=True))
    circ = np.round(circ / np.maximum(length, 0.5) / QUANTUM) * QUANTUM
    kin = np.minimum((1 - P["circ"]) * cos + P["circ"] * (circ @ circ.T), 1.0)
    kin = np.round(kin**P["pow"] / QUANTUM) * QUANTUM

    names = [t for t, _ in tags]
    known = {t: i for i, t in enumerate(names)}
    fame = rng.standard_normal(n) * P["fame_sd"]
    titles = films["title"].to_numpy()
    for text, gain in ((EVERYONE_KNOWS, 2.0), (MOST_KNOW, 1.1)):
        fame += P["known"] * gain * np.isin(titles, [t.strip() for t in text.replace("\n", " ").split(";")])
    for tag, gain in (SMALL_AUDIENCE | LARGE_AUDIENCE).items():
        if tag in known:
            fame += gain * has[:, known[tag]]
    year = films["year"].to_numpy(np.int64)
    fame += np.interp(year, [1920, 1960, 1980, 1995, 2010, 2025], [-1.0, -0.6, 0.0, 0.4, 0.3, 0.0])
    quality = 0.35 * rng.standard_normal(n) + 0.15 * fame

    link = np.full(n, -1)
    for i, (t, k) in enumerate(tags):
        if k == "d" and count[i] > 1:
            link[has[:, i] > 0] = i
    for i, (t, k) in enumerate(tags):
        if t in FRANCHISES:
            link[has[:, i] > 0] = i
    alone = link < 0
    link[alone] = len(tags) + np.arange(n)[alone]
    link = np.unique(link, return_inverse=True)[1]
    return Catalogue(names, has, kin, fame, quality, year, link)


FRANCHISES = frozenset(
    ["star wars", "james bond", "middle-earth", "marvel", "batman", "harry potter", "star trek", "toy story", "alien franchise", "terminator", "indiana jones", "godzilla", "mad max", "die hard", "evil dead", "hannibal lecter", "jurassic park", "halloween", "rocky", "superman", "monty python", "sherlock holmes", "muppets", "studio ghibli", "pixar"]
)
DULL = frozenset(
    ["sequel", "blockbuster", "epic", "cult classic", "remake", "ensemble", "family", "friendship", "arthouse", "1980s"]
)


def draw_people(c: Catalogue, rng: Rng, n_loves: int = 6) -> People:
    n = N_PEOPLE
    age = pick(AGE_SHARE, n, rng)
    gender = pick(GENDER_SHARE, n, rng)
    weights = np.full((len(AGE_GROUPS), len(OCCUPATIONS)), 1.0)
    weights[:, 0] = [6, 1, 0.2, 0.1, 0]
    weights[:, 9] = [0, 0, 0, 0, 8]
    cum = np.cumsum(weights / weights.sum(1, keepdims=True), axis=1)
    occupation = np.minimum((rng.random(n)[:, None] > cum[age]).sum(1), len(OCCUPATIONS) - 1)
    known = {t: i for i, t in enumerate(c.tags)}
    table = {}
    for group, leans in LEANINGS.items():
        v = np.zeros(len(c.tags))
        for tag, w in leans.items():
            if tag in known:
                v[known[tag]] = w
        table[group] = c.has @ v
    groups = [AGE_GROUPS, GENDERS, OCCUPATIONS]
    lean = sum(
        np.array([table[g] for g in names])[idx]
        for names, idx in zip(groups, (age, gender, occupation), strict=True)
    )
    formative = np.array(FORMATIVE_YEAR)[age] + 8 * rng.standard_normal(n)
    gap = (c.year[None, :] - formative[:, None]) / 14
    lean = lean + 0.9 / (1 + gap * gap)
    base = P["love_fame"] * c.fame + P["love_lean"] * lean
    first = (base + gumbel(rng, base.shape)).argmax(1)
    rest = base + P["love_kin"] * c.kinship[first] + gumbel(rng, base.shape)
    rest[np.arange(n), first] = -np.inf
    others = np.argsort(-rest, axis=1)[:, : n_loves - 1]
    loves = np.column_stack([first, others])
    weight = np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5]) * (0.6 + 0.8 * rng.random((n, n_loves)))
    return People(age, gender, occupation, lean, loves, np.round(weight / QUANTUM) * QUANTUM)


def choose_films(c: Catalogue, p: People, rng: Rng) -> pd.DataFrame:
    n, m = p.loves.shape
    taste = np.zeros((n, len(c.year)))
    nearest = np.zeros(taste.shape, np.int8)
    best = np.zeros(taste.shape)
    for j in range(m):
        part = p.weight[:, j, None] * c.kinship[p.loves[:, j]]
        taste += part
        closer = part > best
        nearest[closer] = j
        best[closer] = part[closer]
    start = 1_514_764_800 + (rng.random(n) * 8.3 * 31_557_600).astype(np.int64)
    span = np.minimum(86_400 * np.exp(3.5 + 1.8 * rng.standard_normal(n)), 1_793_404_800 - start) + 7_200
    out = (
        np.array([(y - 1970) * 31_557_600 + 15_778_800 for y in c.year.tolist()])[None, :] - start[:, None]
    ) / span[:, None]
    size = 20 + np.floor(np.exp(3.3 + 1.15 * rng.standard_normal(n)))
    size = np.minimum(size, 500).astype(int)
    keen = P["fame"] + P["curious"] * rng.standard_normal(n)
    by_fame = keen[:, None] * c.fame + P["lean"] * p.lean
    by_taste = by_fame + P["taste"] * taste
    by_chance = P["cfame"] * by_fame
    want = np.logaddexp(
        by_taste - np.log(np.exp(by_taste).sum(1, keepdims=True)) + np.log(1 - P["chance"]),
        by_chance - np.log(np.exp(by_chance).sum(1, keepdims=True)) + np.log(P["chance"]),
    ) + gumbel(rng, taste.shape)
    want[out >= 0.95] = -np.inf
    order = np.argsort(-want, axis=1)
    user = np.repeat(np.arange(n), size)
    place = np.arange(len(user)) - np.repeat(np.cumsum(size) - size, size)
    item = order[user, place]
    # ratings
    liking = taste[user, item]
    liking = liking - P["centre"]
    mean = P["mean"] + 0.35 * rng.standard_normal(n)
    latent = mean[user] + c.quality[item] + P["like"] * liking + P["noise"] * rng.standard_normal(len(user))
    whole = rng.random(len(user)) < (0.35 + 0.5 * rng.random(n))[user]
    star = np.where(whole, np.round(latent), np.round(latent * 2) / 2)
    star = np.clip(star, 0.5, 5.0)
    # time
    season = rng.random((n, m))
    linked = rng.random((n, int(c.link.max()) + 1))
    key = (
        P["season"] * season[user, nearest[user, item]] + P["link"] * linked[user, c.link[item]] + (1 - P["season"] - P["link"]) * rng.random(len(user))
    )
    key = key * (1 - P["begin"]) + P["begin"] * (1 - np.clip(c.fame[item] / 3, 0, 1))
    key = np.maximum(key, out[user, item])
    stamp = (start[user] + key * span[user]).astype(np.int64)
    return pd.DataFrame({"user_id": user + 1, "item_id": item + 1, "rating": star, "timestamp": stamp})


def users_table(p: People) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_id": np.arange(len(p.age)) + 1,
            "age_group": np.array(AGE_GROUPS)[p.age],
            "gender": np.array(GENDERS)[p.gender],
            "occupation": np.array(OCCUPATIONS)[p.occupation],
        }
    )


def pick(share: tuple[float, ...], n: int, rng: Rng) -> NDArray[np.int64]:
    return np.searchsorted(np.cumsum(share)[:-1], rng.random(n), side="right")


def gumbel(rng: Rng, shape: tuple[int, ...]) -> Floats:
    return -np.log(-np.log(rng.random(shape) + 1e-300) + 1e-300)
