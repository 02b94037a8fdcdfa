"""How long the tables of stations keep their rows."""

from datetime import timedelta

from shared.kit.postgres.retention import Sweep, Table, Way

TABLES = (
    Table("stations", "a station, and what is so there now", Way.BOUNDED, "as long as the suite",
          "one that was given up is still named by its sums"),
    Table("keepers", "who keeps a station's state", Way.BOUNDED, "until an operator removes them", "who may say it"),
    Table("special_days", "other hours of a station on a day", Way.SWEPT, "400 days after it", "explain a closed day",
          Sweep("day", timedelta(days=400))),
    Table("periods", "a holiday or a storm", Way.STAYS, "as long as the suite", "spells say in which they began"),
    Table("spells", "a time in which a station was full, closed or had a fault", Way.STAYS, "as long as the suite",
          "how often it was found closed, and who confirmed it; no rider is in it"),
    Table("sightings", "what a rider found at a station", Way.SWEPT, "1 day", "one rider counts once a day",
          Sweep("seen_at", timedelta(days=1))),
    Table("visits", "a rider's visit", Way.DRAINED, "1 to 2 days, then it is a number of its day",
          "one rider, station and day count once"),
    Table("station_days", "a station's sums of a day", Way.STAYS, "as long as the suite",
          "figures of past years; no rider is in it"),
    Table("service_lists", "a version of a station's list of services of a year", Way.STAYS, "as long as the suite",
          "what was promised when"),
    Table("feedback", "a rider's stars and words about a station", Way.SWEPT, "400 days",
          "answers, and whether they came in time; the sums stay", Sweep("given_at", timedelta(days=400))),
    Table("donations", "what somebody gave to a station", Way.STAYS, "as long as the suite", "thanks, by name"),
)  # fmt: skip
