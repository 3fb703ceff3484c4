#!/usr/bin/env node
import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

// Makes the one file that is installed in a car: `node vehicle-agent/bundle.ts FILE.mjs`. Cars change their
// runtime slowly: it needs nothing newer than Node 24, and no node_modules.

/** @throws Error with the bundler's output. */
export async function bundleAgent(file: string): Promise<void> {
  const bundler = join(
    dirname(fileURLToPath(import.meta.resolve("rolldown/package.json"))),
    "bin",
    "cli.mjs",
  );
  const child = spawn(
    process.execPath,
    [
      bundler,
      join(import.meta.dirname, "main.ts"),
      ...["--file", file, "--format", "esm", "--platform", "node", "--transform.target", "node24"],
      // Names in a stack are worth more in a workshop than the bytes.
      ...["--minify", "false", "--no-codeSplitting"],
    ],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let words = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      words += chunk;
    });
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`the bundler ended with ${code}: ${words}`);
}

if (import.meta.main) {
  const [file, ...rest] = process.argv.slice(2);
  if (file === undefined || rest.length > 0) {
    process.stderr.write("name the file to write: node vehicle-agent/bundle.ts caas-agent.mjs\n");
    process.exitCode = 1;
  } else await bundleAgent(file);
}
