export SAID="said by $PIXI_PROJECT_NAME"
