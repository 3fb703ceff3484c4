import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  watch,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type Display, displaySchema } from "@caas/contract/display.ts";
import type { EnrolmentPackage } from "@caas/contract/enrolment.ts";
import { explainVin, parseVin, type Vin } from "@caas/contract/vin.ts";
import * as z from "zod";

// A demonstration car is a folder named by its VIN: the factory puts the enrolment package there, and
// the agent keeps its state beside it.

/** The enrolment package inside a car's folder. */
export const packageFileName = "enrolment.json";

/**
 * Acts as the factory: installs the package in the car that was just built. The folder appears complete,
 * so nobody waiting for cars finds half of one.
 * @returns the car's folder
 */
export function installPackage(carsFolder: string, given: EnrolmentPackage): string {
  const folder = join(carsFolder, given.vin);
  if (existsSync(folder)) return folder;
  const draft = join(carsFolder, `.${given.vin}.draft`);
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true, mode: 0o700 });
  writeFileSync(join(draft, packageFileName), `${JSON.stringify(given)}\n`, { mode: 0o600 });
  renameSync(draft, folder);
  return folder;
}

/**
 * Lets cars of earlier sessions drive among the many: each of their folders moves as a whole.
 * @param except the car that stays where it is
 */
export function moveCars(from: string, to: string, except: Vin | null): void {
  const moving = listCars(from).filter((vin) => vin !== except);
  if (moving.length > 0) mkdirSync(to, { recursive: true, mode: 0o700 });
  for (const vin of moving) if (!existsSync(join(to, vin))) renameSync(join(from, vin), join(to, vin));
}

/** The cars that have a folder, oldest VIN first. */
export function listCars(carsFolder: string): Vin[] {
  if (!existsSync(carsFolder)) return [];
  return readdirSync(carsFolder)
    .filter((name) => explainVin(name) === null)
    .sort()
    .map(parseVin);
}

/**
 * Waits until the car's own screen shows what `find` looks for.
 * @throws after `timeoutMs`
 */
export async function readScreen<T>(
  carFolder: string,
  find: (shown: readonly Display[]) => T | undefined,
  timeoutMs: number,
): Promise<T> {
  const displayFolder = join(carFolder, "display");
  mkdirSync(displayFolder, { recursive: true, mode: 0o700 });
  return new Promise((resolve, reject) => {
    const end = (finish: () => void) => {
      clearTimeout(timer);
      watcher.close();
      finish();
    };
    const look = () => {
      try {
        const found = find(readShown(join(displayFolder, "current.json")));
        if (found !== undefined) end(() => resolve(found));
      } catch (error) {
        end(() => reject(error));
      }
    };
    const timer = setTimeout(
      () =>
        end(() =>
          reject(new Error(`the screen of the car in ${carFolder} does not show it after ${timeoutMs} ms`)),
        ),
      timeoutMs,
    );
    const watcher = watch(displayFolder, look);
    watcher.on("error", (error) => end(() => reject(error)));
    look();
  });
}

function readShown(path: string): Display[] {
  if (!existsSync(path)) return [];
  return z.array(displaySchema).parse(JSON.parse(readFileSync(path, "utf8")));
}
