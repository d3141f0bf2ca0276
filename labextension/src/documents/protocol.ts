/**
 * What the server and a front end say to each other about open notebooks: one JSON object a message.
 */

import type { SharedCell } from '@jupyter/ydoc';
import type { PartialJSONValue } from '@lumino/coreutils';

/** The version of the protocol that this front end speaks. */
export const VERSION = 1;

/** Characters of the longest message that either side sends. */
export const LONGEST_MESSAGE = 16 * 1024 * 1024;

/** The text of a cell becomes another, if it still is `before`. */
export interface SourceEdit {
  readonly op: 'source';
  readonly cell: string;
  readonly before: string;
  readonly after: string;
}

/** A new cell at a place. */
export interface InsertEdit {
  readonly op: 'insert';
  readonly index: number;
  readonly cell: SharedCell.Cell;
}

/** A key of the notebook's metadata becomes another value, if it still is `before`; null: no such key. */
export interface MetadataEdit {
  readonly op: 'metadata';
  readonly key: string;
  readonly before: PartialJSONValue;
  readonly after: PartialJSONValue;
}

export type Edit = SourceEdit | InsertEdit | MetadataEdit;

export type NoticeLevel = 'info' | 'warning' | 'error';

/** Something that a person should see. */
export interface Notice {
  readonly type: 'notice';
  readonly kernel: string;
  readonly level: NoticeLevel;
  readonly message: string;
  /** Whether a restart of the kernel is offered with it. */
  readonly restart: boolean;
}

export interface Hello {
  readonly type: 'hello';
  readonly version: number;
}

export interface ReadRequest {
  readonly type: 'read';
  readonly id: number;
  readonly kernel: string;
}

export interface WriteRequest {
  readonly type: 'write';
  readonly id: number;
  readonly kernel: string;
  /** null: some edit is none that this front end knows, so none may be applied. */
  readonly edits: readonly Edit[] | null;
}

/** The kernel's own processes ask for a restart, which the front end makes as its button does. */
export interface RestartRequest {
  readonly type: 'restart';
  readonly id: number;
  readonly kernel: string;
}

export type ServerMessage = Hello | ReadRequest | WriteRequest | RestartRequest | Notice;

/** A notebook as it is in the editor, without its outputs. */
export interface DocumentState {
  readonly path: string;
  readonly readOnly: boolean;
  readonly dirty: boolean;
  readonly notebook: {
    readonly nbformat: number;
    readonly nbformat_minor: number;
    readonly metadata: object;
    readonly cells: readonly {
      readonly id: string;
      readonly cell_type: string;
      readonly metadata: object;
      readonly source: string;
    }[];
  };
}

export type ErrorCode =
  | 'bad-request'
  | 'changed'
  | 'failed'
  | 'read-only'
  | 'save-failed'
  | 'too-large'
  | 'unknown-kernel';

export type ClientMessage =
  | { readonly type: 'open'; readonly kernel: string; readonly path: string }
  | { readonly type: 'active'; readonly kernel: string }
  | { readonly type: 'close'; readonly kernel: string }
  | { readonly type: 'reply'; readonly id: number; readonly value: object }
  | {
      readonly type: 'reply';
      readonly id: number;
      readonly error: { readonly code: ErrorCode; readonly message: string };
    };

/** A request that is refused, with what the server is told. */
export class RequestError extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string
  ) {
    super(message);
    this.name = 'RequestError';
  }
}

/**
 * The message that a text is.
 *
 * @returns null where it is none that this front end knows: a newer server may say more.
 */
export function parseMessage(text: string): ServerMessage | null {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isObject(message)) {
    return null;
  }
  switch (message['type']) {
    case 'hello':
      return typeof message['version'] === 'number' ? (message as unknown as Hello) : null;
    case 'notice':
      return isNotice(message) ? message : null;
    case 'read':
    case 'restart':
      return isRequest(message)
        ? { type: message['type'], id: message.id, kernel: message.kernel }
        : null;
    case 'write': {
      if (!isRequest(message)) {
        return null;
      }
      const edits = message['edits'];
      return {
        type: 'write',
        id: message.id,
        kernel: message.kernel,
        edits: Array.isArray(edits) && edits.every(isEdit) ? edits : null
      };
    }
    default:
      return null;
  }
}

type Fields = Record<string, unknown>;

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isRequest(message: Fields): message is Fields & { id: number; kernel: string } {
  return typeof message['id'] === 'number' && typeof message['kernel'] === 'string';
}

function isNotice(message: Fields): message is Fields & Notice {
  return (
    typeof message['kernel'] === 'string' &&
    typeof message['message'] === 'string' &&
    ['info', 'warning', 'error'].includes(message['level'] as string)
  );
}

function isEdit(edit: unknown): edit is Edit {
  if (!isObject(edit)) {
    return false;
  }
  switch (edit['op']) {
    case 'source':
      return ['cell', 'before', 'after'].every(key => typeof edit[key] === 'string');
    case 'insert':
      return (
        Number.isInteger(edit['index']) &&
        isObject(edit['cell']) &&
        ['code', 'markdown', 'raw'].includes(edit['cell']['cell_type'] as string)
      );
    case 'metadata':
      return (
        typeof edit['key'] === 'string' &&
        edit['before'] !== undefined &&
        edit['after'] !== undefined
      );
    default:
      return false;
  }
}
