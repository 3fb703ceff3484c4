import * as z from "zod";
import { wordsOf } from "../command/run.ts";

// The other end of called-process.ts.

const callSchema = z.strictObject({ id: z.int(), command: z.unknown() });

/** Says something to the process that calls this one, without being asked. */
export function tell(message: object): void {
  process.send?.({ kind: "told", message });
}

/**
 * Performs each command that comes over the channel and answers with its result. The process ends after `stop`, and
 * when the channel breaks.
 */
export function serveCalls<Command extends { kind: string }>(
  schema: z.ZodType<Command>,
  perform: (command: Command) => Promise<unknown>,
): void {
  async function take(message: unknown): Promise<void> {
    const { id, command: given } = callSchema.parse(message);
    const command = schema.parse(given);
    try {
      process.send?.({ kind: "answer", id, value: await perform(command) });
    } catch (error) {
      process.send?.({ kind: "failed", id, why: wordsOf(error) });
    }
    if (command.kind === "stop") process.disconnect?.();
  }
  // ^C at a terminal reaches us too, and is for the calling process to answer.
  process.on("SIGINT", () => undefined);
  process.on("SIGTERM", () => undefined);
  process.on("disconnect", () => process.exit(0));
  process.on("message", (message) => void take(message));
}
