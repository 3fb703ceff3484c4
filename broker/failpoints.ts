import { writeSync } from "node:fs";
import { createFailpointTable } from "@caas/contract/failpoints.ts";

// Places where a kill -9 is rehearsed (CAAS_FAILPOINTS). Outside a rehearsal they do nothing.

/** Every place, and the state of the work there. */
export const failpoints = {
  "publish-taken-before-forwarded": "a message is accepted and no subscriber has received it",
  "connected-before-subscribed": "a client is connected and has no subscription yet",
} as const satisfies Record<string, string>;

export const {
  parse: parseFailpoints,
  arm: armFailpoints,
  pass: passFailpoint,
} = createFailpointTable(failpoints, (line) => writeSync(process.stderr.fd, line));
