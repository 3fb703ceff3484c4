import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Platform } from "./platform.ts";
import type { StoryOwner } from "./story-owner.ts";

/**
 * What a shell is told so that the commands of the documents work as they are: addresses, logins, and one customer with
 * a car. Names as in `simulator/stand-ins/README.md`.
 */
export function listWalkVariables(
  platform: Platform,
  owner: StoryOwner | null,
): readonly (readonly [name: string, value: string])[] {
  const { rest, standIns, staff, ports, databaseUrl } = platform;
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
    ["CAR", `http://127.0.0.1:${ports.carMetrics}`],
  ];
}

/** Kept beside the data, for `. data/walk.sh`; readable by its user alone, as it holds passwords. */
export function writeWalk(dataDir: string, variables: ReturnType<typeof listWalkVariables>): string {
  const path = join(dataDir, "walk.sh");
  writeFileSync(path, `${variables.map(toExport).join("\n")}\n`, { mode: 0o600 });
  chmodSync(path, 0o600);
  return path;
}

export function toExport([name, value]: readonly [string, string]): string {
  return `export ${name}='${value.replaceAll("'", "'\\''")}'`;
}
