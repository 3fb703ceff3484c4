import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

// What a person does with `npm start`: type it, look, press ^C.

const root = fileURLToPath(new URL("../..", import.meta.url));

export type Run = {
  process: ChildProcess;
  lines: string[];
  errors: string[];
  until: (text: string) => Promise<string>;
  ended: Promise<number | null>;
};

/** `npm start -- …` on free ports, in a process group of its own, as a shell runs it. */
export function npmStart(...args: string[]): Run {
  const child = spawn("npm", ["start", "--", "--ports", "free", ...args], {
    cwd: root,
    detached: true,
    env: { ...process.env, DATABASE_URL: "", MQTT_URL: "" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines: string[] = [];
  const errors: string[] = [];
  const waiters = new Set<() => void>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    lines.push(line);
    for (const look of waiters) look();
  });
  createInterface({ input: child.stderr }).on("line", (line) => errors.push(line));
  const ended = once(child, "close").then(() => {
    for (const look of waiters) look();
    return child.exitCode;
  });
  const until = (text: string) =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        const found = lines.find((line) => line.includes(text));
        if (found === undefined && child.exitCode === null) return;
        waiters.delete(look);
        if (found === undefined)
          reject(new Error(`it ended without "${text}":\n${[...lines, ...errors].join("\n")}`));
        else resolve(found);
      };
      waiters.add(look);
      look();
    });
  return { process: child, lines, errors, until, ended };
}

/** To the whole group, as the terminal sends ^C. */
export function signal({ process: child }: Run, name: NodeJS.Signals): void {
  if (child.pid !== undefined) process.kill(-child.pid, name);
}
