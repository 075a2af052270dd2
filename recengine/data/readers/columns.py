"""Which column is what: the names that users, items, ratings, times and events go by."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from recengine.data.reading import ROLES, Interpretation
from recengine.errors import BadInput, suggest

NAMES: dict[str, tuple[str, ...]] = {
    "user": (
        "userid",
        "user uid",
        "reviewerid customerid clientid visitorid memberid accountid buyerid profileid shopperid",
        "reviewer customer client visitor member account buyer profile shopper username",
        "sessionid session",
    ),
    "item": (
        "movieid itemid filmid",
        "movie item film",
        "asin isbn bookid productid articleid sku trackid songid artistid gameid animeid businessid newsid courseid",
        "book product article track song artist game anime business course",
        "parentasin title",
    ),
    "rating": (
        "rating score stars overall bookrating",
        "plays playcount listens listeningcount count quantity qty clicks purchases weight",
    ),
    "time": (
        "timestamp",
        "time unixtimestamp unixreviewtime eventtime",
        "date datetime ratedat createdat reviewtime",
    ),
    "event": ("eventtype event action actiontype behavior behaviour behaviortype interaction interactiontype",),
}
"""In lower case without signs, the surest first; two columns of one rank are two plausible readings."""
COUNTS = frozenset(NAMES["rating"][1].split(" "))
"""Names of columns that count events."""
DOCUMENTED = {
    "user": {"userid", "user"},
    "item": {"movieid", "itemid", "movie", "item"},
    "rating": {"rating"},
    "time": {"timestamp", "time"},
}
"""Names that leave nothing to infer."""
DESCRIBING = ("title", "genres", "year")
"""Further columns of a long table that describe the item, its title first, as in ratings merged with films."""
MOST_NAMED = 1_000
"""Columns up to which their names are looked at; a wider table is one of users and items."""
_TYPE = re.compile(r":(?:token|float)(?:_seq)?$")
"""RecBole's suffix."""


def plain(name: str) -> str:
    """Return a column's name without case, signs and RecBole's type."""
    return re.sub(r"[\W_]+", "", _TYPE.sub("", name.strip()).lower())


def candidates(names: Sequence[str]) -> dict[str, list[int]]:
    """Return for each role the columns that may have it, all of the surest rank that there is."""
    if len(names) > MOST_NAMED:
        return {}
    known = [plain(name) for name in names]
    columns: dict[str, list[int]] = {}
    for role, ranks in NAMES.items():
        for rank in ranks:
            if at := [index for index, name in enumerate(known) if name in rank.split(" ")]:
                columns[role] = at
                break
    return columns


def roles(names: Sequence[str]) -> dict[str, int]:
    """Return the column of each role that a header names; the first of several."""
    return {role: at[0] for role, at in candidates(names).items()}


def stated_columns(label: str, names: Sequence[str], interpretation: Interpretation) -> dict[str, int]:
    """Return the columns that were stated; BadInput for one that is not there or there twice."""
    columns = {}
    for role, name in interpretation.stated.columns.items():
        if name is None:
            continue
        at = [index for index, known in enumerate(names) if known == name]
        at = at or [index for index, known in enumerate(names) if plain(known) == plain(name) != ""]
        if len(at) != 1:
            listed = ", ".join(names)[:200]
            problem = f"is {'several columns' if at else 'no column'} of {label}{'' if at else suggest(name, [*names])}"
            raise BadInput("columns", f"{role}={name}", f"one of {listed}", problem=problem)
        columns[role] = at[0]
    return columns


def refuse_unread_numbers(
    label: str,
    names: Sequence[str],
    columns: dict[str, int],
    is_number: Callable[[int], bool],
    interpretation: Interpretation,
) -> None:
    """Raise BadInput where a table has no ratings, but a column of numbers that may be ratings.

    Whoever states user and item, or implicit feedback, has left it out on purpose.
    """
    stated = interpretation.stated
    if columns.keys() & {"rating", "event"} or stated.feedback == "implicit" or (stated.user and stated.item):
        return
    known = {*DESCRIBING, "", *(alias for ranks in NAMES.values() for rank in ranks for alias in rank.split(" "))}
    for index, name in enumerate(names):
        other = index in columns.values() or plain(name) in known or plain(name).endswith("id")
        if not other and is_number(index):
            problem = f"has no column of ratings, but {name!r}, which may be one"
            remedy = "state it in `columns`, or `feedback` implicit if each row is an event"
            raise BadInput(label, None, f"rating={name} or none", remedy, problem=problem)


def long_columns(label: str, names: Sequence[str], interpretation: Interpretation) -> dict[str, int]:
    """Return the columns of a table with one rating in a row, those stated and those that their names tell.

    Raises BadInput where user or item is missing, or two columns may have one role.
    """
    stated = stated_columns(label, names, interpretation)
    taken = set(stated.values())
    columns = dict(stated)
    for role, at in candidates(names).items():
        free = [index for index in at if index not in taken]
        if role in stated or not free:
            continue
        if len(free) > 1:
            several = " and ".join(repr(names[index]) for index in free[:3])
            problem = f"are not clear: {several} of {label} may both be the {role}"
            raise BadInput("columns", None, f"{role}={names[free[0]]} or {role}={names[free[1]]}", problem=problem)
        columns[role] = free[0]
    if "rating" in columns and "event" not in stated:
        if "event" in columns and interpretation.stated.weights:
            del columns["rating"]
        else:
            columns.pop("event", None)
    if missing := [role for role in ("user", "item") if role not in columns]:
        problem = f"has the columns {', '.join(names)[:200]!r}, without one for {' and '.join(missing)}"
        remedy = f"state `columns`, such as {','.join(f'{role}=NAME' for role in missing)}"
        raise BadInput(label, None, "userId,movieId,rating[,timestamp]", remedy, problem=problem)
    by_the_book = all(plain(names[at]) in DOCUMENTED.get(role, ()) for role, at in columns.items())
    means = ", ".join(f"{role} is {names[columns[role]]!r}" for role in ROLES if role in columns)
    interpretation.infer(
        "" if by_the_book else f"Columns of {label}: {means}.", **{role: names[at] for role, at in columns.items()}
    )
    return columns
