// Named places where a power loss is rehearsed. In a car they do nothing.

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

function isFailpointName(text: string): text is FailpointName {
  return failpointNames.some((name) => name === text);
}

/** Reads `step` or `step:n` (crash at the n-th passage, first without it); `undefined` where it is malformed. */
export function parseFailpoint(text: string): { name: FailpointName; passage: number } | undefined {
  const [name, count = "1", ...rest] = text.split(":");
  if (name === undefined || !isFailpointName(name) || rest.length > 0 || !/^[1-9][0-9]{0,5}$/.test(count))
    return undefined;
  return { name, passage: Number(count) };
}

/** Calls `crash` at the n-th passage of the named place. */
export function failAt(place: { name: FailpointName; passage: number }, crash: () => void): Failpoint {
  let passages = 0;
  return (name) => {
    if (name !== place.name) return;
    passages += 1;
    if (passages === place.passage) crash();
  };
}

/** Thrown by a failpoint where many cars share a process: the agent stops dead, as if its power had gone. */
export class PowerLoss extends Error {
  override readonly name = "PowerLoss";
}
