import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { gatewayStoreOf, readGatewayStore } from "./gateway-books.ts";

test("a gateway without books is an error, and no empty books are made", () => {
  const dataDir = mkdtempSync(join(tmpdir(), "caas-books-"));
  try {
    const path = gatewayStoreOf({ dataDir });
    expect(() => readGatewayStore(path)).toThrow(`the gateway has no books at ${path}`);
    expect(existsSync(path)).toBe(false);
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
});
