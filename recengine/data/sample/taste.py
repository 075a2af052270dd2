"""Tables of the taste model behind `sample`: guesses about films and users, written down by hand, not measured.

A *tag* is a genre, a keyword, a director or a decade ("1980s") of a film.
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
hong kong, korea, japan, china, samurai, martial arts
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

FAINT = "blockbuster, cult classic, ensemble, epic, family, friendship, remake, sequel"
"""Keywords that reveal little of taste."""

FAME: dict[str, float] = {
    "blockbuster": 0.5,
    "disney": 0.3,
    "james bond": 0.3,
    "marvel": 0.4,
    "pixar": 0.4,
    "star wars": 0.4,
    "arthouse": -0.5,
    "neorealism": -0.6,
    "silent film": -0.6,
    "slow cinema": -0.8,
    "Documentary": -0.8,
}
"""Signs of a large or a small audience, by tag, added to a film's fame."""

FAME_BY_YEAR = {1920: -1.0, 1960: -0.5, 1980: 0.0, 1995: 0.4, 2010: 0.3, 2025: 0.0}
"""Added to a film's fame; between these years in a straight line."""

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
Rear Window; North by Northwest; The Birds; Singin' in the Rain; The Wizard of Oz; It's a Wonderful Life; 12 Angry Men;
Gone with the Wind; Some Like It Hot; Lawrence of Arabia; The Good, the Bad and the Ugly; Seven Samurai;
The Sound of Music; Mary Poppins; Goldfinger; Fargo; The Big Lebowski; L.A. Confidential; Heat; Trainspotting;
Léon: The Professional; 12 Monkeys; Speed; Men in Black; The Fifth Element; The Truman Show; Ocean's Eleven;
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
Crouching Tiger, Hidden Dragon; Oldboy; City of God; Pan's Labyrinth; Life Is Beautiful; The Lives of Others;
A Nightmare on Elm Street; The Thing; Sleepless in Seattle; Once Upon a Time in the West; Predator; RoboCop;
The Bourne Identity; Minority Report; Cast Away; The Green Mile; Jumanji; Grease; Cinderella; Annie Hall;
Deadpool; Black Panther; Spider-Man: Into the Spider-Verse; Top Gun: Maverick; Everything Everywhere All at Once;
Dune: Part Two; Wicked; Inside Out 2
"""
"""Titles that nearly every user, and that most, will have heard of: from memory, by no measure."""
