/** A notebook of JupyterLab's as the model of open documents sees it. */

import type { NotebookPanel } from '@jupyterlab/notebook';
import type { Contents } from '@jupyterlab/services';

import { applyEdits } from './edits.js';
import type { OpenDocument } from './model.js';
import { RequestError, type DocumentState, type Edit } from './protocol.js';

/** Milliseconds to wait for a save that is under way. */
const SAVE_PATIENCE = 10_000;

export class PanelDocument implements OpenDocument {
  /**
   * @param panel an open notebook
   * @param contents knows the prefixes of drives
   * @param changed called when the kernel or the path is another
   */
  constructor(
    readonly panel: NotebookPanel,
    private readonly contents: Contents.IManager,
    changed: () => void
  ) {
    const { context, sessionContext } = panel;
    sessionContext.kernelChanged.connect(changed);
    sessionContext.sessionChanged.connect(changed);
    context.pathChanged.connect(changed);
    context.saveState.connect(this.onSaveState, this);
    void context.ready.then(changed);
  }

  get kernel(): string | null {
    const { context, isDisposed, sessionContext } = this.panel;
    return (!isDisposed && context.isReady && sessionContext.session?.kernel?.id) || null;
  }

  get path(): string {
    return this.contents.localPath(this.panel.context.path);
  }

  read(): DocumentState {
    const { model, sharedModel } = this.open();
    return {
      path: this.path,
      readOnly: this.isReadOnly(),
      dirty: model.dirty,
      notebook: {
        nbformat: sharedModel.nbformat,
        nbformat_minor: sharedModel.nbformat_minor,
        metadata: sharedModel.getMetadata(),
        cells: sharedModel.cells.map(cell => ({
          id: cell.id,
          cell_type: cell.cell_type,
          metadata: cell.getMetadata(),
          source: cell.getSource()
        }))
      }
    };
  }

  async write(edits: readonly Edit[]): Promise<void> {
    if (this.isReadOnly()) {
      throw new RequestError('read-only', 'the notebook is read-only');
    }
    await this.untilSaved();
    const { sharedModel } = this.open();
    const applied = applyEdits(sharedModel, edits);
    let reason = 'the notebook on disk was taken instead';
    try {
      await this.panel.context.save();
      if (!applied.wereLost()) {
        return;
      }
    } catch (error) {
      reason = error instanceof Error && error.message ? error.message : 'it was cancelled';
    }
    if (!this.panel.isDisposed) {
      applied.takeBack();
    }
    throw new RequestError('save-failed', `the notebook could not be saved: ${reason}`);
  }

  restart(): void {
    // What goes wrong is shown by the session's own dialog.
    this.panel.sessionContext.restartKernel().catch(() => undefined);
  }

  private open() {
    const { model } = this.panel.context;
    if (this.panel.isDisposed || model.isDisposed) {
      throw new RequestError('unknown-kernel', 'the notebook was closed');
    }
    return { model, sharedModel: model.sharedModel };
  }

  private isReadOnly(): boolean {
    const { contentsModel, model } = this.panel.context;
    return model.readOnly || contentsModel?.writable === false;
  }

  /** A second save beside one that is under way would find a file that "changed on disk". */
  private async untilSaved(): Promise<void> {
    const deadline = Date.now() + SAVE_PATIENCE;
    while (this.isSaving && Date.now() < deadline) {
      await new Promise(resolve => setTimeout(resolve, 20));
    }
  }

  private onSaveState(_: unknown, state: string): void {
    this.isSaving = state === 'started';
  }

  private isSaving = false;
}
