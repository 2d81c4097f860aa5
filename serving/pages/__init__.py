"""Server-rendered pages: templates, styles and one script; no build step, nothing from other hosts."""
