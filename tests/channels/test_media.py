"""Which form of a picture a channel can take."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import Capabilities, Channel
from channels.media import VariantPlan, foreseen, plan_variant
from channels.posts import Media, Post, Variant

JPEG, PNG, GIF, WEBP = "image/jpeg", "image/png", "image/gif", "image/webp"


def media(
    content_type: str = JPEG, *, width: int = 1000, height: int = 800, size: int = 1
) -> Media:
    return Media(id="m", content_type=content_type, width=width, height=height, size=size)


def takes(*types: str, max_bytes: int | None = None, max_pixels: int | None = None) -> Capabilities:
    return Capabilities(
        text_limit=None,
        image_types=frozenset(types),
        image_max_bytes=max_bytes,
        image_max_pixels=max_pixels,
    )


@pytest.mark.parametrize(
    ("picture", "channel"),
    [
        (media(), takes(JPEG)),
        (media(size=100), takes(JPEG, max_bytes=100)),
        (media(), takes(JPEG, max_pixels=800_000)),
        (media(), takes()),  # a channel without pictures: not a matter of their form
        (Media(id="v", content_type="video/mp4"), takes(JPEG)),
        (Media(id="u", content_type=PNG, url="https://a.example/"), takes(JPEG)),
    ],
)
def test_what_fits_is_left_alone(picture: Media, channel: Capabilities) -> None:
    assert plan_variant(picture, channel) is None


@pytest.mark.parametrize(
    ("picture", "channel", "plan"),
    [
        (media(WEBP), takes(PNG, JPEG), VariantPlan(content_type=JPEG, width=1000, height=800)),
        (media(WEBP), takes(PNG), VariantPlan(content_type=PNG, width=1000, height=800)),
        (
            media(size=101),
            takes(JPEG, max_bytes=100),
            VariantPlan(content_type=JPEG, width=1000, height=800, max_bytes=100),
        ),
        (
            media(PNG, size=101),
            takes(PNG, JPEG, max_bytes=100),
            VariantPlan(content_type=JPEG, width=1000, height=800, max_bytes=100),
        ),
        (
            media(PNG, size=101),
            takes(PNG, max_bytes=100),
            VariantPlan(content_type=PNG, width=1000, height=800, max_bytes=100),
        ),
        (
            media(PNG),
            takes(PNG, JPEG, max_pixels=200_000),
            VariantPlan(content_type=PNG, width=500, height=400),
        ),
    ],
)
def test_what_does_not_fit_is_made_to(
    picture: Media, channel: Capabilities, plan: VariantPlan
) -> None:
    assert plan_variant(picture, channel) == plan


@given(
    width=st.integers(1, 50_000), height=st.integers(1, 50_000), pixels=st.integers(1, 40_000_000)
)
def test_no_plan_has_more_pixels_than_the_channel_takes(
    width: int, height: int, pixels: int
) -> None:
    plan = plan_variant(media(width=width, height=height), takes(JPEG, max_pixels=pixels))

    made = (plan.width, plan.height) if plan else (width, height)
    assert made[0] >= 1
    assert made[1] >= 1
    assert made[0] * made[1] <= pixels or 1 in made


class Gallery:
    """As much of a channel as planning looks at."""

    channel = "gallery"
    capabilities = takes(JPEG, max_bytes=100, max_pixels=200_000)


def test_a_plan_sees_the_pictures_as_the_channel_will_get_them() -> None:
    post = Post(id="p", media=(media(PNG, size=5000), Media(id="v", content_type="video/mp4")))

    planned, video = foreseen(post, cast("Channel", Gallery())).media

    assert planned == Media(id="m", content_type=JPEG, width=500, height=400, size=100)
    assert video == post.media[1]


def test_a_variants_own_pictures_are_the_ones_that_count() -> None:
    own = Variant(media=(media(PNG),))
    post = Post(id="p", media=(media(WEBP),), variants={"gallery": own, "other": Variant()})

    planned = foreseen(post, cast("Channel", Gallery()))

    assert planned.media == post.media
    assert planned.for_channel("gallery").media[0].content_type == JPEG
    assert planned.variants["other"] == Variant()
