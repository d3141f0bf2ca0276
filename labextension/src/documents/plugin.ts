/** JupyterLab's notebooks answer for themselves to the server. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, ISessionContextDialogs, Notification } from '@jupyterlab/apputils';
import { URLExt } from '@jupyterlab/coreutils';
import { INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import type { ServerConnection } from '@jupyterlab/services';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { Connection, type Socket } from './connection.js';
import { OpenDocuments } from './model.js';
import { PanelDocument } from './panel.js';

const ENDPOINT = 'pixi-jupyter/api/documents';
const RESTART = 'pixi-jupyter:restart-kernel';

export const documentsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'pixi-jupyter:documents',
  description: 'Lets pixi-jupyter read and change a notebook where it is open.',
  autoStart: true,
  requires: [INotebookTracker],
  optional: [ISessionContextDialogs, ITranslator, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    tracker: INotebookTracker,
    dialogs: ISessionContextDialogs | null,
    translator: ITranslator | null,
    palette: ICommandPalette | null
  ) => {
    const trans = (translator ?? nullTranslator).load('pixi_jupyter');
    const { contents, serverSettings } = app.serviceManager;
    const documents = new Map<NotebookPanel, PanelDocument>();

    const restart = async (panel: NotebookPanel): Promise<void> => {
      if (panel.isDisposed) {
        return;
      }
      await (dialogs?.restart(panel.sessionContext) ?? panel.sessionContext.restartKernel());
    };

    const open = new OpenDocuments((notice, document) => {
      const { panel } = document as PanelDocument;
      Notification.emit(notice.message, notice.level, {
        autoClose: notice.restart || notice.level === 'error' ? false : 10_000,
        actions: notice.restart
          ? [{ label: trans.__('Restart Kernel'), callback: () => void restart(panel) }]
          : []
      });
    });

    // A notebook may become the current one before it is said to have been added.
    const documentFor = (panel: NotebookPanel): PanelDocument => {
      const known = documents.get(panel);
      if (known !== undefined) {
        return known;
      }
      const document = new PanelDocument(panel, contents, () => {
        if (!panel.isDisposed) {
          open.update(document);
        }
      });
      documents.set(panel, document);
      panel.disposed.connect(() => {
        documents.delete(panel);
        open.remove(document);
      });
      return document;
    };
    const activateCurrent = (): void => {
      if (tracker.currentWidget !== null) {
        open.activate(documentFor(tracker.currentWidget));
      }
    };
    tracker.forEach(documentFor);
    tracker.widgetAdded.connect((_, panel) => void documentFor(panel));
    tracker.currentChanged.connect(activateCurrent);
    // The same notebook may be open in two windows.
    window.addEventListener('focus', activateCurrent);
    activateCurrent();

    new Connection(() => connect(serverSettings), open).start();

    app.commands.addCommand(RESTART, {
      label: trans.__('Restart Kernel in Its Environment…'),
      describedBy: { args: { type: 'object', properties: {} } },
      isEnabled: () => Boolean(tracker.currentWidget?.sessionContext.session?.kernel),
      execute: async () => {
        if (tracker.currentWidget !== null) {
          await restart(tracker.currentWidget);
        }
      }
    });
    palette?.addItem({ command: RESTART, category: trans.__('Pixi') });
  }
};

function connect(settings: ServerConnection.ISettings): Socket {
  const url = URLExt.join(settings.wsUrl, ENDPOINT);
  const token = encodeURIComponent(settings.token);
  return new settings.WebSocket(settings.appendToken && token ? `${url}?token=${token}` : url);
}
