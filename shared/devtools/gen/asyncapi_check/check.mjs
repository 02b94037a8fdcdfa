// Holds a document against the AsyncAPI specification: `node check.mjs FILE`. Exit 1 names every error.
import { readFile } from "node:fs/promises";
import { Parser } from "@asyncapi/parser";

const file = process.argv[2];
const { document, diagnostics } = await new Parser().parse(await readFile(file, "utf8"), { source: file });
// severity 0 is an error, 1 a warning; hints (2, 3) are matters of taste
const found = diagnostics.filter((one) => one.severity <= 1);
for (const one of found) {
  const kind = one.severity === 0 ? "error" : "warning";
  console.error(`${kind} ${one.path.join(".")}: ${one.message}`);
}
if (!document || found.length > 0) process.exit(1);

// traits are applied by the parser: what a reader sees must have the headers
const bare = document.allMessages().all().filter((message) => !message.headers());
for (const message of bare) console.error(`error ${message.id()}: no headers`);
if (bare.length > 0) process.exit(1);
console.log(
  `${file}: ${document.allChannels().all().length} channels, ${document.allOperations().all().length} operations, ` +
    `${document.allMessages().all().length} messages are valid`,
);
