// A browser slows the timers of a hidden tab down to one a minute, and the gateway would take the silence for death.
// Those of a worker go on. A page whose policy forbids workers gets the slow ones.

export interface HeartbeatTimer {
  set: (f: () => void, milliseconds: number) => number;
  clear: (id: number) => void;
  /** close ends the worker; timers that run end with it. */
  close: () => void;
}

const source = `
const timers = new Map();
onmessage = ({ data: [id, milliseconds] }) => {
  clearInterval(timers.get(id));
  timers.delete(id);
  if (milliseconds) timers.set(id, setInterval(() => postMessage(id), milliseconds));
};
postMessage(0);
`;

/** heartbeatTimer gives timers of a worker, or the page's own where there can be none. */
export async function heartbeatTimer(): Promise<HeartbeatTimer> {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  try {
    const worker = new Worker(url);
    if (await starts(worker)) return ofWorker(worker);
    worker.terminate();
  } catch {
    // The page's policy forbids it.
  } finally {
    URL.revokeObjectURL(url);
  }
  return {
    set: (f, milliseconds) => window.setInterval(f, milliseconds),
    clear: (id) => window.clearInterval(id),
    close: () => undefined,
  };
}

function starts(worker: Worker): Promise<boolean> {
  return new Promise((resolve) => {
    worker.onmessage = () => resolve(true);
    worker.onerror = () => resolve(false);
  });
}

function ofWorker(worker: Worker): HeartbeatTimer {
  const running = new Map<number, () => void>();
  let last = 0;
  worker.onmessage = ({ data }: MessageEvent<number>) => running.get(data)?.();
  return {
    set: (f, milliseconds) => {
      running.set(++last, f);
      worker.postMessage([last, milliseconds]);
      return last;
    },
    clear: (id) => {
      running.delete(id);
      worker.postMessage([id, 0]);
    },
    close: () => worker.terminate(),
  };
}
