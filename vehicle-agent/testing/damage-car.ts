import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

// What a bad disk does to the folder of a car.

export const damages = ["empty", "half", "garbage", "missing", "folder"] as const;
export type Damage = (typeof damages)[number];

/** `entry`, `index`: in the active slot, of a service and of the whole. */
export const carFiles = [
  "entry",
  "index",
  "configuration/active",
  "display/current.json",
  "identity.json",
  "keys/tls.pem",
  "keys/proof.pem",
  "journal.json",
  "key-set.jws",
] as const;
export type CarFile = (typeof carFiles)[number];

const indexName = "manifest.json";

async function pathOf(car: string, file: CarFile): Promise<string | null> {
  if (file !== "entry" && file !== "index") return join(car, file);
  const active = await readlink(join(car, "configuration", "active")).catch(() => null);
  if (active === null) return null;
  const slot = join(car, "configuration", active);
  if (file === "index") return join(slot, indexName);
  const entry = (await readdir(slot).catch(() => [])).toSorted().findLast((name) => name !== indexName);
  return entry === undefined ? null : join(slot, entry);
}

async function damageFile(file: CarFile, path: string, how: Damage): Promise<void> {
  const isLink = file === "configuration/active";
  const text = isLink ? "" : await readFile(path, "utf8").catch(() => "");
  await rm(path, { recursive: true, force: true });
  if (how === "missing") return;
  if (how === "folder") return void (await mkdir(path));
  if (isLink) return symlink("slots/nowhere", path);
  const garbage = createHash("sha512").update(text).digest("latin1");
  await writeFile(path, { empty: "", half: text.slice(0, text.length / 2), garbage }[how]);
}

/** Damages all of these files, or none while the active slot lacks what is to be damaged. @returns whether it did */
export async function damageCar(car: string, damaged: ReadonlyMap<CarFile, Damage>): Promise<boolean> {
  const found: { file: CarFile; path: string; how: Damage }[] = [];
  for (const [file, how] of damaged) {
    const path = await pathOf(car, file);
    if (path === null) return false;
    found.push({ file, path, how });
  }
  for (const { file, path, how } of found) await damageFile(file, path, how);
  return true;
}

/** Without its memory or its proof key a car is nobody; its other keys can be got again by what is left. */
export function mustBeEnrolledAgain(damaged: ReadonlyMap<CarFile, Damage>): boolean {
  const journal = damaged.get("journal.json");
  return (
    damaged.has("keys/proof.pem") ||
    (journal !== undefined && journal !== "missing") ||
    (damaged.has("identity.json") && damaged.has("keys/tls.pem"))
  );
}
