import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseJson } from "@caas/contract/parse-json.ts";
import { vinSchema } from "@caas/contract/vin.ts";
import * as z from "zod";
import type { BuiltCar } from "./story/buy-the-car.ts";

// Whose car the newest story was about: a person who walks through the platform signs in as that customer, also after a
// restart.

const ownerSchema = z.object({
  name: z.string(),
  username: z.string(),
  password: z.string(),
  expedienteId: z.string(),
  vehicleId: z.string(),
  vin: vinSchema,
});
export type StoryOwner = z.infer<typeof ownerSchema>;

export function ownerOf({ person, login, expedienteId, vehicleId, car }: BuiltCar): StoryOwner {
  return { name: person.name, ...login, expedienteId, vehicleId, vin: vinSchema.parse(car.vin) };
}

export function keepOwner(dataDir: string, owner: StoryOwner): void {
  const path = join(dataDir, "story.json");
  writeFileSync(`${path}.draft`, `${JSON.stringify(owner, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.draft`, path);
}

/** `null` where no story was played to the link of the app, or the file is not as it was written. */
export function readOwner(dataDir: string): StoryOwner | null {
  const path = join(dataDir, "story.json");
  if (!existsSync(path)) return null;
  return ownerSchema.safeParse(parseJson(readFileSync(path, "utf8"))).data ?? null;
}
