import { Agent, request } from "node:http";

const mostConnections = 512;

/** `fetch` by Node's own HTTP client, for plain HTTP: a load test's requests take less than half the processor time. */
export function createLightFetch(): typeof fetch {
  const agent = new Agent({ keepAlive: true, maxSockets: mostConnections });
  return (address, { method = "GET", headers, body, signal } = {}) =>
    new Promise((resolve, reject) => {
      const options = {
        agent,
        method,
        headers: Object.fromEntries(new Headers(headers)),
        ...(signal === undefined || signal === null ? {} : { signal }),
      };
      const sent = request(String(address), options, (response) => {
        const chunks: Buffer[] = [];
        response
          .on("data", (chunk: Buffer) => chunks.push(chunk))
          .on("error", reject)
          .on("end", () => {
            const content = chunks.length === 0 ? null : Buffer.concat(chunks);
            resolve(new Response(content, { status: response.statusCode ?? 0 }));
          });
      });
      sent.on("error", reject).end(body === undefined || body === null ? undefined : String(body));
    });
}
