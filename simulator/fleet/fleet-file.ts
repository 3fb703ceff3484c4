import { createWriteStream } from "node:fs";
import { mkdir, open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import { parseJson } from "@caas/contract/parse-json.ts";
import { type Vin, vinSchema } from "@caas/contract/vin.ts";
import * as z from "zod";
import { wordsOf } from "../command/run.ts";
import { type CarImage, carImageSchema } from "./car-storage.ts";

// A fleet between two runs: one gzipped file, one JSON line per car with its keys, certificate, journal and slots.

const lineSchema = z.strictObject({ vin: vinSchema, car: carImageSchema });

export type StoredCar = { vin: Vin; car: CarImage };

/** What a fleet's file is called in its folder. */
export const fleetFileName = "fleet.jsonl.gz";

/** Speed before size: even the lowest level finds what repeats in every line. */
const compressionLevel = 1;

/** Replaces the file as a whole, readable by its user only: it holds private keys. */
export async function writeFleetFile(path: string, cars: Iterable<StoredCar>): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  function* lines(): Generator<string> {
    for (const { vin, car } of cars) yield `${JSON.stringify({ vin, car })}\n`;
  }
  const target = createWriteStream(`${path}.new`, { mode: 0o600, flush: true });
  await pipeline(Readable.from(lines()), createGzip({ level: compressionLevel }), target);
  await rename(`${path}.new`, path);
}

/**
 * The cars of the last run; none where there was none.
 * @throws Error naming the file, and the line that is no car.
 */
export async function readFleetFile(path: string): Promise<StoredCar[]> {
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  if (file === null) return [];
  const cars: StoredCar[] = [];
  try {
    await pipeline(file.createReadStream(), createGunzip(), async (plain: AsyncIterable<Buffer>) => {
      for await (const line of linesOf(plain)) {
        const parsed = lineSchema.safeParse(parseJson(line));
        if (!parsed.success) throw new Error(`line ${cars.length + 1} is no car`);
        cars.push(parsed.data);
      }
    });
  } catch (error) {
    throw new Error(`${path} cannot be read: ${wordsOf(error)}`, { cause: error });
  }
  return cars;
}

async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    const lines = `${rest}${decoder.decode(chunk, { stream: true })}`.split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest !== "") yield rest;
}
