// Where a device connects, from a listener of the host file and the name under which the page was reached.
import type { Endpoint } from "../admin-types";
import { splitAddress } from "./wire";

export interface Connection {
  host: string; // of a Unix socket its path
  port: string; // empty for a Unix socket
  tls: boolean;
  path: string; // of a WebSocket, else empty
  certificate: boolean; // nobody gets in without one
  here: boolean; // only from the gateway itself
  unix: boolean;
}

/** connection gives what to enter. A listener on all addresses is reached by the name in the browser's address; port 0 is looked up among the bound addresses. */
export function connection(e: Endpoint, page: string, bound: string[]): Connection {
  const common = { tls: e.tls, path: e.path ?? "", certificate: e.client_certificate };
  if (e.address.startsWith("unix:"))
    return { ...common, host: e.address.slice("unix:".length), port: "", here: true, unix: true };
  const [host, port] = splitAddress(e.address);
  const all = host === "" || host === "0.0.0.0" || host === "::";
  const own = port === "0" ? (bound.map(splitAddress).find(([h]) => all || h === host)?.[1] ?? port) : port;
  const shown = all ? page.replace(/^\[|\]$/g, "") : host;
  const here = !all && (host === "localhost" || host === "::1" || host.startsWith("127."));
  return { ...common, host: shown, port: own, here, unix: false };
}
