import { enableCompileCache } from "node:module";
import { endWithNpm } from "./end-with-npm.ts";
import { compileCacheFolder } from "./node-settings.ts";

/**
 * What each `main.ts` of this repository does: keeps compiled code between starts, runs the command, and ends with its
 * exit code. The exit is explicit because idle connections of REST clients would keep the process alive.
 * @param load imports the command line; only now, so that the cache is on before anything large is loaded
 */
export async function runCommand(
  load: () => Promise<{ runCommandLine(argv: readonly string[]): Promise<number> }>,
): Promise<never> {
  enableCompileCache(process.env.NODE_COMPILE_CACHE || compileCacheFolder);
  endWithNpm();
  // A full disk or a closed pipe behind our output is no reason to leave the parts to themselves.
  process.stdout.on("error", () => undefined);
  process.stderr.on("error", () => undefined);
  const { runCommandLine } = await load();
  process.exit(await runCommandLine(process.argv));
}
