// Holds a document against the AsyncAPI specification: `node check.mjs FILE`. Exit 1 names all that the parser says.
import { readFile } from "node:fs/promises";
import { Parser } from "@asyncapi/parser";

const file = process.argv[2];
const { document, diagnostics } = await new Parser().parse(await readFile(file, "utf8"), { source: file });
const severities = ["error", "warning", "information", "hint"];
for (const one of diagnostics) {
  console.error(`${severities[one.severity]} ${one.path.join(".")}: ${one.message}`);
}
if (!document || diagnostics.length > 0) process.exit(1);

// traits are applied by the parser: what a reader sees must have the headers
const bare = document.allMessages().all().filter((message) => !message.headers());
for (const message of bare) console.error(`error ${message.id()}: no headers`);
if (bare.length > 0) process.exit(1);
console.log(
  `${file}: ${document.allChannels().all().length} channels, ${document.allOperations().all().length} operations, ` +
    `${document.allMessages().all().length} messages are valid`,
);
