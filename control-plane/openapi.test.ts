import { describe, expect, test } from "vitest";
import * as z from "zod";
import { accessTable } from "./http/access-table.ts";
import { renderOpenApi } from "./openapi.ts";

const schema = z.looseObject({
  openapi: z.string(),
  paths: z.record(z.string(), z.record(z.string(), z.looseObject({ operationId: z.string().optional() }))),
  components: z.looseObject({ schemas: z.record(z.string(), z.json()) }),
});

describe("the description of the REST interface", async () => {
  const text = await renderOpenApi();
  const { openapi, paths, components } = schema.parse(JSON.parse(text));
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { operationId }]) => ({
      route: `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`,
      operationId,
    })),
  );

  test("it is OpenAPI 3.1 and holds every route of the access table, and no other", () => {
    expect(openapi).toMatch(/^3\.1\./);
    const described = operations.map(({ route }) => route);
    const undescribed = ["GET /", "GET /openapi.json"];
    expect([...described, ...undescribed].toSorted()).toEqual(Object.keys(accessTable).toSorted());
  });

  test("every operation has a unique, readable name", () => {
    const names = operations.map(({ operationId }) => operationId);
    expect(names.filter((name) => !/^[a-z]+([A-Z][a-z]*)*$/.test(name ?? ""))).toEqual([]);
    expect(new Set(names).size).toBe(names.length);
  });

  test("every schema it refers to exists, and every schema is referred to", () => {
    const referred = [...text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(([, name = ""]) => name);
    expect([...new Set(referred)].toSorted()).toEqual(Object.keys(components.schemas).toSorted());
  });
});
