import { writeSync } from "node:fs";
import { createFailpointTable } from "@caas/contract/failpoints.ts";

// Where a kill -9 is rehearsed (CAAS_FAILPOINTS). Not armed, as always outside a rehearsal, a place does nothing.

/** Every place, and what is true there. */
export const failpoints = {
  "publish-taken-before-forwarded": "a message was accepted and nobody has received it",
  "connected-before-subscribed": "a client is connected and hears nothing yet",
} as const satisfies Record<string, string>;

export const {
  parse: parseFailpoints,
  arm: armFailpoints,
  pass: passFailpoint,
} = createFailpointTable(failpoints, (line) => writeSync(process.stderr.fd, line));
