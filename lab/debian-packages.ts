import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { wordsOf } from "@caas/simulator/command/run.ts";

const execute = promisify(execFile);

/** A program of another project that a measurement needs beside ours. */
export type ProgramSearch =
  | { kind: "found"; path: string }
  /** A sentence saying what to do about it. */
  | { kind: "missing"; explanation: string };

/** Debian puts daemons where a user's PATH does not look. */
const daemonFolders = ["/usr/sbin", "/usr/local/sbin", "/sbin"];
const installTimeoutMs = 180_000;

export async function findProgram(name: string): Promise<string | null> {
  for (const folder of [...(process.env.PATH ?? "").split(delimiter), ...daemonFolders]) {
    const path = join(folder, name);
    const isThere = await access(path, constants.X_OK).then(
      () => folder !== "",
      () => false,
    );
    if (isThere) return path;
  }
  return null;
}

/** The program, installed from Debian's package when it is not there and this process may do that. */
export async function findOrInstall(program: string, debianPackage: string): Promise<ProgramSearch> {
  const present = await findProgram(program);
  if (present !== null) return { kind: "found", path: present };
  const explanation = `${program} is not installed: on Debian, "apt-get install ${debianPackage}" as root brings it`;
  if (process.getuid?.() !== 0 || (await findProgram("apt-get")) === null)
    return { kind: "missing", explanation };
  try {
    await runApt(["update"]);
    await runApt(["install", "--yes", "--no-install-recommends", debianPackage]);
  } catch (error) {
    const words = wordsOf(error);
    return { kind: "missing", explanation: `${explanation}; tried, and: ${words.split("\n")[0]}` };
  }
  const installed = await findProgram(program);
  return installed === null ? { kind: "missing", explanation } : { kind: "found", path: installed };
}

async function runApt(arguments_: readonly string[]): Promise<void> {
  await execute("apt-get", ["-qq", ...arguments_], {
    timeout: installTimeoutMs,
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });
}
