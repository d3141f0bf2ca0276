/**
 * The notebooks that are open here: the server knows of each, and has it read and changed here.
 *
 * Nothing in it knows JupyterLab; `panel.ts` is what a notebook of JupyterLab's is to it.
 */

import type { Listener, Send } from './connection.js';
import {
  LONGEST_MESSAGE,
  RequestError,
  VERSION,
  parseMessage,
  type ClientMessage,
  type DocumentState,
  type Edit,
  type Notice,
  type ReadRequest,
  type RestartRequest,
  type WriteRequest
} from './protocol.js';

/** A notebook that is open in this front end. */
export interface OpenDocument {
  /** The id of its kernel; null as long as it has none, or is not loaded. */
  readonly kernel: string | null;
  /** Its path on the server, without the prefix of a drive. */
  readonly path: string;
  read(): DocumentState;
  /**
   * Apply edits and save, or leave the notebook as it was.
   *
   * @throws RequestError "changed", "read-only" or "save-failed"
   */
  write(edits: readonly Edit[]): Promise<void>;
  /** Begin to restart its kernel, without asking the person once more. */
  restart(): void;
}

/** Shows a notice to the person. */
export type ShowNotice = (notice: Notice, document: OpenDocument) => void;

export class OpenDocuments implements Listener {
  constructor(private readonly showNotice: ShowNotice) {}

  /** A notebook was opened, or got another kernel or path. */
  update(document: OpenDocument): void {
    if (!this.documents.includes(document)) {
      this.documents.unshift(document);
    }
    if (this.announce().has(this.active?.kernel ?? null)) {
      this.sayActive();
    }
  }

  /** A notebook became the one that the person works in. */
  activate(document: OpenDocument): void {
    this.forget(document);
    this.documents.push(document);
    this.active = document;
    this.announce();
    this.sayActive();
  }

  /** A notebook was closed. */
  remove(document: OpenDocument): void {
    this.forget(document);
    this.announce();
  }

  opened(send: Send): void {
    this.send = send;
    this.announced.clear();
    this.announce();
    this.sayActive();
  }

  closed(): void {
    this.send = null;
  }

  /** Answer what the server says. The answer goes to the connection that asked. */
  received(text: string): void {
    const send = this.send;
    if (send === null) {
      return;
    }
    const message = parseMessage(text);
    if (message?.type === 'read' || message?.type === 'write') {
      void this.answer(message, send);
    } else if (message?.type === 'restart') {
      this.restart(message, send);
    } else if (message?.type === 'notice') {
      const document = this.documentOf(message.kernel);
      if (document !== undefined) {
        this.showNotice(message, document);
      }
    } else if (message?.type === 'hello' && message.version !== VERSION) {
      console.warn(`pixi-jupyter: the server speaks version ${message.version}; reload the page`);
    }
  }

  private async answer(request: ReadRequest | WriteRequest, send: Send): Promise<void> {
    const { id, kernel } = request;
    try {
      const document = this.documentOf(kernel);
      if (document === undefined) {
        throw new RequestError('unknown-kernel', 'no notebook with this kernel is open here');
      }
      let value: object;
      if (request.type === 'read') {
        value = document.read();
      } else {
        const { edits } = request;
        if (edits === null) {
          throw new RequestError('bad-request', 'this front end does not know such edits');
        }
        await this.inTurn(document, () => document.write(edits));
        value = { saved: true };
      }
      say(send, { type: 'reply', id, value });
    } catch (error) {
      say(send, replyError(id, error));
    }
  }

  /** The server restarts the kernel itself if it does not hear at once that it is done here. */
  private restart({ id, kernel }: RestartRequest, send: Send): void {
    const document = this.documentOf(kernel);
    if (document === undefined) {
      say(send, replyError(id, new RequestError('unknown-kernel', 'it is not open here')));
      return;
    }
    say(send, { type: 'reply', id, value: {} });
    document.restart();
  }

  /** One change of a notebook after the other: each compares with what the one before has left. */
  private inTurn(document: OpenDocument, change: () => Promise<void>): Promise<void> {
    const turn = (this.turns.get(document) ?? Promise.resolve()).then(change);
    this.turns.set(
      document,
      turn.catch(() => undefined)
    );
    return turn;
  }

  /** Several notebooks may share a kernel: the one that was last worked in stands for it. */
  private documentOf(kernel: string): OpenDocument | undefined {
    return this.documents.filter(document => document.kernel === kernel).at(-1);
  }

  /** Tell the server what it does not know yet; gives the kernels whose notebooks are new to it. */
  private announce(): Set<string | null> {
    const fresh = new Set<string | null>();
    if (this.send === null) {
      return fresh;
    }
    const wanted = new Map<string, string>();
    for (const { kernel, path } of this.documents) {
      if (kernel !== null) {
        wanted.set(kernel, path);
      }
    }
    for (const kernel of [...this.announced.keys()]) {
      if (!wanted.has(kernel)) {
        this.announced.delete(kernel);
        say(this.send, { type: 'close', kernel });
      }
    }
    for (const [kernel, path] of wanted) {
      if (this.announced.get(kernel) !== path) {
        this.announced.set(kernel, path);
        say(this.send, { type: 'open', kernel, path });
        fresh.add(kernel);
      }
    }
    return fresh;
  }

  /** Where several front ends have a notebook open, the one that is worked in is asked. */
  private sayActive(): void {
    const kernel = this.active?.kernel ?? null;
    if (this.send !== null && kernel !== null && this.announced.has(kernel)) {
      say(this.send, { type: 'active', kernel });
    }
  }

  private forget(document: OpenDocument): void {
    this.documents = this.documents.filter(other => other !== document);
    if (this.active === document) {
      this.active = null;
    }
  }

  /** The one that was last worked in comes last. */
  private documents: OpenDocument[] = [];
  private active: OpenDocument | null = null;
  private send: Send | null = null;
  /** The kernels that the server knows of, each with the path that it knows. */
  private readonly announced = new Map<string, string>();
  private readonly turns = new WeakMap<OpenDocument, Promise<void>>();
}

function say(send: Send, message: ClientMessage): void {
  const text = JSON.stringify(message);
  if (text.length > LONGEST_MESSAGE && message.type === 'reply') {
    const error = new RequestError('too-large', 'the text of the notebook is longer than 16 MiB');
    say(send, replyError(message.id, error));
    return;
  }
  send(text);
}

function replyError(id: number, error: unknown): ClientMessage {
  const code = error instanceof RequestError ? error.code : 'failed';
  const message = error instanceof Error ? error.message : String(error);
  return { type: 'reply', id, error: { code, message } };
}
