import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** A check of the whole checkout that counts as one test. */
export type Check = { name: string; program: string; args: readonly string[] };

export const checks: readonly Check[] = [
  {
    name: "types (tsc --noEmit)",
    program: "node_modules/typescript/bin/tsc",
    args: ["--noEmit", "--pretty", "false"],
  },
  {
    name: "lint (biome check --error-on-warnings .)",
    program: "node_modules/@biomejs/biome/bin/biome",
    args: ["check", "--error-on-warnings", "."],
  },
];

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Runs it with this Node, so that it works without npm's PATH, too. */
export function runCheck({ program, args }: Check): Promise<{ passed: boolean; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [program, ...args], {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    const collect = (chunk: Buffer) => {
      output += chunk.toString();
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    child.on("error", (error) => resolve({ passed: false, output: error.message }));
    child.on("close", (code) => resolve({ passed: code === 0, output }));
  });
}
