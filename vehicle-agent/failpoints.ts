import { createFailpoints, parseFailpointPlan } from "@caas/contract/failpoints.ts";

// Named places where a power loss is rehearsed. In production they do nothing.

export const failpointNames = [
  "afterIntent",
  "afterStage",
  "afterDeferral",
  "afterForgetting",
  "afterSwitch",
  "afterHealthCheck",
  "beforeRollBack",
  "afterRollBack",
  "afterOutcome",
  "beforeReport",
  "beforeCertificate",
  "afterCertificate",
] as const;

export type FailpointName = (typeof failpointNames)[number];

/** Called at every place by name; it may end the process, or throw to simulate that in a process of many cars. */
export type Failpoint = (name: FailpointName) => void;

export const noFailpoint: Failpoint = () => undefined;

/** Reads `step` or `step:n` (crash at the n-th passage, first without it); `undefined` where it is malformed. */
export function parseFailpoint(text: string): { name: FailpointName; passage: number } | undefined {
  const plan = parseFailpointPlan(text.includes(":") ? text : `${text}:1`, failpointNames);
  const [place, ...more] = plan ?? [];
  return place === undefined || more.length > 0 ? undefined : { name: place[0], passage: place[1] };
}

/** Calls `crash` at the n-th passage of the named place. */
export function failAt(
  { name, passage }: { name: FailpointName; passage: number },
  crash: () => void,
): Failpoint {
  return createFailpoints(new Map([[name, passage]]), crash);
}

/** Thrown by a failpoint where many cars share a process: the agent stops dead, as if its power had gone. */
export class PowerLoss extends Error {
  override readonly name = "PowerLoss";
}
