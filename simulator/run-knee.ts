import { writeFileSync } from "node:fs";
import { print } from "./command/run.ts";
import type { LevelResult, Objective } from "./knee/objective.ts";
import { describeObjective } from "./knee/objective.ts";
import { duration } from "./report/print-report.ts";
import { describeMachine } from "./run/machine.ts";
import {
  type CommandLineFrame,
  type CommonOptions,
  type ExitCode,
  inFolder,
  requireOwn,
} from "./run-once.ts";
import { findProfile, seekKnee } from "./simulate.ts";
import { provideOutsideWorld } from "./world/outside-world.ts";

export type KneeCommandOptions = CommonOptions & {
  slo: Objective;
  load: "bulk" | "purchases";
  from: number;
  level: number;
};

/** A car takes one change at a time: thousands a second need thousands of cars. Purchases come by the hundred. */
const usualVehicles = { bulk: 5_000, purchases: 1_000 } as const;

/** Raises the load until the objective breaks; says what the machine can do and what gave way. */
export function runKnee(options: KneeCommandOptions, frame: CommandLineFrame): Promise<ExitCode> {
  return inFolder(options, async (folder, signal) => {
    const objective = describeObjective(options.slo);
    const { capacity, broken, levels, gaveWay } = await seekKnee({
      vehicles: options.vehicles ?? usualVehicles[options.load],
      profile: findProfile(options.profile ?? "steady"),
      seed: options.seed,
      processes: options.processes,
      tls: options.tls,
      brokers: options.brokers,
      provideWorld: provideOutsideWorld(options) ?? requireOwn(frame),
      folder,
      signal,
      say: print,
      objective: options.slo,
      load: options.load,
      from: options.from,
      levelMs: options.level,
      onLevel: (level, why) => print(describeLevel(level, why)),
    });
    print("");
    if (capacity === null) print(`Not even ${options.from} a second kept the objective (${objective}).`);
    else
      print(
        `Capacity: ${capacity.perSecond} ${options.load === "bulk" ? "changes" : "purchases"} a second with ${objective}` +
          `${broken === null ? "; it never broke" : `; ${broken.perSecond} a second was too much`}.`,
      );
    if (gaveWay !== null) print(`What gave way: ${gaveWay}.`);
    const found = {
      capacityPerSecond: capacity?.perSecond ?? null,
      brokenPerSecond: broken?.perSecond ?? null,
      objective,
      load: options.load,
      gaveWay,
    };
    if (options.json === "-") print(JSON.stringify(found));
    else if (options.json !== undefined)
      writeFileSync(
        options.json,
        `${JSON.stringify({ ...found, seed: options.seed, machine: describeMachine(), levels }, null, 2)}\n`,
      );
    return capacity === null ? 1 : 0;
  });
}

function describeLevel(level: LevelResult, why: string | null): string {
  const { perSecond, achievedPerSecond, p50Ms, p99Ms, failed, pending } = level;
  return (
    `${String(perSecond).padStart(8)} a second: ${achievedPerSecond} done, p50 ${duration(p50Ms)}, p99 ${duration(p99Ms)}` +
    `${failed > 0 ? `, ${failed} failed` : ""}${pending > 0 ? `, ${pending} not ended` : ""}` +
    ` – ${why === null ? "held" : `broken: ${why}`}`
  );
}
