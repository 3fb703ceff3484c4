import { plainAddress, sourceOf } from "@caas/contract/address-source.ts";
import helmet from "@fastify/helmet";
import rateLimit from "@fastify/rate-limit";
import swagger from "@fastify/swagger";
import scalar from "@scalar/fastify-api-reference";
import Fastify, {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  LogController,
} from "fastify";
import { createJsonSchemaTransform, serializerCompiler, validatorCompiler } from "fastify-type-provider-zod";
import type { Logger } from "pino";
import { requireAccess } from "./access-table.ts";
import { answerOnSocket, describeError } from "./describe-error.ts";
import { describeNamedSchemas } from "./named-schemas.ts";
import { answerUnknownRoutes } from "./not-found.ts";
import { sendProblem } from "./problem.ts";
import { readJsonBodies } from "./read-json-body.ts";
import { refuseUnstorableText } from "./refuse-unstorable.ts";
import { tags } from "./route-description.ts";

export type Http = FastifyInstance;

/** Bodies are small documents; the largest is a car's enrolment. */
const bodyLimitBytes = 64 * 1024;

/** From a request's first byte to its last, real time: 64 KiB take a second on the slowest line that works. */
const defaultRequestTimeoutMs = 30_000;

/**
 * The bare server: error form, security headers, documentation, and the refusal to register a route that the
 * access table does not name. Capabilities add their routes with `addCommand` and `addQuery`.
 */
export async function createServer(options: {
  logger: Logger;
  version: string;
  requestTimeoutMs?: number;
  /** Told of a refusal that its route does not list. Default: it is logged. */
  reportUnlisted?: (sentence: string) => void;
}): Promise<Http> {
  const { requestTimeoutMs = defaultRequestTimeoutMs } = options;
  const loggerInstance: FastifyBaseLogger = options.logger;
  const server: Http = Fastify({
    loggerInstance,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: bodyLimitBytes,
    requestTimeout: requestTimeoutMs,
    // How often Node looks for requests that take too long; with its 30 s they would take a minute.
    // The headers' own time must not be longer: Node would exchange the two.
    http: {
      connectionsCheckingInterval: Math.min(5_000, requestTimeoutMs),
      headersTimeout: requestTimeoutMs,
    },
    clientErrorHandler: answerOnSocket,
    frameworkErrors: (error, request, reply) => {
      // No hook runs for an address that cannot be read.
      sendProblem(reply.header("cache-control", "no-store"), describeError(error, request));
    },
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
  readJsonBodies(server);
  refuseUnstorableText(server);
  answerUnknownRoutes(server);
  // What is asked for is personal until a route says otherwise.
  server.addHook("onRequest", async (_request, reply) => void reply.header("cache-control", "no-store"));
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
    keyGenerator: ({ ip }) => sourceOf(plainAddress(ip)),
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
