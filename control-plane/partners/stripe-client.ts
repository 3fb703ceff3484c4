import http from "node:http";
import https from "node:https";
import type Stripe from "stripe";
import type { Bounds } from "./bounded-fetch.ts";
import { storableJson } from "./storable-answers.ts";

type HttpClient = ReturnType<typeof Stripe.createNodeHttpClient>;

/**
 * What the gateway's library asks with. Its own client waits anew with each byte and keeps an answer of any size; one
 * over `fetch` costs half a millisecond a call more than this.
 */
export function boundedStripeClient({ timeoutMs, maxBytes }: Bounds): HttpClient {
  const agents = { http: new http.Agent({ keepAlive: true }), https: new https.Agent({ keepAlive: true }) };
  return {
    getClientName: () => "node",
    makeRequest: (host, port, path, method, headers, requestData, protocol) =>
      new Promise((resolve, reject) => {
        const isPlain = protocol === "http";
        const request = (isPlain ? http : https).request({
          ...{ host, port, path, method },
          headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)])),
          agent: isPlain ? agents.http : agents.https,
        });
        const deadline = setTimeout(
          () => request.destroy(new Error(`no whole answer within ${timeoutMs} ms`)),
          timeoutMs,
        );
        const fail = (error: Error): void => {
          clearTimeout(deadline);
          reject(error);
        };
        request.once("error", fail);
        request.once("response", (response) => {
          const chunks: Buffer[] = [];
          let bytes = 0;
          response.on("data", (chunk: Buffer) => {
            bytes += chunk.byteLength;
            chunks.push(chunk);
            if (bytes > maxBytes) request.destroy(new Error(`its answer is longer than ${maxBytes} bytes`));
          });
          response.once("error", fail);
          response.once("aborted", () => fail(new Error("its answer broke off")));
          response.once("end", () => {
            clearTimeout(deadline);
            const text = Buffer.concat(chunks).toString();
            resolve({
              getStatusCode: () => response.statusCode ?? 0,
              getHeaders: () => headersOf(response),
              getRawResponse: () => response,
              toStream: () => response,
              toJSON: async () => JSON.parse(storableJson(text)),
            });
          });
        });
        request.end(requestData);
      }),
  };
}

function headersOf({ headers }: http.IncomingMessage): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}
