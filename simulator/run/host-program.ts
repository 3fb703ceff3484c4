import { preferLibsodium } from "@caas/contract/libsodium.ts";
import { serveCalls, tell } from "../processes/serve-calls.ts";
import { type CarHost, startCarHost } from "./car-host.ts";
import { commandSchema } from "./host-messages.ts";

// The process of cars, for simulations, benchmarks and rehearsals alike.

let host: CarHost | null = null;

serveCalls(commandSchema, async (command) => {
  if (command.kind !== "prepare") return host?.perform(command);
  await preferLibsodium();
  host = await startCarHost(command, tell);
  return host.cars;
});
