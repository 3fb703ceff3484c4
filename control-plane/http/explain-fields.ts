import { glossary } from "./glossary.ts";

type Schema = Readonly<Record<string, unknown>>;

/** Explains every field and parameter of an OpenAPI document by the glossary, where its schema does not itself. */
export function explainFields(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(explainFields);
  if (!isObject(value)) return value;
  const explained = Object.fromEntries(
    Object.entries(value).map(([key, part]) => [
      key,
      key === "properties" && isObject(part) ? explainEach(part) : explainFields(part),
    ]),
  );
  const { in: place, name, schema } = explained;
  if (typeof place !== "string" || typeof name !== "string" || !isObject(schema)) return explained;
  const { description, ...rest } = explainField(name, schema);
  return { ...explained, description: explained.description ?? description, schema: rest };
}

function explainEach(properties: Schema): Schema {
  return Object.fromEntries(
    Object.entries(properties).map(([name, schema]) => {
      const inner = explainFields(schema);
      return [name, isObject(inner) ? explainField(name, inner) : inner];
    }),
  );
}

function explainField(name: string, schema: Schema): Schema {
  const known = Object.hasOwn(glossary, name) ? glossary[name] : undefined;
  const example = "example" in schema || "examples" in schema ? undefined : exampleOf(schema, known?.example);
  return {
    ...schema,
    ...(schema.description === undefined && known !== undefined ? { description: known.description } : {}),
    ...(example === undefined ? {} : { examples: [example] }),
  };
}

/** A value that the schema itself lists, or the glossary's where it is of the right type. */
function exampleOf(schema: Schema, known: string | number | undefined): unknown {
  if (schema.const !== undefined) return schema.const;
  if (Array.isArray(schema.enum)) return schema.enum[0];
  for (const key of ["anyOf", "oneOf"]) {
    const choices = schema[key];
    if (Array.isArray(choices))
      return choices
        .map((one) => (isObject(one) ? exampleOf(one, known) : undefined))
        .find((one) => one !== undefined);
  }
  const types = [schema.type].flat();
  if (types.includes("boolean")) return true;
  if (typeof known === "string" && types.includes("string")) return known;
  if (typeof known === "number" && types.some((type) => type === "integer" || type === "number"))
    return known;
  return undefined;
}

function isObject(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
