import type { ProcessMemory } from "../../start/processes.ts";
import { round } from "../statistics.ts";

/** 10^6 bytes. */
export const megabyte = 1e6;

export type AgentReadings = {
  /** At the start and each minute after it. */
  samples: readonly ProcessMemory[];
  ended: ProcessMemory;
  changes: number;
  telemetry: number;
  minutes: number;
  /** Megabytes that may be resident at the end. */
  maxRss: number;
};

/** Memory in megabytes. */
export function agentFiguresOf({ samples, ended, changes, telemetry, minutes, maxRss }: AgentReadings) {
  return {
    numbers: {
      rssMbAtStart: toMb((samples[0] ?? ended).rss),
      rssMbAtEnd: toMb(ended.rss),
      rssMbHighest: toMb(Math.max(...samples.map(({ rss }) => rss), ended.rss)),
      rssMbPeak: toMb(ended.peak),
      pssMbAtEnd: toMb(ended.pss),
      changes,
      minutes,
    },
    failures: [
      ...(changes === 0 ? ["no change was proved"] : []),
      ...(telemetry === 0 && minutes >= 2 ? ["no telemetry came"] : []),
      ...(ended.rss > maxRss * megabyte
        ? [`${toMb(ended.rss)} MB resident at the end are more than ${maxRss}`]
        : []),
    ],
  };
}

export function toMb(bytes: number): number {
  return round(bytes / megabyte, 1);
}
