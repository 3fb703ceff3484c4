import { describe, expect, test } from "vitest";
import * as z from "zod";
import { accessTable } from "./http/access-table.ts";
import { identityDocumentSchema } from "./http/identity-documents.ts";
import { renderOpenApi } from "./openapi.ts";

const schema = z.looseObject({
  openapi: z.string(),
  paths: z.record(
    z.string(),
    z.record(
      z.string(),
      z.looseObject({
        operationId: z.string().optional(),
        requestBody: z.json().optional(),
        responses: z.record(z.string(), z.json()),
      }),
    ),
  ),
  components: z.looseObject({ schemas: z.record(z.string(), z.json()) }),
});

const documentSchema = z.looseObject({
  oneOf: z.array(
    z.looseObject({
      properties: z.looseObject({
        kind: z.looseObject({ const: z.string() }),
        number: z.looseObject({ example: z.string() }),
      }),
    }),
  ),
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

  test("every route of an id that may be of nothing lists 404, and every one that takes a body 415", () => {
    const silent = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).flatMap(([method, { responses, requestBody }]) => {
        const due = [...(path.includes("{") ? ["404"] : []), ...(requestBody === undefined ? [] : ["415"])];
        return due.filter((status) => !(status in responses)).map((status) => `${method} ${path}: ${status}`);
      }),
    );
    expect(silent).toEqual([]);
  });

  test("every operation has a unique, readable name", () => {
    const names = operations.map(({ operationId }) => operationId);
    expect(names.filter((name) => !/^[a-z]+([A-Z][a-z]*)*$/.test(name ?? ""))).toEqual([]);
    expect(new Set(names).size).toBe(names.length);
  });

  test("each kind of identity document has an example of its own, which is one [33]", () => {
    const examples = { dni: "12345678Z", nie: "X1234567L", passport: "C01X0006H", cif: "A58818501" };
    const { oneOf: kinds } = documentSchema.parse(components.schemas.IdentityDocument);
    expect(kinds.map(({ properties: { kind, number } }) => [kind.const, number.example])).toEqual(
      Object.entries(examples),
    );
    for (const [kind, number] of Object.entries(examples))
      expect(
        identityDocumentSchema.safeParse({ kind, number, ...(kind === "passport" ? { country: "DE" } : {}) }),
      ).toMatchObject({ success: true });
  });

  test("every schema it refers to exists, and every schema is referred to", () => {
    const referred = [...text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(([, name = ""]) => name);
    expect([...new Set(referred)].toSorted()).toEqual(Object.keys(components.schemas).toSorted());
  });
});
