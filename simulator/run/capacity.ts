import { readFileSync } from "node:fs";

// What this machine allows a process, checked before anything is started.

export type Capacity = {
  /** Open files per process, sockets included; `null` where it is unknown. */
  openFiles: { now: number; most: number } | null;
  /** Ports that a connection can come from, for each address and destination. */
  ports: number | null;
};

export function readCapacity(): Capacity {
  const [soft, hard] =
    readText("/proc/self/limits")
      .match(/^Max open files +(\w+) +(\w+)/m)
      ?.slice(1) ?? [];
  const [low, high] = readText("/proc/sys/net/ipv4/ip_local_port_range").trim().split(/\s+/).map(Number);
  return {
    openFiles: soft === undefined || hard === undefined ? null : { now: limitOf(soft), most: limitOf(hard) },
    ports: low === undefined || high === undefined || Number.isNaN(high) ? null : high - low + 1,
  };
}

function limitOf(text: string): number {
  return text === "unlimited" ? Number.POSITIVE_INFINITY : Number(text);
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** What a process of cars opens besides its cars' sockets. */
const ownFiles = 100;
/** Cars per process: more only make garbage collection slower. */
const comfortableCars = 4_000;
/** `loopbackAddressOf` gives each address so many. */
const carsPerLoopbackAddress = 20_000;

/** Cars choose a process by their VIN, which is not quite even. */
const unevenness = 1.05;

export type Plan = { kind: "possible"; processes: number } | { kind: "impossible"; why: string };

/**
 * How many processes hold the cars.
 * @param asked `auto`, or a number
 * @param cores processors of the machine
 * @param isLoopback whether the broker is reached on 127.*: then there are addresses enough to come from
 */
export function planProcesses(
  options: { vehicles: number; asked: number | "auto"; cores: number; isLoopback: boolean },
  { openFiles, ports }: Capacity,
): Plan {
  const { vehicles, asked, cores, isLoopback } = options;
  const room = openFiles === null ? comfortableCars : openFiles.now - ownFiles;
  if (room < 1)
    return {
      kind: "impossible",
      why: `a process may open ${openFiles?.now} files, too few for any car; raise it: ${raise(ownFiles + comfortableCars, openFiles?.most)}`,
    };
  // At least one, also where cars are yet to be sold.
  const wanted = Math.max(
    1,
    Math.ceil(vehicles / room),
    Math.min(cores, Math.ceil(vehicles / comfortableCars)),
  );
  const processes = asked === "auto" ? wanted : asked;
  const each = Math.ceil(vehicles / processes);
  if (each > room)
    return {
      kind: "impossible",
      why:
        `${each.toLocaleString("en")} cars a process need ${each + ownFiles} open files, and ${openFiles?.now} are allowed: ` +
        `take --processes ${Math.ceil(vehicles / room)}, or raise it: ${raise(each + ownFiles, openFiles?.most)}`,
    };
  const portsNeeded = isLoopback ? Math.min(vehicles, carsPerLoopbackAddress) : vehicles;
  if (ports !== null && portsNeeded > ports)
    return {
      kind: "impossible",
      why:
        `${portsNeeded.toLocaleString("en")} connections from one address need as many ports, and there are ${ports}: ` +
        `raise it: sysctl -w net.ipv4.ip_local_port_range="${65_536 - Math.min(portsNeeded + 1_000, 64_000)} 65535"`,
    };
  return { kind: "possible", processes };
}

/** Why a broker that is a process here cannot hold the cars; `null` when it can. */
export function explainBrokerRoom(vehicles: number, brokers: number, { openFiles }: Capacity): string | null {
  // They spread by chance, and one that dies leaves its cars to the others.
  const each = brokers === 1 ? vehicles : Math.ceil((vehicles / brokers) * unevenness);
  if (openFiles === null || each + ownFiles <= openFiles.now) return null;
  return (
    `a process of the broker may open ${openFiles.now} files, too few for ${each.toLocaleString("en")} cars: ` +
    `take --brokers ${Math.ceil((vehicles * unevenness) / (openFiles.now - ownFiles))}, ` +
    `or raise it: ${raise(each + ownFiles, openFiles.most)}, or name a larger broker with --broker`
  );
}

function raise(needed: number, most: number | undefined): string {
  if (most !== undefined && needed <= most) return `ulimit -n ${needed}`;
  return `echo "* - nofile ${needed}" >> /etc/security/limits.conf as root, and sign in again`;
}
