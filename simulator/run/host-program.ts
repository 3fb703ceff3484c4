import { preferLibsodium } from "@caas/contract/libsodium.ts";
import { type CarHost, startCarHost } from "./car-host.ts";
import { type Command, callSchema, type Reply } from "./host-messages.ts";

// A process that hosts cars: it does what the conductor says over the channel, and ends with it.

const say = (reply: Reply): void => void process.send?.(reply);
let host: CarHost | null = null;

async function perform(command: Command): Promise<void> {
  if (command.kind === "prepare") {
    await preferLibsodium();
    host = await startCarHost(command, say);
  } else await host?.perform(command);
}

async function take(message: unknown): Promise<void> {
  const { id, command } = callSchema.parse(message);
  try {
    await perform(command);
    say({ kind: "done", id });
  } catch (error) {
    say({ kind: "failed", id, why: error instanceof Error ? error.message : String(error) });
  }
  if (command.kind === "stop") process.disconnect?.();
}

// ^C at a terminal reaches us too, and is for the conductor to answer.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => undefined);
process.on("disconnect", () => process.exit(0));
process.on("message", (message) => void take(message));
