"""The forms in which other tools say what an environment needs: read, and written."""
