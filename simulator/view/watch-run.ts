import type { Phase, RunListener, Running } from "../run/run.ts";
import { describeRun } from "./describe-run.ts";

export type Screen = {
  write(text: string): void;
  /** `null`: no terminal, so plain lines. */
  columns: (() => number) | null;
};

export type RunWatch = Pick<RunListener, "phase" | "said"> & {
  /** A line that stays. */
  say(line: string): void;
  end(): void;
};

/** Fast enough to feel alive, slow enough to cost nothing. */
const redrawMs = 500;
/** A log is read afterwards. */
const lineMs = 5_000;
const barWidth = 40;

/** Shows a run while it goes: a block that is drawn anew on a terminal, a line every few seconds elsewhere. */
export function watchRun(screen: Screen): RunWatch {
  let drawn = 0;
  let shown: { phase: Phase; run: Running } | null = null;
  let phaseBeganMs = performance.now();
  const isTerminal = screen.columns !== null;

  function erase(): void {
    if (drawn > 0) screen.write(`\u001b[${drawn}A\u001b[0J`);
    drawn = 0;
  }

  function draw(): void {
    if (shown === null) return;
    const lines = describeRun(shown.run, shown.phase);
    if (screen.columns === null) {
      screen.write(`${lines.join(" | ").replaceAll(/ {2,}/g, " ")}\n`);
      return;
    }
    erase();
    const width = screen.columns();
    const bar = shown.phase === "ended" ? [] : [barOf(shown.run, phaseBeganMs)];
    const block = [...bar, ...lines].map((line) => line.slice(0, width - 1));
    screen.write(`${block.join("\n")}\n`);
    drawn = block.length;
  }

  function say(line: string): void {
    erase();
    screen.write(`${line}\n`);
    if (isTerminal) draw();
  }

  const timer = setInterval(draw, isTerminal ? redrawMs : lineMs);
  timer.unref();
  return {
    say,
    said: say,
    phase(phase, run) {
      shown = { phase, run };
      phaseBeganMs = performance.now();
      draw();
      // What follows is closing, and the report.
      if (phase !== "ended") return;
      shown = null;
      drawn = 0;
    },
    end() {
      clearInterval(timer);
      shown = null;
    },
  };
}

/** How much of the present phase has passed. */
function barOf({ dueMs }: Running, beganMs: number): string {
  const endsMs = dueMs - performance.timeOrigin;
  const share = endsMs <= beganMs ? 1 : Math.min(1, (performance.now() - beganMs) / (endsMs - beganMs));
  const full = Math.round(share * barWidth);
  return `[${"█".repeat(full)}${"░".repeat(barWidth - full)}] ${Math.round(share * 100)} %`;
}
