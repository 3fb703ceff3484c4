import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";

// Webhooks leave by the thousand in a load test, and `fetch` takes more than twice the processor time of this.

export type Poster = {
  /** The status of the answer, whose body is not looked at. @throws when there is none in time, or `signal` aborts */
  post(url: string, headers: Readonly<Record<string, string>>, body: string): Promise<number>;
  /** Ends the connections that are kept open. */
  close(): void;
};

export function createPoster({ timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal }): Poster {
  const plain = new HttpAgent({ keepAlive: true });
  const secure = new HttpsAgent({ keepAlive: true });
  return {
    post: (url, headers, body) =>
      new Promise((resolve, reject) => {
        const options = {
          method: "POST",
          headers: { ...headers, "content-length": Buffer.byteLength(body) },
          signal,
        };
        const answer = (response: IncomingMessage) => {
          response.on("error", end(reject)).on("end", () => end(resolve)(response.statusCode ?? 0));
          response.resume();
        };
        const asked = url.startsWith("https:")
          ? httpsRequest(url, { ...options, agent: secure }, answer)
          : httpRequest(url, { ...options, agent: plain }, answer);
        const timer = setTimeout(
          () => asked.destroy(new Error(`no answer within ${timeoutMs} ms`)),
          timeoutMs,
        );
        const end =
          <T>(settle: (value: T) => void) =>
          (value: T) => {
            clearTimeout(timer);
            settle(value);
          };
        asked.on("error", end(reject)).end(body);
      }),
    close() {
      plain.destroy();
      secure.destroy();
    },
  };
}
