"""Tables of the taste model behind `sample`: guesses about films and users, written down by hand, not measured.

A *tag* is a genre, a keyword, a director, a country or a decade ("1980s") of a film.
"""

GENRES = """
Action, Adventure, Animation, Children, Comedy, Crime, Documentary, Drama, Fantasy, Film-Noir, Horror, Musical,
Mystery, Romance, Sci-Fi, Thriller, War, Western
"""

AGE_GROUPS = {"18-24": 0.22, "25-34": 0.31, "35-44": 0.22, "45-54": 0.14, "55+": 0.11}
"""Share of the users in each age group."""
FORMATIVE_YEAR = {"18-24": 2014, "25-34": 2005, "35-44": 1996, "45-54": 1986, "55+": 1973}
"""The year about which the films lie that users of that age grew up with."""
GENDERS = {"F": 0.47, "M": 0.53}
OCCUPATIONS = {
    "student": (0.45, 0.10, 0.02, 0.01, 0.00),
    "engineer": (0.08, 0.15, 0.15, 0.14, 0.06),
    "teacher": (0.04, 0.12, 0.14, 0.15, 0.10),
    "artist": (0.09, 0.11, 0.10, 0.09, 0.06),
    "health care": (0.05, 0.11, 0.13, 0.14, 0.08),
    "office": (0.09, 0.16, 0.20, 0.20, 0.10),
    "law": (0.02, 0.06, 0.07, 0.07, 0.05),
    "science": (0.05, 0.08, 0.08, 0.08, 0.05),
    "service": (0.13, 0.11, 0.11, 0.12, 0.05),
    "retired": (0.00, 0.00, 0.00, 0.00, 0.45),
}
"""Share of each age group, in the order of AGE_GROUPS."""

LEANINGS: dict[str, dict[str, float]] = {
    "18-24": {"anime": 1.0, "superhero": 0.8, "teen comedy": 0.5, "Horror": 0.4},
    "25-34": {"harry potter": 0.7, "mind-bending": 0.5, "pixar": 0.4, "Sci-Fi": 0.3},
    "35-44": {"neo-noir": 0.4, "Action": 0.3, "Children": 0.3},
    "45-54": {"rock and roll": 0.4, "Thriller": 0.3, "Comedy": 0.2},
    "55+": {"Film-Noir": 0.5, "Western": 0.5, "black and white": 0.5, "War": 0.4, "Musical": 0.4},
    "F": {"strong heroine": 0.5, "Romance": 0.4, "Musical": 0.4, "period piece": 0.4, "Drama": 0.2},
    "M": {"gangster": 0.4, "Action": 0.3, "War": 0.3, "Western": 0.3, "Sci-Fi": 0.2},
    "student": {"college": 0.5, "stoner comedy": 0.5, "coming of age": 0.4, "cult classic": 0.3},
    "engineer": {"Sci-Fi": 0.5, "space": 0.5, "artificial intelligence": 0.5, "time travel": 0.4},
    "teacher": {"teacher": 0.6, "biography": 0.4, "Drama": 0.3, "Children": 0.3},
    "artist": {"arthouse": 0.9, "surreal": 0.7, "new wave": 0.6, "music": 0.4, "Documentary": 0.4},
    "health care": {"hospital": 0.5, "Romance": 0.3, "family": 0.3},
    "office": {"romantic comedy": 0.4, "workplace": 0.4, "Comedy": 0.3},
    "law": {"courtroom": 0.8, "Crime": 0.4, "politics": 0.4},
    "science": {"Documentary": 0.6, "nature": 0.5, "Sci-Fi": 0.4, "mad scientist": 0.3},
    "service": {"Action": 0.4, "Horror": 0.4, "martial arts": 0.4},
    "retired": {"Mystery": 0.4, "Western": 0.4, "silent film": 0.4, "War": 0.3},
}
"""What a group leans to, by tag. Mild: most of a user's taste is their own."""

CIRCLES = """
star wars, star trek, space opera, space, alien, alien franchise
artificial intelligence, robot, cyberpunk, virtual reality, hacker, dystopia, post-apocalypse, terminator
time travel, mind-bending, dreams, memory, nonlinear, twist ending, unreliable narrator, identity, amnesia
superhero, marvel, avengers, spider-man, batman, superman, comic book
middle-earth, harry potter, wizard, magic, dragon, quest, witch, Fantasy
indiana jones, jurassic park, treasure, archaeology, pirate, jungle, dinosaurs, island, ocean, Adventure
james bond, espionage, cold war, mission impossible, conspiracy, assassin
one man army, car chase, buddy cops, terminator, die hard, mad max, hostage, police, Action
mafia, gangster, undercover, corrupt cop, drugs, Crime
heist, con artist, hitman, nonlinear, neo-noir, black comedy, los angeles, kidnapping, Crime
Film-Noir, femme fatale, private eye, detective, black and white
Alfred Hitchcock, stalker, obsession, psychological, detective, Mystery, Thriller
slasher, serial killer, stalker, scream, Horror
ghost, haunted house, possession, supernatural, devil, psychological horror, cult, Horror
monster, vampire, zombie, werewolf, body horror, alien invasion, mad scientist, giant monster, Horror
world war ii, world war i, vietnam war, nazis, holocaust, resistance, War
gunslinger, outlaw, spaghetti western, civil war, native americans, Western
romantic comedy, wedding, friendship, Romance, Comedy
romantic comedy, new york, dialogue-driven, Nora Ephron, Woody Allen, Romance
star-crossed lovers, love triangle, adultery, marriage, Romance, Drama
period piece, royalty, england, class divide, Drama
pixar, computer animation, toy story, talking animals, toys, Children, Animation
disney, fairy tale, princess, musical numbers, talking animals, Children, Animation
studio ghibli, anime, japan, Animation
kids adventure, childhood, coming of age, talking animals, dog, Children
music, musical numbers, dance, theatre, rock and roll, jazz, Musical
parody, slapstick, monty python, mockumentary, Mel Brooks, David Zucker, Comedy
teen comedy, high school, gross-out comedy, stoner comedy, buddy comedy, college, Comedy
screwball, silent film, slapstick, hollywood, black and white, 1930s, 1940s
arthouse, slow cinema, existential, new wave, neorealism, surreal, loneliness
France, Italy, Germany, Sweden, Denmark, Russia, Iran, Taiwan, Japan, Poland, Hungary, arthouse, black and white
Russia, Iran, Taiwan, Hungary, Belgium, slow cinema, existential, childhood
France, new wave, paris
Italy, neorealism, poverty
Japan, samurai, anime
Hong Kong, China, South Korea, samurai, martial arts
Spain, Mexico, Brazil, Argentina
Sweden, Denmark, Norway
1970s, United States new waves, neo-noir, road trip, loneliness, satire, Drama, Crime
true story, biography, politics, journalism, nature, Documentary
courtroom, lawyer, racism, civil rights, prison, true story, Drama
boxing, rocky, sports underdog, football, baseball, racing
suburbia, loneliness, midlife crisis, grief, road trip, divorce, small town, Drama
"""
"""Tags that go together for those who love them, a circle of fans per line."""

FRANCHISES = """
alien franchise, avengers, back to the future, batman, die hard, evil dead, hannibal lecter, harry potter,
indiana jones, james bond, jurassic park, mad max, marvel, middle-earth, mission impossible, monty python, rocky,
spider-man, star trek, star wars, studio ghibli, superman, terminator, toy story
"""
"""Keywords that reveal more than others, whose films are often watched in order."""

FAINT = """
blockbuster, cult classic, ensemble, epic, family, friendship, remake, sequel, United States, United Kingdom
"""
"""Keywords that reveal little of taste."""

FAME_OF_CLASS = (-1.5, -0.5, 0.6, 2.1, 4.4)
"""Logits of having seen a film of each class of fame: 1 is known to few, 5 to nearly everybody."""
STARS_OF_STATURE = (-1.3, -0.8, -0.25, 0.1, 0.75)
"""Stars that a film of each class of stature gets above the usual: 1 is poorly regarded, 5 belongs to the canon."""

EPOCHS = {"silent era": 1895, "studio era": 1930, "new waves": 1960, "blockbuster era": 1983, "our century": 2000}
"""Epochs of film-making and when they begin: each country has its own, "United States new waves", as a tag."""
PASSIONS = {
    "genre": (0.50, 0.15),
    "era": (0.15, 0.35),
    "country": (0.05, 0.30),
    "director": (0.30, 0.20),
}
"""Share of the kinds of passion: of most users, of cinephiles."""
HAVE_AN_AVERSION = 0.7
AVERSIONS = {
    "Horror": 0.25,
    "Musical": 0.2,
    "Children": 0.15,
    "Romance": 0.12,
    "Sci-Fi": 0.1,
    "War": 0.08,
    "Western": 0.06,
    "Action": 0.04,
}
"""Share of the genres that are avoided, among users who avoid one."""
