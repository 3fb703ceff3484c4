import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseJson } from "@caas/contract/parse-json.ts";
import { vinSchema } from "@caas/contract/vin.ts";
import * as z from "zod";
import type { Platform } from "./platform.ts";
import type { StoryOwner } from "./story-owner.ts";

export type WalkVariables = readonly (readonly [name: string, value: string])[];

const healthSchema = z.object({ vin: vinSchema });

/** The address of the owner's car; `null` while another car, or none, answers at the place of the story's car. */
export async function findCar({ ports }: Platform, owner: StoryOwner | null): Promise<string | null> {
  const address = `http://127.0.0.1:${ports.carMetrics}`;
  try {
    const health = healthSchema.safeParse(parseJson(await (await fetch(`${address}/health`)).text()));
    return owner !== null && health.data?.vin === owner.vin ? address : null;
  } catch {
    return null;
  }
}

/**
 * What a shell is told so that the commands of the documents work as they are: addresses, logins, and one customer with
 * a car. Names as in `simulator/stand-ins/README.md`.
 */
export function listWalkVariables(
  platform: Platform,
  owner: StoryOwner | null,
  car: string | null,
): WalkVariables {
  const { rest, standIns, staff, databaseUrl } = platform;
  return [
    ["API", `${rest}/api`],
    ["DATABASE_URL", databaseUrl],
    ...(standIns === null
      ? []
      : (["factory", "gateway", "vss", "authority", "transport", "inbox"] as const).map(
          (name) => [name.toUpperCase(), standIns[name]] as const,
        )),
    ...Object.entries(staff).flatMap(([role, { username, password }]) => [
      [`${role.toUpperCase()}_USERNAME`, username] as const,
      [`${role.toUpperCase()}_PASSWORD`, password] as const,
    ]),
    ...(owner === null
      ? []
      : ([
          ["CUSTOMER_USERNAME", owner.username],
          ["CUSTOMER_PASSWORD", owner.password],
          ["EXPEDIENTE", owner.expedienteId],
          ["VEHICLE", owner.vehicleId],
          ["VIN", owner.vin],
        ] as const)),
    ...(car === null ? [] : [["CAR", car] as const]),
  ];
}

/** Kept beside the data, for `. data/walk.sh`; readable by its user alone, as it holds passwords. */
export function writeWalk(dataDir: string, variables: WalkVariables): string {
  const path = pathOf(dataDir);
  writeFileSync(path, `${variables.map(toExport).join("\n")}\n`, { mode: 0o600 });
  chmodSync(path, 0o600);
  return path;
}

export function toExport([name, value]: readonly [string, string]): string {
  return `export ${name}='${value.replaceAll("'", "'\\''")}'`;
}

/** Until it is known whose car is where, there is none: a wrong one would lead to another car. */
export function forgetWalk(dataDir: string): void {
  rmSync(pathOf(dataDir), { force: true });
}

function pathOf(dataDir: string): string {
  return join(dataDir, "walk.sh");
}
