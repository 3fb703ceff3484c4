import helmet from "@fastify/helmet";
import rateLimit from "@fastify/rate-limit";
import swagger from "@fastify/swagger";
import scalar from "@scalar/fastify-api-reference";
import Fastify, {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyRequest,
  LogController,
} from "fastify";
import {
  createJsonSchemaTransform,
  hasZodFastifySchemaValidationErrors,
  serializerCompiler,
  validatorCompiler,
} from "fastify-type-provider-zod";
import type { Logger } from "pino";
import { isDatabaseUnavailable } from "../store/database-errors.ts";
import { requireAccess } from "./access-table.ts";
import type { ErrorCode } from "./error-table.ts";
import { describeNamedSchemas } from "./named-schemas.ts";
import { problemOf, problemOfFields, sendProblem } from "./problem.ts";
import { tags } from "./route-description.ts";

export type Http = FastifyInstance;

/** Bodies are small documents; the largest is a car's enrolment. */
const bodyLimitBytes = 64 * 1024;

/**
 * The bare server: error form, security headers, documentation, and the refusal to register a route that the
 * access table does not name. Capabilities add their routes with `addCommand` and `addQuery`.
 */
export async function createServer(options: {
  logger: Logger;
  version: string;
  /** Told of a refusal that its route does not list. Default: it is logged. */
  reportUnlisted?: (sentence: string) => void;
}): Promise<Http> {
  const loggerInstance: FastifyBaseLogger = options.logger;
  const server: Http = Fastify({
    loggerInstance,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: bodyLimitBytes,
    // Only a proxy on this host is believed: a client cannot choose its own address.
    trustProxy: "loopback",
  });
  server.decorate(
    "reportUnlisted",
    options.reportUnlisted ?? ((sentence: string) => options.logger.error(sentence)),
  );
  server.setValidatorCompiler(validatorCompiler);
  server.setSerializerCompiler(serializerCompiler);
  server.setErrorHandler<FastifyError>((error, request, reply) => {
    sendProblem(reply, describeError(error, request));
  });
  server.setNotFoundHandler((request, reply) => {
    sendProblem(
      reply,
      problemOf("notFound", `${request.method} ${request.url.split("?")[0]} does not exist`),
    );
  });
  server.addHook("onRoute", (route) => {
    if (route.url.startsWith("/docs")) return;
    for (const method of [route.method].flat()) {
      if (method === "HEAD" || method === "OPTIONS") continue;
      requireAccess(`${method} ${route.url}`);
    }
  });

  await server.register(helmet, {
    contentSecurityPolicy: {
      directives: {
        defaultSrc: ["'self'"],
        // The documentation page has its script and style inline.
        scriptSrc: ["'self'", "'unsafe-inline'"],
        styleSrc: ["'self'", "'unsafe-inline'"],
        fontSrc: ["'self'", "data:"],
        imgSrc: ["'self'", "data:"],
        // Plain HTTP on loopback is the default; a proxy in front adds TLS.
        upgradeInsecureRequests: null,
      },
    },
  });
  await server.register(rateLimit, {
    global: false,
    errorResponseBuilder: (_request, context) => {
      const error: FastifyError = Object.assign(
        new Error(`at most ${context.max} tries in ${context.after}; try again then`),
        { code: "CAAS_TOO_MANY_REQUESTS", name: "TooManyRequests", statusCode: 429 },
      );
      return error;
    },
  });
  await server.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Car-as-a-Service control plane",
        version: options.version,
        description:
          "Sells a car, has it built, paid, registered and delivered, and switches paid services on in it over the air. " +
          "Money is in minor units (cents). Every POST takes an Idempotency-Key header unless it lists none. " +
          "Errors are RFC 9457 problem documents that name the field or the rule and its section of the specification.",
        contact: { name: "The operator of this platform" },
        license: { name: "Apache-2.0", identifier: "Apache-2.0" },
      },
      servers: [{ url: "/", description: "This control plane" }],
      tags: Object.entries(tags).map(([name, description]) => ({ name, description })),
      components: {
        securitySchemes: {
          session: { type: "http", scheme: "bearer", description: "The token from POST /api/sign-in" },
        },
      },
    },
    transform: createJsonSchemaTransform({
      skipList: ["/docs", "/docs/*", "/openapi.json", "/docs/openapi.json", "/docs/openapi.yaml"],
    }),
    // Schemas with an id (`.meta({ id })`) appear once, under their name.
    transformObject: describeNamedSchemas,
  });
  await server.register(scalar, {
    routePrefix: "/docs",
    configuration: {
      title: "Car-as-a-Service",
      telemetry: false,
      // The page must not lead to services of third parties.
      showDeveloperTools: "never",
      hideClientButton: true,
      agent: { disabled: true, hideAddApi: true },
      mcp: { disabled: true },
      authentication: { preferredSecurityScheme: "session" },
    },
  });
  server.get("/openapi.json", { schema: { hide: true } }, () => server.swagger());
  return server;
}

const codeOfFastify: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: "payloadTooLarge",
  FST_ERR_CTP_INVALID_MEDIA_TYPE: "unsupportedMediaType",
  CAAS_TOO_MANY_REQUESTS: "tooManyRequests",
};

function describeError(error: FastifyError, request: FastifyRequest) {
  if (hasZodFastifySchemaValidationErrors(error)) {
    if (error.validationContext === "headers")
      return problemOf(
        "idempotencyKeyMissing",
        "send an Idempotency-Key header of 1 to 200 characters, new for each intent",
      );
    const errors = error.validation.flatMap(({ instancePath, params, message = "is not valid" }) => {
      const path = [
        error.validationContext ?? "body",
        ...instancePath.split("/").filter((name) => name !== ""),
      ];
      // An unknown field is reported on its object; callers look for the field itself.
      const unknown: unknown = "keys" in params ? params.keys : undefined;
      const names = Array.isArray(unknown) ? unknown.map((name) => [...path, String(name)]) : [path];
      return names.map((name) => ({ field: name.join("."), message }));
    });
    return problemOfFields(errors);
  }
  const known = codeOfFastify[error.code];
  if (known !== undefined) return problemOf(known, error.message);
  if (error.statusCode !== undefined && error.statusCode < 500) return problemOf("badRequest", error.message);
  if (isDatabaseUnavailable(error)) {
    request.log.warn({ err: error }, "the database cannot be reached");
    return problemOf("databaseUnavailable", "nothing was changed; try again with the same Idempotency-Key");
  }
  request.log.error({ err: error, method: request.method, url: request.url }, "a request failed");
  return problemOf("internal", `the request failed; our log has it under ${request.id}`);
}
