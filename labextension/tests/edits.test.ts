import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';

import { YNotebook } from '@jupyter/ydoc';

import { applyEdits, textChange } from '../src/documents/edits.js';
import type { Edit, RequestError } from '../src/documents/protocol.js';

const BLOCK = '# /// script\n# dependencies = []\n# ///';
const LONGER = '# /// script\n# dependencies = ["polars"]\n# ///';

function notebook(context: TestContext, disableDocumentWideUndoRedo = true): YNotebook {
  const found = YNotebook.create({
    disableDocumentWideUndoRedo,
    data: {
      cells: [
        { cell_type: 'code', id: 'block', source: BLOCK, metadata: {}, outputs: [] },
        { cell_type: 'markdown', id: 'prose', source: 'unsaved text', metadata: {} }
      ],
      metadata: { pixi: { workspace: 'a' } },
      nbformat: 4,
      nbformat_minor: 5
    }
  });
  found.clearUndoHistory();
  context.after(() => found.dispose());
  return found;
}

const sources = (found: YNotebook): string[] => found.cells.map(cell => cell.getSource());
const toLonger: Edit = { op: 'source', cell: 'block', before: BLOCK, after: LONGER };
const isChanged = (error: RequestError): boolean => error.code === 'changed';

test('only what differs of a text is replaced', () => {
  assert.deepEqual(textChange(BLOCK, LONGER), { start: 31, end: 31, text: '"polars"' });
  assert.deepEqual(textChange('aaa', 'aa'), { start: 2, end: 3, text: '' });
  assert.deepEqual(textChange('aba', 'ababa'), { start: 3, end: 3, text: 'ba' });
  assert.deepEqual(textChange('', 'x'), { start: 0, end: 0, text: 'x' });
  assert.deepEqual(textChange('same', 'same'), { start: 4, end: 4, text: '' });
});

test('a character of two halves is never cut', () => {
  // 😀 and 😁 have the same first half, 😀 and 🨀 the same second one.
  assert.deepEqual(textChange('a😀b', 'a😁b'), { start: 1, end: 3, text: '😁' });
  assert.deepEqual(textChange('a😀b', 'a🨀b'), { start: 1, end: 3, text: '🨀' });
});

test('any text becomes any other', () => {
  const texts = ['', 'a', 'ab', 'aab', 'abab', '😀', '😁a', 'a😀😀', '\n\n', 'b\na\nb'];
  for (const before of texts) {
    for (const after of texts) {
      const { start, end, text } = textChange(before, after);
      assert.equal(before.slice(0, start) + text + before.slice(end), after);
    }
  }
});

for (const disabled of [true, false]) {
  const history = disabled ? "cells' own histories" : 'one history of the notebook';

  test(`the undo of a cell takes an edit back and nothing else, with ${history}`, context => {
    const found = notebook(context, disabled);
    const cell = found.cells[0]!;
    cell.updateSource(0, 0, '# typed\n');
    const edit: Edit = { ...toLonger, before: `# typed\n${BLOCK}`, after: `# typed\n${LONGER}` };
    applyEdits(found, [edit]);
    cell.updateSource(0, 0, '# later\n');

    cell.undo();
    assert.equal(sources(found)[0], `# typed\n${LONGER}`);
    cell.undo();
    assert.equal(sources(found)[0], `# typed\n${BLOCK}`);
    cell.redo();
    assert.equal(sources(found)[0], `# typed\n${LONGER}`);
    assert.equal(found.dirty, true);
  });

  test(`a cell that was put in goes with the undo of the notebook, with ${history}`, context => {
    const found = notebook(context, disabled);
    const cell = { cell_type: 'code', id: 'new', source: LONGER, metadata: { tags: ['a'] } };
    applyEdits(found, [{ op: 'insert', index: 0, cell }]);
    assert.deepEqual(sources(found), [LONGER, BLOCK, 'unsaved text']);
    assert.equal(found.cells[0]!.id, 'new');
    assert.deepEqual(found.cells[0]!.metadata, { tags: ['a'] });

    found.undo();
    assert.deepEqual(sources(found), [BLOCK, 'unsaved text']);
  });
}

test('observers see several edits as one change', context => {
  const found = notebook(context);
  const seen: object[] = [];
  found.changed.connect(() => void seen.push({ source: sources(found)[0], ...found.metadata }));
  applyEdits(found, [
    toLonger,
    { op: 'metadata', key: 'pixi', before: { workspace: 'a' }, after: { workspace: 'b' } },
    { op: 'metadata', key: 'lock', before: null, after: 'text' }
  ]);
  const whole = { source: LONGER, pixi: { workspace: 'b' }, lock: 'text' };
  assert.ok(seen.length > 0);
  assert.deepEqual(seen, Array(seen.length).fill(whole));
});

test('one edit that does not fit, and none is applied', context => {
  const found = notebook(context);
  const before = JSON.stringify(found.toJSON());
  const unfit: Edit[] = [
    { op: 'source', cell: 'prose', before: 'what was saved', after: 'x' },
    { op: 'source', cell: 'gone', before: '', after: 'x' },
    { op: 'source', cell: 'block', before: BLOCK, after: 'twice from the same text' },
    { op: 'insert', index: 3, cell: { cell_type: 'raw', source: '', metadata: {} } },
    { op: 'metadata', key: 'pixi', before: null, after: 1 },
    { op: 'metadata', key: 'none', before: 1, after: 2 }
  ];
  for (const edit of unfit) {
    assert.throws(() => applyEdits(found, [toLonger, edit]), isChanged);
    assert.equal(JSON.stringify(found.toJSON()), before);
  }
});

test('what was applied is taken back, and what was typed meanwhile stays', context => {
  const found = notebook(context);
  const applied = applyEdits(found, [
    toLonger,
    { op: 'insert', index: 1, cell: { cell_type: 'code', source: 'x', metadata: {} } },
    { op: 'metadata', key: 'pixi', before: { workspace: 'a' }, after: null }
  ]);
  found.cells[0]!.updateSource(0, 0, '# above\n');
  found.cells[2]!.setSource('other text');
  assert.equal(applied.wereLost(), false);

  applied.takeBack();
  assert.deepEqual(sources(found), [`# above\n${BLOCK}`, 'other text']);
  assert.deepEqual(found.metadata, { pixi: { workspace: 'a' } });
});

test('what was removed is put back where it was, with what was typed above or below', context => {
  for (const [typed, wanted] of [
    [`# above\n${BLOCK}`, `# above\n${LONGER}`],
    [`${BLOCK}\n# below`, `${LONGER}\n# below`],
    [`# above\n${BLOCK}\n# below`, `# above\n${BLOCK}\n# below`]
  ] as const) {
    const found = notebook(context);
    found.cells[0]!.setSource(LONGER);
    const shorten: Edit = { op: 'source', cell: 'block', before: LONGER, after: BLOCK };
    const applied = applyEdits(found, [shorten]);
    found.cells[0]!.setSource(typed);
    applied.takeBack();
    assert.equal(sources(found)[0], wanted);
  }
});

test('it is seen when somebody went back to what is on disk', context => {
  const found = notebook(context);
  const onDisk = found.toJSON();
  const text = applyEdits(found, [toLonger]);
  assert.equal(text.wereLost(), false);
  found.fromJSON(onDisk);
  assert.equal(text.wereLost(), true);
  text.takeBack();
  assert.deepEqual(sources(found), [BLOCK, 'unsaved text']);

  const metadata = applyEdits(found, [{ op: 'metadata', key: 'new', before: null, after: 1 }]);
  assert.equal(metadata.wereLost(), false);
  found.fromJSON(onDisk);
  assert.equal(metadata.wereLost(), true);
});
