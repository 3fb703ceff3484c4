import { generateKeyPairSync } from "node:crypto";
import { chmod, open, readFile, rename } from "node:fs/promises";

/** Writes a secret so that a crash leaves the old file or the new one, readable only by our user. */
export async function writeSecret(path: string, text: string): Promise<void> {
  const file = await open(`${path}.new`, "w", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}

/** The file's text, or `undefined` if there is no file. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** The file's text; without a file, `make()` is written to it. */
export async function readOrMake(path: string, make: () => string | Promise<string>): Promise<string> {
  const found = await readIfThere(path);
  if (found !== undefined) return found;
  const text = await make();
  await writeSecret(path, text);
  return text;
}

export async function restrictFolder(folder: string): Promise<void> {
  await chmod(folder, 0o700);
}

/** A new Ed25519 private key, PKCS#8 PEM. */
export function makeEd25519(): string {
  return generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" }).toString();
}
