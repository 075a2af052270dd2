"""Ratings in: sources, validation, id maps, splits and sampling."""
