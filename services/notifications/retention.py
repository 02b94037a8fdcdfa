"""How long the tables of notifications keep their rows."""

from datetime import timedelta

from shared.kit.postgres.retention import Sweep, Table, Way

TABLES = (
    Table(
        "messages", "a message in a rider's inbox", Way.SWEPT, "365 days, see BEEGRID_MESSAGE_KEPT_DAYS",
        "a rider reads back over a year; the report's own page keeps every step",
        Sweep("created_at", timedelta(days=365)), per_report=5.0,
    ),
    Table(
        "case_reporters", "a rider who reported a case", Way.SWEPT, "one year",
        "whom to notify of a case's steps; a case that is open for longer is one that nobody waits for",
        Sweep("created_at", timedelta(days=365)), per_report=1.0,
    ),
    Table(
        "crowds", "a step of a crowded case whose reporters are being notified", Way.DRAINED, "until all are",
        "100,000 riders are notified in bounded transactions, and a killed process goes on where it was",
    ),
    Table("preferences", "what a rider has chosen", Way.BOUNDED, "as the rider's account", "language, quiet hours"),
    Table("channels", "a way to a person outside the app", Way.BOUNDED, "until its owner removes it", "where to send"),
    Table(
        "channel_codes", "the hash of a code that was sent to an address", Way.SWEPT, "an hour after it expired",
        "proves whose address it is; a quarter of an hour is enough to read a mail",
        Sweep("expires_at", timedelta(hours=1)),
    ),
    Table(
        "code_limits", "how many codes a rider asked for, or an address was to get", Way.SWEPT, "a day after the last",
        "nobody's mail box is flooded by way of this suite", Sweep("last_at", timedelta(days=1)),
    ),
    Table("webhooks", "a company's webhook", Way.BOUNDED, "as the company", "where to send, and how it fares"),
    Table(
        "deliveries", "a notification outside the app", Way.SWEPT,
        "30 days after it was sent or given up, see BEEGRID_DELIVERY_KEPT_DAYS",
        "a company that asks what it was sent, and an operator who sends it again, ask within a month",
        Sweep("finished_at", timedelta(days=30), "finished_at IS NOT NULL"), per_report=5.0,
    ),
    Table(
        "delivery_attempts", "an attempt to deliver", Way.FOLLOWS, "with its delivery",
        "evidence of what the receiver answered", per_report=5.0,
    ),
)  # fmt: skip
