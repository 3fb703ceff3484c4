import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { judgeImport } from "./house/import-table.ts";
import { judgePackage } from "./house/package-table.ts";
import { type Import, readImports } from "./house/read-imports.ts";
import { listFiles, root } from "./house/source-files.ts";

const sources = [...listFiles(".ts"), ...listFiles(".tsx")].map((path) => ({
  path,
  imports: readImports(readFileSync(join(root, path), "utf8"), path),
}));

function judgeAll(judge: (path: string, found: Import) => string | undefined): string[] {
  return sources.flatMap(({ path, imports }) =>
    imports.map((found) => judge(path, found)).filter((sentence) => sentence !== undefined),
  );
}

test("the import table of the architecture holds in every file", () => {
  expect(sources.length).toBeGreaterThan(20);
  expect(judgeAll(judgeImport)).toEqual([]);
});

test("every package a part imports is declared in that part's package.json", () => {
  expect(judgeAll(judgePackage)).toEqual([]);
});

test("every relative link in the documents leads to a file", () => {
  const broken = listFiles(".md").flatMap((path) => {
    const prose = readFileSync(join(root, path), "utf8")
      .replaceAll(/^(```|~~~)[\s\S]*?^\1/gm, "")
      .replaceAll(/`[^`\n]*`/g, "");
    const inline = [...prose.matchAll(/\]\(\s*<?([^)\s>]+)/g)];
    const references = [...prose.matchAll(/^\[[^\]]+\]:\s*<?([^\s>]+)/gm)];
    return [...inline, ...references]
      .map(([, link = ""]) => link)
      .filter((link) => !/^([a-z][a-z0-9+.-]*:|#)/i.test(link))
      .filter((link) => {
        const target = decodeURIComponent(link.replace(/[#?].*$/, ""));
        return !existsSync(target.startsWith("/") ? join(root, target) : join(root, dirname(path), target));
      })
      .map((link) => `${path} links to ${link}, which does not exist`);
  });
  expect(broken).toEqual([]);
});

describe("the judge of imports", () => {
  const value = (specifier: string): Import => ({ specifier, typeOnly: false });
  const type = (specifier: string): Import => ({ specifier, typeOnly: true });

  test.each([
    ["control-plane/rules/retry.ts", value("node:fs"), "may import no package"],
    ["control-plane/rules/retry.ts", value("../store/clock.ts"), "may import only its own files"],
    ["control-plane/rules/retry.ts", type("../features/orders/order.ts"), "may import only its own files"],
    ["control-plane/features/orders/place.ts", value("../payments/hold.ts"), "another feature's insides"],
    ["control-plane/features/orders/place.ts", type("../payments/hold.ts"), "another feature's insides"],
    ["control-plane/features/orders/place.ts", value("../../partners/bank.ts"), "only types"],
    ["control-plane/features/orders/place.ts", value("../../app.ts"), "may import only its own files"],
    ["control-plane/store/jobs.ts", value("../rules/retry.ts"), "only types"],
    ["control-plane/store/jobs.ts", value("../features/orders/place.ts"), "may import only"],
    ["control-plane/http/server.ts", value("../../contract/topics.ts"), "@caas/contract/topics.ts"],
    ["control-plane/app.ts", value("@caas/simulator/main.ts"), "may import only"],
    ["control-plane/elsewhere/x.ts", value("../features/orders/place.ts"), undefined],
    ["control-plane/app.ts", value("./store/testing/rows.ts"), "made for tests"],
    ["control-plane/lifecycle/move.ts", value("../features/orders/place.ts"), "knows none of them"],
    ["contract/signed.ts", value("node:fs"), "may import only the packages zod, node:crypto"],
    ["contract/signed.ts", value("zodiac"), "may import only the packages"],
    ["vehicle-agent/main.ts", value("fastify"), "may import only the packages"],
    ["simulator/fleet/main.ts", value("@caas/control-plane/rules/retry.ts"), "independent check"],
    ["broker/main.ts", value("@caas/control-plane/config.ts"), "no business"],
    ["elsewhere/main.ts", value("zod"), "give it a row"],
  ])("%s importing %o", (path, found, reason) => {
    const sentence = judgeImport(path, found);
    if (reason === undefined) expect(sentence).toBeUndefined();
    else {
      expect(sentence).toContain(path);
      expect(sentence).toContain(found.specifier);
      expect(sentence).toContain(reason);
    }
  });

  test.each([
    ["control-plane/rules/retry.ts", value("./tables/recoveries.ts")],
    ["control-plane/features/orders/place.ts", value("./steps/reserve.ts")],
    ["control-plane/features/orders/place.ts", value("@caas/contract/topics.ts")],
    ["control-plane/features/orders/place.ts", value("../../rules/retry.ts")],
    ["control-plane/features/orders/place.ts", type("../../partners/bank.ts")],
    ["control-plane/features/orders/place.test.ts", value("../payments/hold.ts")],
    ["control-plane/store/testing/rows.ts", value("../../features/orders/place.ts")],
    ["control-plane/features/orders/place.ts", value("../../lifecycle/move.ts")],
    ["control-plane/store/jobs.ts", type("../rules/retry.ts")],
    ["control-plane/app.ts", value("./features/orders/routes.ts")],
    ["contract/signed.ts", value("node:crypto")],
    ["contract/signed.ts", value("zod/mini")],
    ["broker/main.ts", value("aedes-persistence")],
    ["broker/main.ts", value("node:tls")],
    ["start/main.ts", value("../control-plane/rules/retry.ts")],
    ["vitest.config.ts", value("vitest/config")],
  ])("%s importing %o is allowed", (path, found) => {
    expect(judgeImport(path, found)).toBeUndefined();
  });

  test("a package declared nowhere near the file is named", () => {
    expect(judgePackage("broker/main.ts", value("fastify/plugin"))).toBe(
      'broker/main.ts imports "fastify", which broker/package.json does not declare',
    );
    expect(judgePackage("broker/main.test.ts", value("vitest"))).toBeUndefined();
    expect(judgePackage("broker/main.ts", value("vitest"))).toContain("broker/package.json");
    expect(judgePackage("broker/main.test.ts", value("left-pad"))).toContain("no package.json");
    expect(judgePackage("start/main.ts", value("vitest"))).toContain("the root package.json");
    expect(judgePackage("test/run.ts", value("vitest"))).toBeUndefined();
    expect(judgePackage("broker/main.ts", value("aedes"))).toBeUndefined();
    expect(judgePackage("start/main.ts", value("@peculiar/x509"))).toContain("the root package.json");
  });
});

test("imports are read from code, not from comments, strings or expressions", () => {
  const source = `
    // import "comment";
    import { type A, b } from "value";
    import { type C } from "inline-type";
    import type { D } from "type";
    import "effect";
    export * from "all";
    export type { E } from "exported-type";
    const text = 'import x from "string"', pattern = /import y from "pattern"/;
    type G = import("in-a-type").G;
    await import("dynamic");
  `;
  expect(readImports(source, "x.ts")).toEqual([
    { specifier: "value", typeOnly: false },
    { specifier: "inline-type", typeOnly: true },
    { specifier: "type", typeOnly: true },
    { specifier: "effect", typeOnly: false },
    { specifier: "all", typeOnly: false },
    { specifier: "exported-type", typeOnly: true },
    { specifier: "in-a-type", typeOnly: true },
    { specifier: "dynamic", typeOnly: false },
  ]);
});
