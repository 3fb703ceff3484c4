import { execFile } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const program = fileURLToPath(new URL("./warm-cache.ts", import.meta.url));
/** It takes some 3 s; a machine that needs longer than this goes without. */
const patienceMs = 60_000;

/**
 * Before the first start: compiles the parts' sources in a process that ends again. Measured with 25 cars: the
 * first start takes that much longer, and the platform 150 MB less as long as it runs. Where it fails, each part
 * compiles for itself.
 */
export async function warmCompileCache(folder: string): Promise<void> {
  const mark = join(folder, `warm-${process.version}`);
  if (existsSync(mark)) return;
  try {
    await promisify(execFile)(process.execPath, [program], {
      timeout: patienceMs,
      env: { ...process.env, NODE_COMPILE_CACHE: folder },
    });
    writeFileSync(mark, "");
  } catch {
    // For example, the folder cannot be written: each part compiles for itself.
  }
}
