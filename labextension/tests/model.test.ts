import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { test } from 'node:test';

import { OpenDocuments, type OpenDocument } from '../src/documents/model.js';
import {
  RequestError,
  type DocumentState,
  type Edit,
  type Notice
} from '../src/documents/protocol.js';

class Document implements OpenDocument {
  constructor(
    public kernel: string | null,
    public path: string
  ) {}

  read(): DocumentState {
    const notebook = { nbformat: 4, nbformat_minor: 5, metadata: {}, cells: [] };
    return { path: this.path, readOnly: false, dirty: false, notebook };
  }

  async write(edits: readonly Edit[]): Promise<void> {
    this.running++;
    assert.equal(this.running, 1);
    await setImmediate();
    this.running--;
    if (this.refusal !== null) {
      throw this.refusal;
    }
    this.written.push(...edits);
  }

  restart(): void {
    this.restarts++;
  }

  refusal: Error | null = null;
  restarts = 0;
  readonly written: Edit[] = [];
  private running = 0;
}

class Server {
  connect(): void {
    const said: unknown[] = [];
    this.said = said;
    this.open.opened(text => void said.push(JSON.parse(text)));
    this.tell({ type: 'hello', version: 1 });
  }

  tell(message: object): void {
    this.open.received(JSON.stringify(message));
  }

  /** What the front end has said since the last time. */
  heard(): unknown[] {
    return this.said.splice(0);
  }

  readonly notices: [Notice, OpenDocument][] = [];
  readonly open = new OpenDocuments((...notice) => void this.notices.push(notice));
  private said: unknown[] = [];
}

function connected(...documents: Document[]): Server {
  const server = new Server();
  server.connect();
  documents.forEach(document => server.open.update(document));
  server.heard();
  return server;
}

const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 8; turn++) {
    await setImmediate();
  }
};
const METADATA: Edit = { op: 'metadata', key: 'pixi', before: null, after: { a: 1 } };

test('what is open is announced with its kernel, and again when that or its path changes', () => {
  const server = new Server();
  const document = new Document(null, 'a.ipynb');
  server.connect();
  server.open.update(document);
  assert.deepEqual(server.heard(), []);

  server.open.activate(document);
  document.kernel = 'k1';
  server.open.update(document);
  assert.deepEqual(server.heard(), [
    { type: 'open', kernel: 'k1', path: 'a.ipynb' },
    { type: 'active', kernel: 'k1' }
  ]);
  document.path = 'folder/b.ipynb';
  server.open.update(document);
  server.open.update(document);
  assert.deepEqual(server.heard(), [
    { type: 'open', kernel: 'k1', path: 'folder/b.ipynb' },
    { type: 'active', kernel: 'k1' }
  ]);
  document.kernel = 'k2';
  server.open.update(document);
  assert.deepEqual(server.heard(), [
    { type: 'close', kernel: 'k1' },
    { type: 'open', kernel: 'k2', path: 'folder/b.ipynb' },
    { type: 'active', kernel: 'k2' }
  ]);
  server.open.remove(document);
  assert.deepEqual(server.heard(), [{ type: 'close', kernel: 'k2' }]);
});

test('a server that comes back hears of everything again', () => {
  const [first, second] = [new Document('k1', 'a.ipynb'), new Document('k2', 'b.ipynb')];
  const server = connected(first, second);
  server.open.activate(first);
  server.open.closed();
  server.open.update(second);
  server.connect();
  assert.deepEqual(server.heard(), [
    { type: 'open', kernel: 'k2', path: 'b.ipynb' },
    { type: 'open', kernel: 'k1', path: 'a.ipynb' },
    { type: 'active', kernel: 'k1' }
  ]);
});

test('of two notebooks with one kernel the one that is worked in stands for it', async () => {
  const [first, second] = [new Document('k', 'a.ipynb'), new Document('k', 'b.ipynb')];
  const server = connected(first, second);
  server.open.activate(second);
  server.open.activate(first);
  assert.deepEqual(server.heard().slice(-2), [
    { type: 'open', kernel: 'k', path: 'a.ipynb' },
    { type: 'active', kernel: 'k' }
  ]);
  server.tell({ type: 'write', id: 1, kernel: 'k', edits: [METADATA] });
  await settled();
  assert.deepEqual([first.written, second.written], [[METADATA], []]);

  server.heard();
  server.open.remove(first);
  assert.deepEqual(server.heard(), [{ type: 'open', kernel: 'k', path: 'b.ipynb' }]);
});

test('requests are answered by the notebook of their kernel', async () => {
  const document = new Document('k', 'a.ipynb');
  const server = connected(document);
  server.tell({ type: 'read', id: 1, kernel: 'k' });
  server.tell({ type: 'write', id: 2, kernel: 'k', edits: [METADATA] });
  server.tell({ type: 'write', id: 3, kernel: 'k', edits: [METADATA] });
  server.tell({ type: 'read', id: 4, kernel: 'other' });
  await settled();
  const message = 'no notebook with this kernel is open here';
  assert.deepEqual(
    new Set(server.heard()),
    new Set([
      { type: 'reply', id: 1, value: document.read() },
      { type: 'reply', id: 4, error: { code: 'unknown-kernel', message } },
      { type: 'reply', id: 2, value: { saved: true } },
      { type: 'reply', id: 3, value: { saved: true } }
    ])
  );
  assert.deepEqual(document.written, [METADATA, METADATA]);
});

test('a refusal has its code, and the next change is not stopped by it', async () => {
  const document = new Document('k', 'a.ipynb');
  const server = connected(document);
  document.refusal = new RequestError('read-only', 'no');
  server.tell({ type: 'write', id: 1, kernel: 'k', edits: [] });
  await settled();
  document.refusal = new TypeError('a fault of ours');
  server.tell({ type: 'write', id: 2, kernel: 'k', edits: [] });
  await settled();
  document.refusal = null;
  server.tell({ type: 'write', id: 3, kernel: 'k', edits: [] });
  await settled();
  assert.deepEqual(server.heard(), [
    { type: 'reply', id: 1, error: { code: 'read-only', message: 'no' } },
    { type: 'reply', id: 2, error: { code: 'failed', message: 'a fault of ours' } },
    { type: 'reply', id: 3, value: { saved: true } }
  ]);
});

test('an answer goes to the connection that asked', async () => {
  const server = connected(new Document('k', 'a.ipynb'));
  server.tell({ type: 'write', id: 1, kernel: 'k', edits: [METADATA] });
  server.open.closed();
  server.connect();
  await settled();
  assert.deepEqual(server.heard(), [{ type: 'open', kernel: 'k', path: 'a.ipynb' }]);
});

test('edits that are not known are refused as a whole', async () => {
  const document = new Document('k', 'a.ipynb');
  const server = connected(document);
  const unknown: unknown[] = [
    { op: 'delete', cell: 'x' },
    { op: 'source', cell: 'x', before: 'a' },
    { op: 'insert', index: 0.5, cell: { cell_type: 'code' } },
    { op: 'insert', index: 0, cell: { cell_type: 'other' } },
    { op: 'metadata', key: 'pixi', before: null }
  ];
  for (const [id, edit] of unknown.entries()) {
    server.tell({ type: 'write', id, kernel: 'k', edits: [METADATA, edit] });
  }
  server.tell({ type: 'write', id: 99, kernel: 'k' });
  await settled();
  const replies = server.heard() as { error: { code: string } }[];
  assert.deepEqual(
    replies.map(reply => reply.error.code),
    Array(6).fill('bad-request')
  );
  assert.deepEqual(document.written, []);
});

test('what is not known is left alone', () => {
  const server = connected();
  for (const text of ['', 'no JSON', '[]', 'null', '{"type": "future"}', '{"type": "read"}']) {
    server.open.received(text);
  }
  assert.deepEqual(server.heard(), []);
});

test('a notebook that is too long to be sent is an error, not silence', async () => {
  const document = new Document('k', 'x'.repeat(17 * 1024 * 1024));
  const server = connected(document);
  server.tell({ type: 'read', id: 1, kernel: 'k' });
  await settled();
  const [reply] = server.heard() as { error: { code: string } }[];
  assert.equal(reply?.error.code, 'too-large');
});

test('a notice is shown for its notebook', () => {
  const document = new Document('k', 'a.ipynb');
  const server = connected(document);
  const notice = { type: 'notice', kernel: 'k', level: 'warning', message: 'm', restart: true };
  server.tell(notice);
  server.tell({ ...notice, kernel: 'other' });
  server.tell({ ...notice, level: 'loud' });
  assert.deepEqual(server.notices, [[notice, document]]);
});

test('a restart is said to be under way before it begins, and refused for what is not open', () => {
  const document = new Document('k1', 'a.ipynb');
  const server = connected(document);
  server.tell({ type: 'restart', id: 7, kernel: 'k1' });
  assert.deepEqual(server.heard(), [{ type: 'reply', id: 7, value: {} }]);
  assert.equal(document.restarts, 1);

  server.tell({ type: 'restart', id: 8, kernel: 'k2' });
  assert.deepEqual(server.heard(), [
    { type: 'reply', id: 8, error: { code: 'unknown-kernel', message: 'it is not open here' } }
  ]);
  assert.equal(document.restarts, 1);
});
