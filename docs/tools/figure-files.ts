/**
 * A figure in a document and the place in a file of `bench/results` that it comes from. `line`: a part of the one line
 * of the document that tells it. `at`: names down to the value, with `/` between them; in a list of rows the row's
 * `load`, and `*` for the sum of all that is there. `digits`: after the point. `per`: units of the file in one of the
 * document's.
 */
export type FigureOfFile = {
  document: "README.md" | "docs/measurements.md";
  line: string;
  figure: string;
  file: string;
  at: string;
  digits: number;
  per?: number;
};

type Told = readonly [line: string, figure: string, at: string, digits: number, per?: number];

const measurements = "docs/measurements.md";

function told(document: FigureOfFile["document"], file: string, rows: readonly Told[]): FigureOfFile[] {
  return rows.map(([line, figure, at, digits, per = 1]) => ({
    document,
    line,
    figure,
    file,
    at,
    digits,
    per,
  }));
}

const rollOut = "ota-20261127-195212.json";
const rollOutOnAmd = "ota-20261128-085324.json";
const activation = "activation-20261128-072421.json";
const purchases = "paid-20261127-210505.json";
const prepared = "paid-20261128-122944.json";

// biome-ignore format: one row a line
export const figureFiles: readonly FigureOfFile[] = [
  ...told("README.md", rollOut, [["signed and proved changes", "4,035", "numbers/rolloutCarsPerSecond", 0]]),
  ...told("README.md", activation, [["hold committed to report committed", "161", "numbers/p99Ms", 0]]),

  ...told(measurements, activation, [
    ["hold committed → report committed", "161",  "numbers/p99Ms", 0],
    ["Activations are measured at 2",     "57",   "numbers/p50Ms", 0],
    ["Activations are measured at 2",     "24.8", "numbers/activationsPerSecond", 1],
  ]),
  ...told(measurements, "agent-20261123-000556.json", [
    ["memory of an agent's process", "94.2", "numbers/rssMbAtEnd", 1],
  ]),
  ...told(measurements, purchases, [
    ["complete paid activations per second", "237", "numbers/paidActivationsPerSecond", 0],
    ["| 727 ms",                             "727", "numbers/halfLoadP99Ms", 0],
    ["The 237 of 27 November",               "237", "numbers/paidActivationsPerSecond", 0],
  ]),
  ...told(measurements, "paid-20261128-073439.json", [
    ["The 237 of 27 November", "133", "numbers/paidActivationsPerSecond", 0],
  ]),
  ...told(measurements, prepared, [
    ["The 237 of 27 November",             "173",  "numbers/paidActivationsPerSecond", 0],
    ["The 237 of 27 November",             "10.6", "conditions/statementsAnActivation", 1],
    ["The 237 of 27 November",             "1.4",  "conditions/commitsAnActivation", 1],
    ["Few purchases at a time make small", "87",   "conditions/halfLoadPerSecond", 0],
    ["Few purchases at a time make small", "21",   "conditions/halfLoadStatementsAnActivation", 0],
    ["Few purchases at a time make small", "22",   "conditions/halfLoadMicrosecondsAnActivation/*", 0, 1_000],
    ["Few purchases at a time make small", "13",   "conditions/microsecondsAnActivation/*", 0, 1_000],
  ]),
  ...told(measurements, "ota-20261129-023315.json", [
    ["434 422 433 453", "417", "conditions/microsecondsAChange/*", 0],
  ]),
  ...told(measurements, "paid-20261129-023927.json", [
    ["8,625 8,680", "8,860", "conditions/microsecondsAnActivation/*", 0],
    ["| 230 202", "279",  "numbers/paidActivationsPerSecond", 0],
  ]),
  ...told(measurements, "paid-20261129-010158.json", [
    ["A purchase by itself takes at most", "58.3", "conditions/halfLoadStatementsAnActivation", 1],
    ["A purchase by itself takes at most", "22.7", "conditions/halfLoadCommitsAnActivation", 1],
    ["A purchase by itself takes at most", "69",   "numbers/halfLoadP50Ms", 0],
    ["Few purchases at a time make small", "58",   "conditions/halfLoadStatementsAnActivation", 0],
    ["Few purchases at a time make small", "23",   "conditions/halfLoadCommitsAnActivation", 0],
  ]),
  ...told(measurements, rollOut, [
    ["changes of a roll-out per second",       "4,035",  "numbers/rolloutCarsPerSecond", 0],
    ["| 131 ms",                               "131",    "numbers/halfLoadP99Ms", 0],
    ["relative to Mosquitto's raw",            "0.12",   "numbers/ratio", 2],
    ["bytes per change, after VACUUM",         "946",    "numbers/bytesPerChange", 0],
    ["processor time per change, 100,000",     "1.00",   "numbers/costRatio100kTo1k", 2],
    ["The 237 of 27 November",                 "159",    "numbers/paidActivationsPerSecond", 0],
    ["One aim is missed on the Intel machine", "33,103", "numbers/mosquittoRoundTripsPerSecond", 0],
    ["One aim is missed on the Intel machine", "475",    "conditions/microsecondsAChange/*", 0],
    ["One aim is missed on the Intel machine", "123",    "conditions/microsecondsAChange/controlPlane", 0],
    ["One aim is missed on the Intel machine", "104",    "conditions/microsecondsAChange/postgres", 0],
    ["One aim is missed on the Intel machine", "39",     "conditions/microsecondsAChange/broker", 0],
    ["One aim is missed on the Intel machine", "177",    "conditions/microsecondsAChange/fleet", 0],
    ["One aim is missed on the Intel machine", "32",     "conditions/microsecondsAChange/driver", 0],
    ["One aim is missed on the Intel machine", "29",     "numbers/brokerCpuUs/mosquitto", 0],
  ]),
  ...told(measurements, rollOutOnAmd, [
    ["The 237 of 27 November",                 "153",   "numbers/paidActivationsPerSecond", 0],
    ["One aim is missed on the Intel machine", "3,225", "numbers/rolloutCarsPerSecond", 0],
    ["One aim is missed on the Intel machine", "111",   "numbers/halfLoadP99Ms", 0],
    ["One aim is missed on the Intel machine", "0.37",  "numbers/ratio", 2],
    ["One aim is missed on the Intel machine", "8,689", "numbers/mosquittoRoundTripsPerSecond", 0],
    ["One aim is missed on the Intel machine", "114",   "numbers/brokerCpuUs/mosquitto", 0],
  ]),
  ...told(measurements, "broker-20261127-200202.json", [
    ...brokerRow("fan-in, QoS 0 / QoS 1 ",                 "fan-in",     1_000, [["7.2", "20.1", "6.9"], ["10.7", "32.4", "10.8"]]),
    ...brokerRow("fan-out, QoS 0 / QoS 1 ",                "fan-out",    1_000, [["5.5", "11.8", "6.0"], ["10.1", "27.8", "12.7"]]),
    ...brokerRow("round trip, 1,000 cars, QoS 0 / QoS 1 ", "round trip", 1_000, [["13.3", "34.6", "14.4"], ["18.5", "64.9", "27.6"]]),
    ...brokerRow("round trip, 5,000 cars, QoS 0 / QoS 1 ", "round trip", 5_000, [["19.2", "42.6", "16.0"], ["30.2", "81.1", "30.8"]]),
    ["It accepts",  "4,275",  "numbers/rows/connect, plain/ours", 0],
    ["It accepts",  "4,752",  "numbers/rows/connect, plain/aedes", 0],
    ["It accepts",  "11,025", "numbers/rows/connect, plain/mosquitto", 0],
    ["It accepts",  "495",    "numbers/rows/connect, mTLS/ours", 0],
    ["It accepts",  "518",    "numbers/rows/connect, mTLS/aedes", 0],
    ["It accepts",  "563",    "numbers/rows/connect, mTLS/mosquitto", 0],
    ["It accepts",  "17",     "numbers/rows/memory a connection, plain, 1000 to 16000/ours", 0],
    ["It accepts",  "72",     "numbers/rows/memory a connection, mTLS, 1000 to 16000/ours", 0],
  ]),
];

/** @param figures of QoS 0 and QoS 1, each of ours, plain aedes and Mosquitto */
function brokerRow(
  line: string,
  load: string,
  clients: number,
  figures: readonly (readonly [string, string, string])[],
): Told[] {
  return figures.flatMap((of, qos) =>
    (["ours", "aedes", "mosquitto"] as const).map(
      (contender, index): Told => [
        line,
        of[index] ?? "",
        `numbers/rows/${load}, QoS ${qos}, ${clients} clients/cpuUs/${contender}`,
        1,
      ],
    ),
  );
}
