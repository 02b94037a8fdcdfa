"""How long the tables of riders keep their rows."""

from shared.kit.postgres.retention import Table, Way

TABLES = (
    Table("companies", "a company", Way.BOUNDED, "as long as the suite", "who may register riders and report"),
    Table("company_keys", "a signing key", Way.BOUNDED, "as long as the suite", "when it was made, ended, revoked; the "
          "secret itself goes with its end"),
    Table("outlets", "a station or shop of a company", Way.BOUNDED, "as the company", "where riders belong"),
    Table("riders", "a rider, without name or phone", Way.BOUNDED, "as long as the suite",
          "an erased rider's number must not become another's"),
    Table("rider_names", "a rider's name", Way.BOUNDED, "until the rider is erased", "whom a merchant or a case "
          "worker speaks with"),
)  # fmt: skip
