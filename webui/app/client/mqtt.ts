// MQTT for web pages, served by the gateway as /client/mqtt.js. docs/browser.md shows it; MQTT.js does the protocol.
import mqtt, { type IClientOptions, type IClientPublishOptions, type MqttClient } from "mqtt";
import { Closing } from "./closing";
import { matches } from "./topic";
import { heartbeatTimer } from "./timer";

export type QoS = 0 | 1 | 2;

/** A message that came. */
export interface Message {
  topic: string;
  payload: Uint8Array;
  qos: QoS;
  /** It was there before the subscription. */
  retain: boolean;
  /** text gives the payload as UTF-8 text. */
  text: () => string;
  /** json gives the payload as a value; it throws a SyntaxError when it is no JSON. */
  json: () => unknown;
}

export type Handler = (message: Message) => void;

/** Text is sent as UTF-8, an object that is no Uint8Array as JSON. */
export type Payload = string | Uint8Array | number | boolean | object | null;

/** What the gateway publishes when this client is lost without a disconnect. */
export interface Will {
  topic: string;
  payload?: Payload;
  qos?: QoS; // 1
  retain?: boolean; // false
  /** Seconds that the gateway waits for the client to come back (5.0). */
  delay?: number; // 0
}

export type State = "online" | "offline" | "closed";

export interface Options {
  /** ws://host:8083/mqtt or wss://. */
  url: string;
  clientId?: string; // made up
  username?: string;
  password?: string;
  /** 5 is MQTT 5.0, 4 is 3.1.1. */
  version?: 4 | 5; // 5
  /** Seconds that the gateway keeps the session without a connection; needs a clientId of its own. */
  sessionExpiry?: number; // 0; with version 4 more than 0 keeps it as long as the gateway likes
  will?: Will;
  /** Milliseconds until the gateway must have let the client in. */
  connectTimeout?: number; // 10,000
  /** Milliseconds of silence after which the gateway is asked whether it is there; rounded up to seconds. */
  heartbeat?: number; // 30,000
  /** Milliseconds before the connection is tried again after it was lost; 0 for never. */
  reconnect?: number; // 2,000
  /** Milliseconds that disconnect waits for the close before it tries again. */
  disconnectTimeout?: number; // 2,000
  /** How often disconnect tries in all. */
  disconnectAttempts?: number; // 3
  /** Tells when the connection comes and goes. */
  onState?: (state: State, why?: string) => void;
}

interface Subscribed {
  filter: string;
  handler: Handler;
}

type Numbers =
  "sessionExpiry" | "connectTimeout" | "heartbeat" | "reconnect" | "disconnectTimeout" | "disconnectAttempts";
type Settings = Options & Required<Pick<Options, Numbers | "version">>;

const defaults: Omit<Settings, "url"> = {
  version: 5,
  sessionExpiry: 0,
  connectTimeout: 10_000,
  heartbeat: 30_000,
  reconnect: 2_000,
  disconnectTimeout: 2_000,
  disconnectAttempts: 3,
};

/**
 * connect gives a client that is connected. It fails with words when the gateway can't be reached, refuses, or does
 * not answer within connectTimeout; then nothing is left that would try again.
 */
export async function connect(options: Options): Promise<Client> {
  const settings: Settings = { ...defaults, ...options };
  checkSettings(settings);
  const closing = new Closing();
  const timer = await heartbeatTimer();
  const link = mqtt.connect(settings.url, {
    ...protocolOptions(settings),
    connectTimeout: settings.connectTimeout,
    keepalive: Math.ceil(settings.heartbeat / 1000),
    reconnectPeriod: settings.reconnect,
    timerVariant: timer,
    createWebsocket: (url: string, protocols: string[]) => closing.watch(new WebSocket(url, protocols)),
  } as IClientOptions);
  try {
    await connected(link, settings);
  } catch (error) {
    link.end(true);
    timer.close();
    throw error;
  }
  return new Client(link, closing, timer.close, settings);
}

/** Client is a connection that comes back by itself; connect makes it. */
export class Client {
  readonly clientId: string;
  private readonly subscribed: Subscribed[] = [];
  private readonly gone = new AbortController();
  private ready = Promise.resolve(); // kept when there is a connection with all its subscriptions
  private ending: Promise<void> | undefined;

  /** @internal */
  constructor(
    private readonly link: MqttClient,
    private readonly closing: Closing,
    private readonly release: () => void,
    private readonly settings: Settings,
  ) {
    this.clientId = link.options.clientId ?? "";
    link.on("message", (topic, payload, packet) => {
      this.deliver(messageOf(topic, payload, packet.qos, packet.retain));
    });
    let why: string | undefined;
    link.on("error", (error) => (why = error.message));
    link.on("disconnect", (packet) => (why = `the gateway ended the connection (reason ${packet.reasonCode ?? 0})`));
    let arrive: (() => void) | undefined;
    link.on("connect", () => {
      arrive?.();
      arrive = undefined;
      settings.onState?.("online");
    });
    link.on("close", () => {
      if (!arrive) this.ready = new Promise((resolve) => (arrive = resolve));
      if (!this.ending) settings.onState?.("offline", why);
      why = undefined;
    });
    settings.onState?.("online");
  }

  /** connected tells whether there is a connection now. */
  get connected(): boolean {
    return this.link.connected && !this.gone.signal.aborted;
  }

  /**
   * subscribe asks for a topic filter and hands each of its messages to the handler; it gives the QoS that was granted.
   * It fails when the gateway refuses. After a lost connection the subscription is made again by itself.
   */
  async subscribe(filter: string, handler: Handler, { qos = 1 }: { qos?: QoS } = {}): Promise<QoS> {
    const entry = { filter, handler };
    this.subscribed.push(entry); // before the answer, for retained messages may come with it
    try {
      const [grant] = await this.unlessGone(this.link.subscribeAsync(filter, { qos }));
      if (grant && grant.qos > 2) throw new Error(`the gateway refuses the subscription of ${filter}`);
      return (grant?.qos ?? qos) as QoS;
    } catch (error) {
      this.subscribed.splice(this.subscribed.indexOf(entry), 1);
      throw error;
    }
  }

  /** unsubscribe ends a topic filter for all of its handlers. */
  async unsubscribe(filter: string): Promise<void> {
    await this.unlessGone(this.link.unsubscribeAsync(filter));
    for (let i = this.subscribed.length - 1; i >= 0; i--) {
      if (this.subscribed[i]?.filter === filter) this.subscribed.splice(i, 1);
    }
  }

  /**
   * publish sends a message. With QoS 1 (what it is when nothing is said) and 2 it is done when the gateway has the
   * message safely; while there is no connection it waits for the next one. It fails when the gateway refuses, and
   * with disconnect.
   */
  async publish(topic: string, payload: Payload, options: { qos?: QoS; retain?: boolean } = {}): Promise<void> {
    const { qos = 1, retain = false } = options;
    const publish: IClientPublishOptions = { qos, retain };
    await this.unlessGone(this.ready); // MQTT.js would send it before the subscriptions that may want it
    await this.unlessGone(this.link.publishAsync(topic, bytesOf(payload) as Buffer, publish));
  }

  /**
   * disconnect says goodbye, so that no will is published, and waits until the connection is closed; after
   * disconnectTimeout it tries again, disconnectAttempts times in all, then fails. In every case nothing connects
   * again. A second call gives the outcome of the first.
   */
  disconnect(): Promise<void> {
    this.ending ??= this.end();
    return this.ending;
  }

  private async end(): Promise<void> {
    const { disconnectTimeout, disconnectAttempts } = this.settings;
    try {
      for (let attempt = 1; attempt <= disconnectAttempts; attempt++) {
        if (attempt === 1) this.link.end(!this.link.connected);
        else this.closing.sayGoodbye();
        if (await this.closing.closed(disconnectTimeout)) return;
      }
      throw new Error(`the connection did not close: ${disconnectAttempts} attempts of ${disconnectTimeout} ms`);
    } finally {
      this.link.disconnecting = false; // so that end does what it is asked to
      this.link.end(true);
      this.gone.abort(new Error("the client is disconnected"));
      this.release();
      this.settings.onState?.("closed");
    }
  }

  private deliver(message: Message): void {
    for (const { filter, handler } of [...this.subscribed]) {
      if (matches(filter, message.topic)) handler(message);
    }
  }

  /** unlessGone gives what the promise gives, but fails as soon as the client is disconnected: MQTT.js never would. */
  private unlessGone<T>(promise: Promise<T>): Promise<T> {
    const { signal } = this.gone;
    return new Promise((resolve, reject) => {
      const stop = () => reject(signal.reason as Error);
      if (signal.aborted) stop();
      signal.addEventListener("abort", stop);
      promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
    });
  }
}

function checkSettings(s: Settings): void {
  if (!/^wss?:\/\//.test(s.url)) throw new Error("url must begin with ws:// or wss://");
  const numbers: [Numbers, number, number][] = [
    ["sessionExpiry", 0, 4_294_967_295],
    ["connectTimeout", 1, 300_000],
    ["heartbeat", 1, 65_535_000],
    ["reconnect", 0, 3_600_000],
    ["disconnectTimeout", 1, 300_000],
    ["disconnectAttempts", 1, 100],
  ];
  for (const [name, least, most] of numbers) {
    const n = s[name];
    if (!(n >= least && n <= most)) throw new Error(`${name} must be ${least} to ${most}`);
  }
}

function protocolOptions(s: Settings): IClientOptions {
  const modern = s.version === 5;
  const o: IClientOptions = { protocolVersion: s.version, clean: s.sessionExpiry === 0 };
  if (s.clientId !== undefined) o.clientId = s.clientId;
  if (s.username !== undefined) o.username = s.username;
  if (s.password !== undefined) o.password = s.password;
  if (modern && s.sessionExpiry > 0) o.properties = { sessionExpiryInterval: s.sessionExpiry };
  if (s.will) {
    const { topic, payload = "", qos = 1, retain = false, delay = 0 } = s.will;
    o.will = { topic, payload: bytesOf(payload) as Buffer, qos, retain };
    if (modern && delay > 0) o.will.properties = { willDelayInterval: delay };
  }
  return o;
}

/** connected waits for the first CONNACK. */
function connected(link: MqttClient, s: Settings): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`connect ${s.url}: ${why}`));
    const late = setTimeout(() => fail(`no answer within ${s.connectTimeout} ms`), s.connectTimeout);
    const settle = (then: () => void) => {
      clearTimeout(late);
      then();
    };
    link.once("connect", () => settle(resolve));
    link.on("error", (error) => settle(() => fail(error.message.toLowerCase())));
    // A browser tells a page no more than that it failed.
    link.once("close", () =>
      settle(() => fail("no connection: nothing listens there, or pages of this origin may not connect")),
    );
  });
}

function messageOf(topic: string, payload: Uint8Array, qos: QoS, retain: boolean): Message {
  const text = () => new TextDecoder().decode(payload);
  return { topic, payload, qos, retain, text, json: () => JSON.parse(text()) as unknown };
}

function bytesOf(payload: Payload): Uint8Array {
  if (payload instanceof Uint8Array) return payload.slice(); // the caller may change its bytes before they are sent
  return new TextEncoder().encode(typeof payload === "string" ? payload : JSON.stringify(payload));
}
