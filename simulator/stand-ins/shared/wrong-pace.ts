import type { FastifyReply } from "fastify";

// Answers that never come to an end, until the client hangs up.

const chunk = Buffer.alloc(64 * 1024, " ");
/** Often enough that no time-out between two bytes ever passes. */
const byteEveryMs = 100;

/** As fast as the client reads. */
export function answerEndlessly(reply: FastifyReply): void {
  const { raw } = begin(reply);
  const fill = (): void => {
    while (!raw.destroyed && raw.write(chunk));
  };
  raw.on("drain", fill);
  fill();
}

/** A byte at a time. */
export function answerSlowly(reply: FastifyReply): void {
  const { raw } = begin(reply);
  const timer = setInterval(() => raw.write(" "), byteEveryMs);
  raw.once("close", () => clearInterval(timer));
}

function begin(reply: FastifyReply): FastifyReply {
  reply.hijack();
  reply.raw.on("error", () => undefined);
  reply.raw.writeHead(200, { "content-type": "application/json" });
  return reply;
}
