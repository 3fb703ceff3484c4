import { writeSync } from "node:fs";
import {
  createFailpoints,
  type FailpointPlan,
  formatDeath,
  parseFailpointPlan,
} from "@caas/contract/failpoints.ts";

// Where a kill -9 is rehearsed (CAAS_FAILPOINTS). Not armed, as always outside a rehearsal, a place does nothing.

/** Every place, and what is true there. */
export const failpoints = {
  "publish-taken-before-forwarded": "a message was accepted and nobody has received it",
  "connected-before-subscribed": "a client is connected and hears nothing yet",
} as const satisfies Record<string, string>;

export type FailpointName = keyof typeof failpoints;

const names = Object.keys(failpoints).filter((name): name is FailpointName =>
  Object.hasOwn(failpoints, name),
);

/** `undefined` where it is malformed or names another part's place. */
export function parseFailpoints(text: string): FailpointPlan<FailpointName> | undefined {
  return parseFailpointPlan(text, names);
}

/** Of the whole process, because that is what dies. */
let pass: ((name: FailpointName) => void) | null = null;

export function armFailpoints(plan: FailpointPlan<FailpointName>): void {
  pass = createFailpoints(plan, (name, passage) => {
    writeSync(process.stderr.fd, `${formatDeath(name, passage)}\n`);
    process.kill(process.pid, "SIGKILL");
  });
}

export function passFailpoint(name: FailpointName): void {
  pass?.(name);
}
