// Standard Webhooks, both ways: requests to BeeGrid are signed as its webhooks are.
import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

const TOLERANCE_S = 300;

export function sign(secret: string, message: string, at: string, payload: Buffer): string {
  const digest = createHmac("sha256", Buffer.from(secret.replace(/^whsec_/, ""), "base64"));
  return "v1," + digest.update(`${message}.${at}.`).update(payload).digest("base64");
}

/** Send a signed request. */
export async function call(method: string, path: string, body: object): Promise<Record<string, unknown>> {
  const payload = Buffer.from(JSON.stringify(body));
  const message = `msg_${randomUUID()}`;
  const at = String(Math.floor(Date.now() / 1000));
  const headers = {
    "content-type": "application/json",
    "beegrid-company": process.env.BEEGRID_CODE!,
    "webhook-id": message,
    "webhook-timestamp": at,
    "webhook-signature": sign(process.env.BEEGRID_SECRET!, message, at, payload),
  };
  const answer = await fetch(process.env.BEEGRID_URL + path, { method, headers, body: payload });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as Record<string, unknown>;
}

/** Open a receiver on this machine and let BeeGrid know it; what it returns has the type of each webhook, by its id. */
export async function receive(): Promise<Map<string, string>> {
  const taken = new Map<string, string>();
  let secret = "";
  const server = createServer(async (request, answer) => {
    const payload = await buffer(request);
    const header = (name: string) => String(request.headers[name] ?? "");
    const [message, at] = [header("webhook-id"), header("webhook-timestamp")];
    const wanted = Buffer.from(sign(secret, message, at, payload));
    const genuine = header("webhook-signature") // two while a secret is being changed
      .split(" ")
      .map((one) => Buffer.from(one))
      .some((one) => one.length === wanted.length && timingSafeEqual(one, wanted));
    const good = genuine && Math.abs(Date.now() / 1000 - Number(at)) < TOLERANCE_S;
    // at least once: what came before is taken again, and has no effect again
    if (good && !taken.has(message)) taken.set(message, JSON.parse(payload.toString()).type);
    answer.writeHead(good ? 204 : 401).end();
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  server.unref();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  secret = String((await call("PUT", "/v1/webhooks", { url, rotate: true })).secret);
  await call("POST", "/v1/webhooks/test", {});
  return taken;
}
