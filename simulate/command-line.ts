import * as simulator from "@caas/simulator/command-line.ts";
import { startSimulatedPlatform } from "./simulated-platform.ts";

/** `caas-simulate` that can also start a platform of its own. */
export function runCommandLine(argv: readonly string[]): Promise<number> {
  return simulator.runCommandLine(argv, {
    name: "npm run simulate --",
    provideWorld: startSimulatedPlatform,
  });
}
