"""Reads a single answer, a batch and two refusals through a generated client."""

import datetime
import json
import sys
from uuid import UUID

from suite import AuthenticatedClient
from suite.api.cases import claim_case, take_steps
from suite.api.reports import file_report, file_reports
from suite.models import (
    ItemProblem,
    Problem,
    ReceivedOut,
    ReportIn,
    ReportItemIn,
    ReportsIn,
    ReportsOut,
    StepsIn,
    SubmittedPlace,
    SubmittedPlaceDatum,
)

address, case_id = sys.argv[1:]
client = AuthenticatedClient(base_url=address, token="nobody asks for it here")
place = SubmittedPlace(lng=120.2, lat=30.3, datum=SubmittedPlaceDatum.WGS84)
at = datetime.datetime(2026, 5, 19, 10, 5, 33, tzinfo=datetime.timezone.utc)
item = ReportItemIn(external_id="r-1", rider="7", kind="part-01001", place=place, occurred_at=at)

single = file_report.sync(client=client, body=ReportIn(kind="part-01001", place=place, occurred_at=at))
assert isinstance(single, ReceivedOut)
batch = file_reports.sync(client=client, body=ReportsIn(items=[item, item]))
assert isinstance(batch, ReportsOut)
problem = batch.items[1].problem
assert isinstance(problem, ItemProblem)
refused = take_steps.sync(client=client, body=StepsIn(items=[]))
assert isinstance(refused, Problem) and isinstance(refused.errors, list)
conflict = claim_case.sync(client=client, case_id=UUID(case_id))
assert isinstance(conflict, Problem)
read = {
    "single": single.status,
    "batch": [one.status for one in batch.items],
    "item": problem.code,
    "code": refused.code,
    "field": refused.errors[0].field,
    "state": conflict.state,
}
print(json.dumps(read))
