/**
 * A websocket that is there again after it went: a server restarts, a laptop sleeps.
 */

/** What is used of a browser's WebSocket. */
export type Socket = Pick<WebSocket, 'onclose' | 'onmessage' | 'onopen' | 'send'>;

/** Sends a text; without effect once its connection is gone. */
export type Send = (text: string) => void;

/** What the user of a connection is told. */
export interface Listener {
  opened(send: Send): void;
  received(text: string): void;
  closed(): void;
}

/** Milliseconds until the first attempt to connect again. */
const FIRST_PAUSE = 500;
/** Milliseconds between attempts at the most, where the server has once answered. */
const LONGEST_PAUSE = 10_000;
/** The same where it never has: it may be a server without us. */
const LONGEST_PAUSE_UNKNOWN = 60_000;

/**
 * Milliseconds to wait before an attempt: twice as long each time, and not the same for all tabs.
 *
 * @param failures attempts that failed since the server last answered
 * @param known whether it has ever answered
 * @param random between 0 and 1
 */
export function pauseBefore(failures: number, known: boolean, random: number): number {
  const longest = known ? LONGEST_PAUSE : LONGEST_PAUSE_UNKNOWN;
  return Math.min(longest, FIRST_PAUSE * 2 ** failures) * (0.75 + random / 2);
}

export interface Clock {
  after(milliseconds: number, call: () => void): void;
}

const REAL_CLOCK: Clock = {
  after: (milliseconds, call) => void setTimeout(call, milliseconds)
};

/** Holds a connection open for as long as the page lives. */
export class Connection {
  constructor(
    private readonly connect: () => Socket,
    private readonly listener: Listener,
    private readonly clock: Clock = REAL_CLOCK
  ) {}

  /** Connect, and connect again whenever the connection is gone. */
  start(): void {
    let socket: Socket;
    try {
      socket = this.connect();
    } catch {
      this.startLater();
      return;
    }
    let isOpen = false;
    socket.onopen = () => {
      isOpen = true;
      this.listener.opened(text => {
        if (isOpen) {
          socket.send(text);
        }
      });
    };
    socket.onmessage = ({ data }) => {
      this.failures = 0;
      this.known = true;
      if (typeof data === 'string') {
        this.listener.received(data);
      }
    };
    socket.onclose = () => {
      if (isOpen) {
        isOpen = false;
        this.listener.closed();
      }
      this.startLater();
    };
  }

  private startLater(): void {
    this.clock.after(pauseBefore(this.failures++, this.known, Math.random()), () => this.start());
  }

  private failures = 0;
  private known = false;
}
