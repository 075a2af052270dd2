"""Input errors: one sentence of the value, what was expected and what to do."""

from recengine.errors import BadInput


def test_a_front_end_renames_fields_but_never_what_was_given() -> None:
    error = BadInput("k", "`min_item`", "1 to 40", "raise `min_item`", problem="is too large for `this`")
    assert str(error) == "k '`min_item`' is too large for `this`; expected 1 to 40; raise min_item"
    flags = {"k": "-k", "min_item": "--min-item"}
    assert (
        error.sentence(flags.__getitem__)
        == "-k '`min_item`' is too large for `this`; expected 1 to 40; raise --min-item"
    )


def test_a_message_keeps_the_backticks_of_a_file() -> None:
    assert str(BadInput("line 2 has the rating 'a `code`'")) == "line 2 has the rating 'a `code`'"
