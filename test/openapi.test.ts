import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { glossary } from "@caas/control-plane/http/glossary.ts";
import { lint, loadConfig } from "@redocly/openapi-core";
import spectral from "@stoplight/spectral-core";
import rulesets from "@stoplight/spectral-rulesets";
import { expect, test } from "vitest";
import * as z from "zod";

// The interface's description, as the linters that integrators use judge it, with their recommended rules.

const root = join(import.meta.dirname, "..");
const path = join(root, "docs/openapi.json");

test("redocly's recommended rules find nothing in the interface's description [N18]", async () => {
  const config = await loadConfig({ configPath: join(root, "redocly.yaml") });
  const problems = await lint({ ref: path, config });
  expect(
    problems
      .filter(({ ignored }) => ignored !== true)
      .map(({ ruleId, message, location }) => `${ruleId}: ${message} ${location[0]?.pointer ?? ""}`),
  ).toEqual([]);
});

test("spectral's recommended rules find nothing in the interface's description [N18]", async () => {
  const linter = new spectral.Spectral();
  linter.setRuleset(new spectral.Ruleset({ extends: [rulesets.oas] }));
  const problems = await linter.run(await readFile(path, "utf8"));
  expect(problems.map(({ code, message, path: at }) => `${code}: ${message} ${at.join("/")}`)).toEqual([]);
});

test("the glossary has no word that no field uses [N18]", async () => {
  const text = await readFile(path, "utf8");
  expect(Object.keys(glossary).filter((name) => !text.includes(`"${name}"`))).toEqual([]);
});

test("an answer calls the thing's own id `id`, and `…Id` only another thing's", async () => {
  const { paths, components } = described.parse(JSON.parse(await readFile(path, "utf8")));
  const misnamed = new Set<string>();
  const look = (schema: unknown, names: readonly string[], at: string): void => {
    if (!isObject(schema)) return;
    const component =
      typeof schema.$ref === "string" ? schema.$ref.slice(schema.$ref.lastIndexOf("/") + 1) : "";
    look(components.schemas[component], [...names, asThing(component)], at);
    for (const [key, field] of Object.entries(isObject(schema.properties) ? schema.properties : {})) {
      if (names.some((name) => key === `${name}Id`)) misnamed.add(`${at}: ${key}`);
      look(field, [asThing(key)], `${at}.${key}`);
    }
    for (const part of [schema.items, schema.anyOf, schema.oneOf, schema.allOf].flat()) look(part, names, at);
  };
  for (const [url, methods] of Object.entries(paths)) {
    for (const [method, { responses }] of Object.entries(methods)) {
      const { content } = responses["200"] ?? responses["201"] ?? responses["202"] ?? {};
      look(content?.["application/json"]?.schema, thingsOf(url), `${method} ${url}`);
    }
  }
  expect([...misnamed]).toEqual([]);
});

const described = z.object({
  paths: z.record(
    z.string(),
    z.record(
      z.string(),
      z.object({
        responses: z.record(
          z.string(),
          z.object({ content: z.record(z.string(), z.object({ schema: z.unknown() })).optional() }),
        ),
      }),
    ),
  ),
  components: z.object({ schemas: z.record(z.string(), z.unknown()) }),
});

/** The thing that a field or a schema is called after: `payments` holds payments, `Order` is an order. */
function asThing(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1).replace(/s$/, "");
}

/**
 * The things that a route's answer may be: what the address ends in, and what a command on one thing is about
 * (`/tasks/{taskId}/resolution`: a task). Below a thing may also be another one, as a car's catalogue, or an outcome that
 * says whose it is: there `vehicleId` names another thing.
 */
function thingsOf(url: string): readonly string[] {
  const words = url.split("/").filter((word) => word !== "" && !word.startsWith("{"));
  const commands = ["retry", "resolution", "second-look", "cancellation"];
  const isCommand = commands.includes(words.at(-1) ?? "");
  const last = isCommand ? words.at(-2) : words.at(-1);
  return last === "me" ? ["user"] : [asThing(last ?? "")];
}

test("every field and parameter says what it means, and every value has an example [N18]", async () => {
  const silent: string[] = [];
  const look = (value: unknown, at: string): void => {
    if (Array.isArray(value)) for (const [index, part] of value.entries()) look(part, `${at}/${index}`);
    if (!isObject(value)) return;
    for (const [key, part] of Object.entries(value)) look(part, `${at}/${key}`);
    const fields = isObject(value.properties) ? Object.entries(value.properties) : [];
    const parameters = typeof value.in === "string" ? [[String(value.name), value] as const] : [];
    for (const [name, field] of [...fields, ...parameters]) {
      if (!isObject(field)) continue;
      if (typeof field.description !== "string")
        silent.push(`${name} (${at}) has no description: add it to http/glossary.ts`);
      const schema = isObject(field.schema) ? field.schema : field;
      const given = [field.example, schema.example, schema.examples];
      if (isValue(schema) && given.every((one) => one === undefined))
        silent.push(`${name} (${at}) has no example: add one to http/glossary.ts`);
    }
  };
  look(JSON.parse(await readFile(path, "utf8")), "");
  expect(silent).toEqual([]);
});

function isValue(schema: Readonly<Record<string, unknown>>): boolean {
  const choices = [schema.anyOf, schema.oneOf].flat().filter(isObject);
  if (choices.length > 0) return choices.some((one) => one.type !== "null" && isValue(one));
  const types = [schema.type].flat();
  return !types.includes("object") && !types.includes("array") && schema.$ref === undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
