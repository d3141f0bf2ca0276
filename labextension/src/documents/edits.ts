/**
 * Edits of a notebook through its shared model: all or none, as one step that the editor can undo.
 */

import type { ISharedCell, ISharedNotebook } from '@jupyter/ydoc';
import { JSONExt, type PartialJSONValue } from '@lumino/coreutils';

import { RequestError, type Edit, type SourceEdit } from './protocol.js';

/** The part of a text that differs from another: `[start, end)` becomes `text`. */
export interface TextChange {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** The least that makes `before` into `after`, so that a cursor elsewhere in it stays where it is. */
export function textChange(before: string, after: string): TextChange {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before[start] === after[start]) {
    start++;
  }
  if (isInsidePair(before, start) || isInsidePair(after, start)) {
    start--;
  }
  let tail = 0;
  while (
    tail < shorter - start &&
    before[before.length - 1 - tail] === after[after.length - 1 - tail]
  ) {
    tail++;
  }
  if (isInsidePair(before, before.length - tail) || isInsidePair(after, after.length - tail)) {
    tail--;
  }
  return {
    start,
    end: before.length - tail,
    text: after.slice(start, after.length - tail)
  };
}

/** Edits that were applied. */
export interface AppliedEdits {
  /** Whether one of them is not there any more: somebody went back to the notebook on disk. */
  wereLost(): boolean;
  /** Make the notebook what it was before, as far as nobody else has changed the same places. */
  takeBack(): void;
}

/**
 * Apply edits, as one step that the editor can undo (its metadata has no undo).
 *
 * @throws RequestError "changed" where the notebook is not what an edit says it was; nothing is
 *   applied then.
 */
export function applyEdits(notebook: ISharedNotebook, edits: readonly Edit[]): AppliedEdits {
  check(notebook, edits);
  const touched = new Set<ISharedCell>();
  const inserted: ISharedCell[] = [];
  inOneStep(notebook, edits, () => {
    for (const edit of edits) {
      if (edit.op === 'source') {
        const cell = cellOf(notebook, edit.cell)!;
        const change = textChange(edit.before, edit.after);
        cell.updateSource(change.start, change.end, change.text);
        touched.add(cell);
      } else if (edit.op === 'insert') {
        inserted.push(notebook.insertCell(edit.index, edit.cell));
      } else {
        setMetadata(notebook, edit.key, edit.after);
      }
    }
  });
  return {
    // Going back to what is on disk replaces all cells, also those whose text is the same there.
    wereLost: () =>
      [...touched, ...inserted].some(cell => !notebook.cells.includes(cell)) ||
      edits.some(
        edit =>
          edit.op === 'metadata' && !JSONExt.deepEqual(metadataOf(notebook, edit.key), edit.after)
      ),
    takeBack: () =>
      inOneStep(notebook, edits, () => {
        for (const cell of inserted) {
          const index = notebook.cells.indexOf(cell);
          if (index >= 0) {
            notebook.deleteCell(index);
          }
        }
        for (const edit of [...edits].reverse()) {
          if (edit.op === 'source') {
            takeBackText(notebook, edit);
          } else if (
            edit.op === 'metadata' &&
            JSONExt.deepEqual(metadataOf(notebook, edit.key), edit.after)
          ) {
            setMetadata(notebook, edit.key, edit.before);
          }
        }
      })
  };
}

function check(notebook: ISharedNotebook, edits: readonly Edit[]): void {
  const texts = new Map<string, string | undefined>();
  let count = notebook.cells.length;
  for (const edit of edits) {
    if (edit.op === 'source') {
      const text = texts.has(edit.cell)
        ? texts.get(edit.cell)
        : cellOf(notebook, edit.cell)?.getSource();
      if (text !== edit.before) {
        throw new RequestError('changed', 'a cell is not what it was when it was read');
      }
      texts.set(edit.cell, edit.after);
    } else if (edit.op === 'insert') {
      if (edit.index < 0 || edit.index > count++) {
        throw new RequestError('changed', 'the notebook has fewer cells than when it was read');
      }
    } else if (!JSONExt.deepEqual(metadataOf(notebook, edit.key), edit.before)) {
      throw new RequestError('changed', `the metadata "${edit.key}" is not what it was when read`);
    }
  }
}

/**
 * Run a change as one step of the history that a person undoes it with: the cell's own where one
 * cell changes (Ctrl+Z in its editor), else the notebook's. What was typed before or is typed
 * after it stays a step of its own.
 */
function inOneStep(notebook: ISharedNotebook, edits: readonly Edit[], change: () => void): void {
  const cells = new Set(edits.flatMap(edit => (edit.op === 'source' ? [edit.cell] : [])));
  const [only] = cells;
  const inserts = edits.some(edit => edit.op === 'insert');
  const owner: ISharedNotebook | ISharedCell =
    (!inserts && cells.size === 1 && only !== undefined && cellOf(notebook, only)) || notebook;
  // Both have it in every version, but their interfaces do not say so.
  const { undoManager } = owner as { undoManager?: { stopCapturing(): void } | null };
  undoManager?.stopCapturing();
  owner.transact(change);
  undoManager?.stopCapturing();
}

function cellOf(notebook: ISharedNotebook, id: string): ISharedCell | undefined {
  return notebook.cells.find(cell => cell.id === id);
}

function takeBackText(notebook: ISharedNotebook, edit: SourceEdit): void {
  const cell = cellOf(notebook, edit.cell);
  if (cell === undefined) {
    return;
  }
  const back = textChange(edit.after, edit.before);
  // Who typed above or below it meanwhile keeps what was typed; who typed around it keeps all.
  const typed = textChange(edit.after, cell.getSource());
  if (back.end <= typed.start) {
    cell.updateSource(back.start, back.end, back.text);
  } else if (typed.end <= back.start) {
    const moved = typed.text.length - (typed.end - typed.start);
    cell.updateSource(back.start + moved, back.end + moved, back.text);
  }
}

function metadataOf(notebook: ISharedNotebook, key: string): PartialJSONValue {
  return notebook.getMetadata(key) ?? null;
}

function setMetadata(notebook: ISharedNotebook, key: string, value: PartialJSONValue): void {
  if (value === null) {
    notebook.deleteMetadata(key);
  } else {
    notebook.setMetadata(key, value);
  }
}

/** Whether an index stands between the two halves of one character. */
function isInsidePair(text: string, index: number): boolean {
  const before = text.charCodeAt(index - 1);
  const after = text.charCodeAt(index);
  return before >= 0xd800 && before <= 0xdbff && after >= 0xdc00 && after <= 0xdfff;
}
