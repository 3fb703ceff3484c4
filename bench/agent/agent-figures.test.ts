import { expect, test } from "vitest";
import type { ProcessMemory } from "../../start/processes.ts";
import { type AgentReadings, agentFiguresOf } from "./agent-figures.ts";

const memory = (rss: number): ProcessMemory => ({ rss, pss: rss / 2, peak: 97_000_000 });
const readings: AgentReadings = {
  samples: [memory(85_040_000), memory(96_500_000), memory(90_000_000)],
  ended: memory(94_160_000),
  ...{ changes: 709, telemetry: 59, minutes: 60, maxRss: 96 },
};

test("an agent's memory is told in millions of bytes, at the start, at the end and at its highest", () => {
  expect(agentFiguresOf(readings)).toEqual({
    numbers: {
      rssMbAtStart: 85,
      rssMbAtEnd: 94.2,
      rssMbHighest: 96.5,
      rssMbPeak: 97,
      pssMbAtEnd: 47.1,
      changes: 709,
      minutes: 60,
    },
    failures: [],
  });
});

test.each<{ what: string; changed: Partial<AgentReadings>; says: string }>([
  {
    what: "more is resident at the end than may be",
    changed: { maxRss: 94 },
    says: "94.2 MB resident at the end are more than 94",
  },
  { what: "the car did nothing", changed: { changes: 0 }, says: "no change was proved" },
  { what: "it sent no readings", changed: { telemetry: 0 }, says: "no telemetry came" },
])("the run fails when $what", ({ changed, says }) => {
  expect(agentFiguresOf({ ...readings, ...changed }).failures).toEqual([says]);
});
