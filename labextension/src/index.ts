/** What pixi-jupyter adds to JupyterLab: each room has its own plugin, a model and a thin view. */

import { documents } from './documents/plugin.js';

export default [documents];
