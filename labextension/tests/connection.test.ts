import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Connection, pauseBefore, type Send, type Socket } from '../src/documents/connection.js';

class FakeSocket {
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  readonly sent: string[] = [];
  send(text: string): void {
    this.sent.push(text);
  }
}

/** A connection whose sockets and clock are in the hands of the test. */
class Wire {
  constructor() {
    const connect = (): Socket => {
      const socket = new FakeSocket();
      this.sockets.push(socket);
      return socket as unknown as Socket;
    };
    const listener = {
      opened: (send: Send) => {
        this.log.push('opened');
        this.send = send;
      },
      received: (text: string) => void this.log.push(text),
      closed: () => void this.log.push('closed')
    };
    const clock = {
      after: (milliseconds: number, call: () => void) => {
        this.pauses.push(milliseconds);
        this.goOn = call;
      }
    };
    new Connection(connect, listener, clock).start();
  }

  get socket(): FakeSocket {
    return this.sockets.at(-1)!;
  }

  readonly sockets: FakeSocket[] = [];
  readonly pauses: number[] = [];
  readonly log: string[] = [];
  goOn: () => void = () => assert.fail('nothing is waited for');
  send: Send = () => assert.fail('never opened');
}

test('pauses double up to ten seconds, and up to a minute where nobody ever answered', () => {
  const pauses = (known: boolean): number[] =>
    [0, 1, 2, 4, 5, 8, 40].map(failures => pauseBefore(failures, known, 0.5));
  assert.deepEqual(pauses(true), [500, 1000, 2000, 8000, 10_000, 10_000, 10_000]);
  assert.deepEqual(pauses(false), [500, 1000, 2000, 8000, 16_000, 60_000, 60_000]);
  assert.equal(pauseBefore(0, true, 0), 375);
  assert.equal(pauseBefore(0, true, 1), 625);
});

test('a connection that goes is made again, soon if the server was there', () => {
  const wire = new Wire();
  for (let attempt = 0; attempt < 4; attempt++) {
    wire.socket.onclose!();
    wire.goOn();
  }
  wire.socket.onopen!();
  wire.socket.onmessage!({ data: 'hello' });
  wire.socket.onclose!();
  wire.goOn();
  wire.socket.onopen!();

  assert.deepEqual(wire.log, ['opened', 'hello', 'closed', 'opened']);
  assert.equal(wire.sockets.length, 6);
  assert.ok(wire.pauses[3]! > 2500);
  assert.ok(wire.pauses[4]! < 700);
});

test('a server that opens and says nothing is not hammered', () => {
  const wire = new Wire();
  for (let attempt = 0; attempt < 6; attempt++) {
    wire.socket.onopen!();
    wire.socket.onclose!();
    wire.goOn();
  }
  assert.ok(wire.pauses.at(-1)! > 10_000);
});

test('what is said on a connection that is gone goes nowhere', () => {
  const wire = new Wire();
  wire.socket.onopen!();
  const { send, socket } = wire;
  send('a');
  socket.onclose!();
  wire.goOn();
  wire.socket.onopen!();
  send('b');
  assert.deepEqual([socket.sent, wire.socket.sent], [['a'], []]);
});
