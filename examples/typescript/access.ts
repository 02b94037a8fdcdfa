// How a TypeScript program reaches Kafka, and the codecs that kafkajs lacks.
import { readFileSync } from "node:fs";
import { compress as zstd, decompress as unzstd, init } from "@bokuweb/zstd-wasm";
import kafkajs, { type IHeaders, type Message } from "kafkajs";
import { compressFrameSync, decompressFrameSync } from "lz4-napi";
import { compressSync, uncompressSync } from "snappy";

export const { BEEGRID_CODE: code = "", BEEGRID_PREFIX: prefix = "beegrid." } = process.env;
export const { CompressionTypes } = kafkajs;

const unpacked = (packed: Buffer) => Buffer.from(uncompressSync(packed));

function codec(pack: (raw: Buffer) => Uint8Array, unpack: (packed: Buffer) => Uint8Array) {
  return () => ({
    compress: async (encoder: { buffer: Buffer }) => Buffer.from(pack(encoder.buffer)),
    decompress: async (packed: Buffer) => Buffer.from(unpack(packed)),
  });
}

await init();
kafkajs.CompressionCodecs[CompressionTypes.Snappy] = codec(compressSync, unxerial);
kafkajs.CompressionCodecs[CompressionTypes.LZ4] = codec(compressFrameSync, decompressFrameSync);
kafkajs.CompressionCodecs[CompressionTypes.ZSTD] = codec(zstd, unzstd);

// Java's clients write snappy in blocks of their own, each with its length in front; others write it bare.
function unxerial(packed: Buffer): Buffer {
  if (!packed.subarray(1, 7).equals(Buffer.from("SNAPPY"))) return unpacked(packed);
  const blocks: Buffer[] = [];
  for (let at = 16; at < packed.length; ) {
    const size = packed.readUInt32BE(at);
    blocks.push(unpacked(packed.subarray(at + 4, at + 4 + size)));
    at += 4 + size;
  }
  return Buffer.concat(blocks);
}

export const kafka = new kafkajs.Kafka({
  clientId: "example",
  brokers: process.env.BEEGRID_KAFKA!.split(","),
  sasl: { mechanism: "scram-sha-512", username: process.env.BEEGRID_USER!, password: process.env.BEEGRID_PASSWORD! },
  ssl: process.env.BEEGRID_CA ? { ca: [readFileSync(process.env.BEEGRID_CA)] } : false,
  logLevel: kafkajs.logLevel.ERROR,
});

// A record of CloudEvents 1.0, whichever way your library writes them: one JSON object, or headers beside the body.
export function event(body: { external_id: string }, structured: boolean): Message {
  const said = { specversion: "1.0", id: body.external_id, source: "/dispatch", type: "filed" };
  if (structured) {
    const whole = { ...said, datacontenttype: "application/json", data: body };
    const headers = { "content-type": "application/cloudevents+json" };
    return { key: body.external_id, value: JSON.stringify(whole), headers };
  }
  const headers: IHeaders = { "content-type": "application/json" };
  for (const [name, text] of Object.entries(said)) headers[`ce_${name}`] = text;
  return { key: body.external_id, value: JSON.stringify(body), headers };
}
