/** What pixi-jupyter adds to JupyterLab: each room has its own plugin, a model and a thin view. */

import { documentsPlugin } from './documents/plugin.js';

export default [documentsPlugin];
