// A platform company: it registers a rider, files reports over Kafka, and reads what becomes of each of them.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { KafkaMessage } from "kafkajs";
import { code, CompressionTypes, event, kafka, prefix } from "./access.js";
import { receive } from "./webhooks.js";

const riders = `${prefix}inbound.${code}.riders.v1`;
const reports = `${prefix}inbound.${code}.reports.v1`;
const answers = `${prefix}outbound.${code}.reports.v1`;
const codecs = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
};
const now = new Date().toISOString();
const run = randomUUID().slice(0, 8);
const [lng, lat] = process.env.BEEGRID_PLACE!.split(",").map(Number);
const known = new Map<string, number>();

function report(external_id: string, kind: string) {
  const place = { lng, lat, datum: "wgs84", accuracy_m: 8 };
  return { external_id, rider: "typescript-1", kind, place, occurred_at: now };
}

/** Whose record it is, and what it says. */
function answered(topic: string, message: KafkaMessage): [string, string] {
  const key = message.key?.toString() ?? "";
  if (topic === `${reports}.dlq`) return [`letter ${key}`, String(message.headers?.["dlq-code"])];
  const version = Number(message.headers?.["ce_aggregateversion"]);
  const before = known.get(key) ?? 0;
  if (0 < version && version <= before) return [key, "repeated"]; // at least once: the same, or older, changes nothing
  known.set(key, Math.max(version, before)); // 0: no report, or none yet; in earnest: in your database, together with what you make of it
  return [key, JSON.parse(message.value!.toString()).stage];
}

const webhooks = await receive();
const waiting = new Map([["webhook", "webhook.test"]]);
const producer = kafka.producer({ idempotent: true });
await producer.connect();
const rider = { external_id: "typescript-1", name: "示例", consent_at: now };
await producer.send({ topic: riders, messages: [event(rider, true)], compression: CompressionTypes.ZSTD });
for (const [name, compression] of Object.entries(codecs)) {
  for (const structured of [false, true]) {
    const number = `typescript-${run}-${name}-${structured ? "structured" : "binary"}`;
    const message = event(report(number, "local-connection-test"), structured);
    // whoever isn't sure sends again: the same number with the same content counts once
    await producer.send({ topic: reports, messages: [message, message], compression });
    waiting.set(number, "in_case");
  }
}
const bad = `typescript-${run}-bad`;
await producer.send({ topic: reports, messages: [event(report(bad, "no-such-kind"), false)] });
waiting.set(bad, "refused").set(`letter ${bad}`, "unknown_kind");
await producer.disconnect();

const consumer = kafka.consumer({ groupId: `${prefix}company-${code}.typescript`, maxWaitTimeInMs: 500 });
const found = (name: string, what: string) => {
  if (waiting.get(name) === what && waiting.delete(name)) console.log(`${name}: ${what}`);
};
await consumer.connect();
await consumer.subscribe({ topics: [answers, `${reports}.dlq`], fromBeginning: true });
await consumer.run({
  autoCommit: false,
  eachMessage: async ({ topic, partition, message }) => {
    found(...answered(topic, message));
    // only now: whoever is killed before it reads the record again
    await consumer.commitOffsets([{ topic, partition, offset: String(BigInt(message.offset) + 1n) }]);
  },
});
for (const until = Date.now() + 90_000; waiting.size > 0 && Date.now() < until; await sleep(200)) {
  for (const kind of webhooks.values()) found("webhook", kind);
}
await consumer.disconnect();
if (waiting.size > 0) console.log("missing:", Object.fromEntries(waiting));
process.exit(waiting.size > 0 ? 1 : 0);
