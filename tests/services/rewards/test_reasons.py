"""Riders read why something is closed: nobody's number is in it."""

from services.rewards.api.offers import ClosingIn


def test_the_reason_of_a_closing_is_masked() -> None:
    assert ClosingIn(reason="搬迁，电话 138/0013/8000").reason == "搬迁，电话 ***"
    assert ClosingIn(reason=None).reason is None
    assert ClosingIn.model_json_schema()["properties"]["reason"]["anyOf"][0]["maxLength"] == 120
