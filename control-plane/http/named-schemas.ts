import type { SwaggerTransformObject } from "@fastify/swagger";
import { createJsonSchemaTransformObject } from "fastify-type-provider-zod";
import { explainFields } from "./explain-fields.ts";

const describeAll = createJsonSchemaTransformObject({});

/**
 * Puts every schema with an id (`.meta({ id })`) into the description's components. The library adds a second form of
 * each, for input; those that no route takes are left out.
 */
export const describeNamedSchemas: SwaggerTransformObject = (document) => {
  const described = describeAll(document);
  if (!("components" in described) || described.components?.schemas === undefined) return described;
  const text = JSON.stringify(described);
  const used = Object.entries(described.components.schemas).filter(([name]) =>
    text.includes(`"#/components/schemas/${name}"`),
  );
  return Object.assign(
    described,
    explainFields({
      paths: described.paths,
      components: { ...described.components, schemas: Object.fromEntries(used) },
    }),
  );
};
