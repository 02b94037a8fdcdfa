"""How long the tables of tasks keep their rows."""

from shared.kit.postgres.retention import Table, Way

TABLES = (
    Table("teams", "a team of riders", Way.BOUNDED, "as long as the suite", "what was done as which team"),
    Table("team_members", "a rider in a team", Way.BOUNDED, "while they are in it", "who may claim for it"),
    Table("series", "a task that comes each week", Way.BOUNDED, "as long as the suite", "what its tasks came from"),
    Table("tasks", "a task and its figures", Way.STAYS, "as long as the suite", "what points were given for"),
    Table("claims", "a rider's part in a task", Way.STAYS, "as long as the suite; the contact until the work is done",
          "what points were asked for, by whom it was judged and why"),
    Table("deeds", "points asked for approved work", Way.STAYS, "as long as the suite",
          "a withdrawal says the same as was said"),
    Table("alarms", "a weather alarm", Way.BOUNDED, "as long as the suite", "why tasks stood still"),
)  # fmt: skip
