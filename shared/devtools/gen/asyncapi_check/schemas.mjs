// Lets ajv, in its strict mode, take every schema and every example: `node schemas.mjs FOLDER`, that of shared/events.
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const folder = process.argv[2];
const read = async (...names) => JSON.parse(await readFile(join(folder, ...names), "utf8"));
const vocabulary = await read("vocabulary.json");
const ajv = new Ajv2020({ strict: true, strictTypes: true, strictTuples: true, allErrors: true });
addFormats.default(ajv);
ajv.addVocabulary(Object.keys(vocabulary.properties));

let wrong = 0;
const names = (await readdir(join(folder, "schemas"))).filter((name) => name.endsWith(".json"));
for (const name of names) {
  try {
    const validate = ajv.compile(await read("schemas", name));
    for (const example of await read("examples", name)) {
      if (validate(example.payload)) continue;
      wrong += 1;
      console.error(`error ${name}: ${example.name}: ${ajv.errorsText(validate.errors)}`);
    }
  } catch (error) {
    wrong += 1;
    console.error(`error ${name}: ${error.message}`);
  }
}
if (wrong > 0) process.exit(1);
console.log(`${names.length} schemas are strict, and their examples are valid`);
