"""How long the tables of activities keep their rows."""

from datetime import timedelta

from shared.kit.postgres.retention import Sweep, Table, Way

TABLES = (
    Table("templates", "what activities are made from", Way.BOUNDED, "as long as the suite", "a city has a dozen",
          seeded=3),
    Table("activities", "an activity and its numbers", Way.STAYS, "as long as the suite",
          "a city's record of what it did; a few thousand a year"),
    Table("seeds", "what decides a draw", Way.STAYS, "as long as the suite", "a draw can be recomputed at any time"),
    Table("teams", "a team and how many people it served", Way.STAYS, "as long as the suite", "figures by team"),
    Table("signups", "a rider's way to a place", Way.STAYS, "as long as the suite; the rider in it until erased",
          "places and waiting lists add up, and a draw can be recomputed"),
    Table("check_ins", "that a rider was there", Way.SWEPT, "400 days", "once only; what was earned is the ledger's",
          Sweep("checked_in_at", timedelta(days=400))),
    Table("feedback", "what a rider said of an activity", Way.SWEPT, "400 days", "the next one is to be better",
          Sweep("given_at", timedelta(days=400))),
    Table("photos", "a photo for publicity", Way.STAYS, "until taken away, or somebody on it leaves",
          "what the city shows"),
    Table("photo_people", "who is on a photo", Way.FOLLOWS, "with its photo", "whose consent it needs"),
)  # fmt: skip
