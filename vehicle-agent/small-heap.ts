import { setFlagsFromString } from "node:v8";

/**
 * Tells V8 to spend processor time rather than memory, whatever it was started with. Called once, before anything
 * large is loaded.
 *
 * An agent works some milliseconds an hour, so code that is made fast never pays: without both optimising compilers
 * 8 MB of Node itself are never read from disk and the heap keeps no machine code twice. And the room for young
 * objects, which usually doubles whenever many survive, stays as it is.
 */
export function keepHeapSmall(): void {
  for (const flag of ["--no-opt", "--no-maglev", "--semi-space-growth-factor=1"]) setFlagsFromString(flag);
}
