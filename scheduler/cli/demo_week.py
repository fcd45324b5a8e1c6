"""The demo's week: thirty posts of a bakery that reopens, and what happens to its page. Data.

A place is a role, so that the story needs no platform by name: `page` is the one that will
vanish, `other` a second page, `list` the mailing list, `chat` the messages, `site` the blog.
"""

from __future__ import annotations

from dataclasses import dataclass

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
EVERYWHERE = ("page", "other", "list", "chat", "site")
PAGE = ("page",)
BOTH_PAGES = ("page", "other")
QUIET = ("other", "site")

# Day and hour: when phones alone still see the page, when it is gone, when it is back.
PHONES_ONLY = (1, 7)
GONE = (2, 7)
BACK = (5, 10)


@dataclass(frozen=True, slots=True)
class Line:
    """One post of the week. `day` 0 is Monday; `hour` local to the story."""

    day: int
    hour: int
    kind: str
    where: tuple[str, ...]
    title: str


WEEK: tuple[Line, ...] = (
    Line(0, 9, "essential", EVERYWHERE, "We reopen on Sunday"),
    Line(0, 12, "ordinary", PAGE, "The new oven has arrived"),
    Line(0, 15, "ordinary", BOTH_PAGES, "Meet Lucie, our apprentice"),
    Line(0, 17, "promotional", PAGE, "Two baguettes for one"),
    Line(1, 9, "ordinary", PAGE, "The first loaves of the new oven"),
    Line(1, 12, "ordinary", QUIET, "Where our flour comes from"),
    Line(1, 15, "essential", PAGE, "Deliveries start again"),
    Line(1, 17, "ordinary", BOTH_PAGES, "A morning at the mill"),
    Line(2, 9, "ordinary", BOTH_PAGES, "How we make puff pastry"),
    Line(2, 12, "ordinary", PAGE, "Your questions, answered"),
    Line(2, 15, "essential", EVERYWHERE, "Order your cakes by Friday"),
    Line(2, 17, "promotional", PAGE, "Coffee for one euro"),
    Line(2, 17, "ordinary", QUIET, "Rye bread, step by step"),
    Line(3, 9, "ordinary", PAGE, "The shop is painted"),
    Line(3, 11, "essential", PAGE, "New opening hours"),
    Line(3, 12, "ordinary", BOTH_PAGES, "Old photographs of the street"),
    Line(3, 15, "ordinary", QUIET, "Less sugar, more fruit"),
    Line(3, 17, "promotional", PAGE, "A tart for your neighbour"),
    Line(4, 9, "ordinary", PAGE, "The sign is up"),
    Line(4, 11, "essential", PAGE, "Road works: come by the square"),
    Line(4, 12, "ordinary", BOTH_PAGES, "What our regulars say"),
    Line(4, 15, "ordinary", QUIET, "Three days of sourdough"),
    Line(5, 9, "ordinary", PAGE, "The shelves fill up"),
    Line(5, 12, "essential", EVERYWHERE, "Tomorrow at seven"),
    Line(5, 15, "ordinary", BOTH_PAGES, "Thank you to our neighbours"),
    Line(5, 17, "promotional", PAGE, "Brunch at half price"),
    Line(6, 7, "essential", EVERYWHERE, "We are open"),
    Line(6, 9, "ordinary", PAGE, "The first customers"),
    Line(6, 12, "ordinary", QUIET, "Sunday bread"),
    Line(6, 15, "ordinary", PAGE, "See you on Tuesday"),
)
