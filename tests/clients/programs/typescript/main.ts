// Reads a single answer, a batch and two refusals through a generated client.
import createClient from "openapi-fetch";
import type { paths } from "./suite.d.ts";

const [baseUrl = "", caseId = ""] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl });
const report = {
  external_id: "r-1",
  rider: "7",
  kind: "part-01001",
  place: { lng: 120.2, lat: 30.3, datum: "wgs84" as const, accuracy_m: 20 },
  occurred_at: "2026-05-19T10:05:33Z",
  text: "",
  photos: [],
};

const single = await client.POST("/v1/reports", { body: report });
const batch = await client.POST("/v1/reports:batch", { body: { items: [report, report] } });
const refused = await client.POST("/v1/cases:transition", { body: { items: [] } });
const conflict = await client.POST("/v1/cases/{case_id}/claim", { params: { path: { case_id: caseId } } });

const read = {
  single: single.data?.status,
  batch: batch.data?.items.map((item) => item.status),
  item: batch.data?.items[1]?.problem?.code,
  code: refused.error?.code,
  field: refused.error?.errors?.[0]?.field,
  state: conflict.error?.state,
};
console.log(JSON.stringify(read));
