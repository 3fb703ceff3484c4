import { join } from "node:path";
import type { Platform } from "./platform.ts";
import type { TreeMemory } from "./processes.ts";

/** Addresses and logins. */
export function printAddresses(platform: Platform, say: (line: string) => void): void {
  const { rest, ports, staff, standIns, dataDir } = platform;
  const row = (what: string, where: string) => say(`  ${what.padEnd(22)} ${where}`);
  say("");
  row("REST interface", rest);
  row("its documentation", `${rest}/docs`);
  row("metrics", `${rest}/metrics  (control plane)`);
  if (platform.ownBroker) row("", `http://127.0.0.1:${ports.brokerMetrics}/metrics  (broker)`);
  row("", `http://127.0.0.1:${ports.carMetrics}/metrics  (the story's car; /display is its screen)`);
  row("", `http://127.0.0.1:${ports.fleetMetrics}/metrics  (the other cars)`);
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
  say("  Customers sign in with what their mail in the inbox says.");
  say("");
}

/** @param cars that were asked for, to put the number into context */
export function printMemory(memory: TreeMemory | null, cars: number, say: (line: string) => void): void {
  if (memory === null) return;
  const megabytes = Math.round(memory.pssBytes / 1024 / 1024);
  say(`Memory of all ${memory.processes} processes with ${cars} cars: ${megabytes} MB (PSS).`);
}
