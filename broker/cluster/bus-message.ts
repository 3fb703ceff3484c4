import { parseJson } from "@caas/contract/parse-json.ts";
import * as z from "zod";

// A message from one process of the broker to another: sender, QoS, topic and the bytes.

export type BusMessage = {
  /** The sending process. */
  from: string;
  topic: string;
  qos: 0 | 1;
  payload: Buffer;
};

/** That a client has connected: any former connection of it, at another process, ends. */
export type Newcomer = {
  clientId: string;
  /** The number of a car's connection; `null` for a client that does not count them. */
  connection: number | null;
};

const newcomerSchema = z.strictObject({ clientId: z.string(), connection: z.int().nullable() });

export function encodeNewcomer(newcomer: Newcomer): Buffer {
  return Buffer.from(JSON.stringify(newcomer));
}

/** `null` for anything else. */
export function decodeNewcomer(payload: Buffer): Newcomer | null {
  const parsed = newcomerSchema.safeParse(parseJson(payload.toString()));
  return parsed.success ? parsed.data : null;
}

const lineEnd = 0x0a;
/** An id, a digit and a topic of the fleet are below 100 bytes; no topic of ours contains a space or a newline. */
const longestHead = 512;

export function encodeBusMessage({ from, topic, qos, payload }: BusMessage): Buffer {
  return Buffer.concat([Buffer.from(`${from} ${qos} ${topic}\n`), payload]);
}

/** `null` for anything else: other programs may write to Redis too. */
export function decodeBusMessage(bytes: Buffer): BusMessage | null {
  const end = bytes.subarray(0, longestHead).indexOf(lineEnd);
  if (end < 0) return null;
  const [from, qos, topic, ...more] = bytes.toString("latin1", 0, end).split(" ");
  if (!from || !topic || more.length > 0 || (qos !== "0" && qos !== "1")) return null;
  return { from, topic, qos: qos === "0" ? 0 : 1, payload: bytes.subarray(end + 1) };
}
