import { join } from "node:path";
import { wordsOfFileTrouble } from "./file-trouble.ts";
import type { Platform } from "./platform.ts";
import type { TreeMemory } from "./processes.ts";
import type { StoryOwner } from "./story-owner.ts";
import { findCar, listWalkVariables, toExport, type WalkVariables, writeWalk } from "./walk-exports.ts";

/** Addresses and logins. */
export function printAddresses(
  platform: Platform,
  owner: StoryOwner | null,
  say: (line: string) => void,
): void {
  const { rest, ports, staff, standIns, dataDir } = platform;
  const row = (what: string, where: string) => say(`  ${what.padEnd(22)} ${where}`);
  say("");
  row("REST interface", rest);
  row("its documentation", `${rest}/docs`);
  row("metrics", `${rest}/metrics  (control plane)`);
  if (platform.ownBroker) row("", `http://127.0.0.1:${ports.brokerMetrics}/metrics  (broker)`);
  row("", `http://127.0.0.1:${ports.carMetrics}/metrics  (the story's car)`);
  row("", `http://127.0.0.1:${ports.fleetMetrics}/metrics  (the other cars)`);
  row("the car's screen", `http://127.0.0.1:${ports.carMetrics}/display`);
  if (platform.ownBroker)
    row("MQTT broker", `mqtts://127.0.0.1:${ports.mqttTls} (certificates), mqtt://127.0.0.1:${ports.mqtt}`);
  if (standIns !== null) {
    row("inbox (all mails)", standIns.inbox);
    for (const name of ["factory", "gateway", "vss", "authority", "transport"] as const)
      row(`stand-in ${name}`, standIns[name]);
  }
  row("data and logs", `${dataDir}, ${join(dataDir, "logs")}`);
  say("");
  for (const [role, login] of Object.entries(staff))
    row(`${role} signs in as`, `${login.username}  ${login.password}`);
  if (owner !== null && standIns !== null)
    row(`${owner.name}'s mailbox`, `${standIns.inbox}/?to=${encodeURIComponent(owner.username)}`);
  say("  Customers sign in with what their mail in the inbox says.");
  say("");
}

type Walk = { variables: WalkVariables; where: string };

/** Keeps what the README's walk needs in a file, for another terminal. */
export async function keepWalk(platform: Platform, owner: StoryOwner | null): Promise<Walk> {
  const variables = listWalkVariables(platform, owner, await findCar(platform, owner));
  try {
    return { variables, where: `also as \`. ${writeWalk(platform.dataDir, variables)}\`` };
  } catch (error) {
    return { variables, where: `not kept in a file: ${wordsOfFileTrouble(error) ?? error}` };
  }
}

/** What the README's walk needs, to be pasted into another terminal. */
export function printWalk({ variables, where }: Walk, say: (line: string) => void): void {
  say("");
  say(`For a walk (README.md) in another terminal (${where}):`);
  for (const variable of variables) say(toExport(variable));
  say("");
}

/** @param cars that were asked for, to put the number into context */
export function printMemory(memory: TreeMemory | null, cars: number, say: (line: string) => void): void {
  if (memory === null) return;
  const megabytes = Math.round(memory.pssBytes / 1024 / 1024);
  say(`Memory of all ${memory.processes} processes with ${cars} cars: ${megabytes} MB (PSS).`);
}
