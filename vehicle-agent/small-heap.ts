import { setFlagsFromString } from "node:v8";

/**
 * Tells V8 to spend processor time rather than memory, whatever options it was started with. Called once, before anything
 * large is loaded.
 *
 * An agent works some milliseconds per hour, so optimising its code never pays: without both optimising compilers
 * 8 MB of Node itself are never read from disk and the heap holds no machine code twice. And the space for young
 * objects, which usually doubles whenever many survive, keeps its size.
 */
export function keepHeapSmall(): void {
  for (const flag of ["--no-opt", "--no-maglev", "--semi-space-growth-factor=1"]) setFlagsFromString(flag);
}
