// A dispatch centre: it keeps the latest state of every case. Run as many as you like, they share the partitions.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { code, kafka, prefix } from "./access.js";

type Case = { state: string } | null;
const folder = process.env.BEEGRID_STATE!; // a file a case; in earnest a row in your database
const topic = `${prefix}public.case-changed.v1`;

/** Keep a case's state unless a later one is known. Doing it twice, or half and then again, changes nothing. */
function handle(id: string, version: number, value: Case): string {
  const file = `${folder}/${id}.json`;
  const known: { version: number; case: Case } = existsSync(file)
    ? JSON.parse(readFileSync(file, "utf8"))
    : { version: 0, case: null };
  // a record without a value has the version of the state that leaves
  const leaves = value === null && known.case !== null && version === known.version;
  if (version <= known.version && !leaves) return "repeated";
  const fresh = `${folder}/${id}.${process.pid}`;
  writeFileSync(fresh, JSON.stringify({ version, case: value }));
  renameSync(fresh, file); // all of it or nothing
  return value === null ? "left" : value.state;
}

mkdirSync(folder, { recursive: true });
const groupId = `${prefix}system-${code}.${process.env.BEEGRID_GROUP ?? "dispatch"}`;
const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 500 });
consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
  console.log("assigned", ...(payload.memberAssignment[topic] ?? []).sort());
});
consumer.on(consumer.events.CRASH, ({ payload }) => {
  console.error(payload.error);
  if (!payload.restart) process.exit(1);
});
process.on("SIGTERM", async () => {
  await consumer.disconnect(); // the others of the group take over at once
  process.exit(0);
});
await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({
  autoCommit: false,
  eachMessage: async ({ partition, message }) => {
    const [id, version] = [message.key!.toString(), Number(message.headers?.["ce_aggregateversion"])];
    const value: Case = message.value?.length ? JSON.parse(message.value.toString()) : null;
    console.log("case", id, version, handle(id, version, value));
    // only now: whoever is killed before it reads the record again
    await consumer.commitOffsets([{ topic, partition, offset: String(BigInt(message.offset) + 1n) }]);
  },
});
