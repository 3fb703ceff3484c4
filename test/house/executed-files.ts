import { Session } from "node:inspector";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { root } from "./source-files.ts";

export type Execution = {
  /** What runs from here on belongs to the next stage. */
  nextStage(): void;
  /** The first stage, counted from 0, in which a function of each file was called. */
  stop(): Map<string, number>;
};

/** V8's own count of calls in this process. Importing a file calls none of its functions. */
export function watchExecution(): Execution {
  const session = new Session();
  const firstStages = new Map<string, number>();
  let stage = 0;

  function take(): void {
    // A session in its own thread answers at once.
    session.post("Profiler.takePreciseCoverage", (error, taken) => {
      if (error !== null) throw error;
      for (const { url, functions } of taken.result) {
        const file = fileOf(url);
        // The first function is the module itself.
        const isCalled = functions.some(
          ({ functionName, ranges }) => functionName !== "" && (ranges[0]?.count ?? 0) > 0,
        );
        if (file !== null && isCalled && !firstStages.has(file)) firstStages.set(file, stage);
      }
    });
  }

  session.connect();
  session.post("Profiler.enable");
  session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false });
  // What was called until now.
  session.post("Profiler.takePreciseCoverage");
  return {
    nextStage() {
      take();
      stage += 1;
    },
    stop() {
      take();
      session.post("Profiler.stopPreciseCoverage");
      session.disconnect();
      return firstStages;
    },
  };
}

/** The path below the root; `null` for what is no file of ours. */
function fileOf(url: string): string | null {
  const path = relative(root, url.startsWith("file:") ? fileURLToPath(url) : url);
  return path.startsWith("..") || path.includes("node_modules") || !path.endsWith(".ts") ? null : path;
}
